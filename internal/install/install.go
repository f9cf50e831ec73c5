// Package install puts a pinned set of programs into a folder once, whole or
// not at all, also when several programs want it at the same time.
//
//	err := install.Once(ctx, filepath.Join(cache, hash), say, func(tmp string) error {
//		return fill(tmp)
//	})
package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Done reports whether target is there. It appears by a rename, so it is whole.
func Done(target string) bool {
	info, err := os.Stat(target)
	return err == nil && info.IsDir()
}

// Once has fill make a folder, unless target exists, and gives it target's
// name. While another program installs the same, it waits, and tells say so.
func Once(ctx context.Context, target string, say func(format string, args ...any), fill func(tmp string) error) error {
	if Done(target) {
		return nil
	}
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, target+".lock", say)
	if err != nil {
		return err
	}
	defer unlock()
	if Done(target) { // somebody else was faster
		return nil
	}
	tmp, err := os.MkdirTemp(dir, "installing-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil { // agents of another user may use it
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, target)
}

// lock keeps other programs from installing the same. The kernel frees it when
// this program ends, however it ends.
func lock(ctx context.Context, path string, say func(string, ...any)) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	told := false
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if !told {
			told = true
			say("waiting for another program that installs the same (%s)", f.Name())
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
