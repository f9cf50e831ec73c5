//go:build unix

package progress

import (
	"os"

	"golang.org/x/sys/unix"
)

// winsize returns the width of the terminal behind f, or an error where f is
// not a terminal.
func winsize(f *os.File) (int, error) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, err
	}
	return int(ws.Col), nil
}
