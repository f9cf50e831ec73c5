package machine

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// initd starts processes and reaps them, and what it inherits: a machine is the
// init of its tree. Nothing else in the process may wait for a child.
type initd struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	born    chan struct{} // cap 1: there is a child to wait for
	groups  map[int]bool  // sessions that were started, by their leader
	closed  bool          // nothing is started any more
}

func newInitd() *initd {
	d := &initd{waiting: map[int]chan syscall.WaitStatus{}, born: make(chan struct{}, 1), groups: map[int]bool{}}
	go d.reap()
	return d
}

// proc is a process that was started here.
type proc struct {
	pid  int
	done <-chan syscall.WaitStatus // gets its end, once
}

// start executes a program in a session of its own. files are its descriptors
// from 0 on; they stay the caller's.
func (d *initd) start(path string, argv, env []string, dir string, files []*os.File) (proc, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return proc{}, errors.New("the machine ends")
	}
	return d.spawn(path, argv, env, dir, files)
}

// spawn is start without asking. It needs d.mu, so that an end is not reaped
// before it is waited for.
func (d *initd) spawn(path string, argv, env []string, dir string, files []*os.File) (proc, error) {
	fds := make([]uintptr, len(files))
	for i, f := range files {
		fds[i] = f.Fd()
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir: dir, Env: env, Files: fds, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return proc{}, &os.PathError{Op: "start", Path: path, Err: err}
	}
	done := make(chan syscall.WaitStatus, 1)
	d.waiting[pid] = done
	d.groups[pid] = true
	select {
	case d.born <- struct{}{}:
	default:
	}
	return proc{pid, done}, nil
}

// reap waits for children, its own and those whose parents have died, for as
// long as the process lives.
func (d *initd) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch err {
		case nil:
		case syscall.ECHILD:
			<-d.born // an orphan's ancestors are ours, so none can come from nowhere
			continue
		default:
			continue
		}
		d.mu.Lock()
		done := d.waiting[pid]
		delete(d.waiting, pid)
		d.mu.Unlock()
		if done != nil {
			done <- status
		}
	}
}
