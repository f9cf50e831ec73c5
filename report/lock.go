package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrUnderWay is why a run's folder cannot be locked: somebody is at it.
var ErrUnderWay = errors.New("still under way in another program")

// Lock keeps other programs from going on with the run, and from pruning it, until
// what it returns is closed or this process ends. Where another one holds it, the
// error is [ErrUnderWay]. Where a file system has no locks, there is none.
func (p Place) Lock() (io.Closer, error) { return lock(p.Dir()) }

func lock(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("the run's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("the run %s is %w: wait for it, or end it", filepath.Base(dir), ErrUnderWay), f.Close())
	}
	return f, nil
}
