//go:build unix

package progress

import (
	"os"

	"golang.org/x/sys/unix"
)

// winsize returns the columns and lines of the terminal behind f, or an error
// where f is not a terminal.
func winsize(f *os.File) (width, height int, err error) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, err
	}
	return int(ws.Col), int(ws.Row), nil
}
