package agents

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markVar is the variable by which every process of one command can be told
// from all others. People see it in ps; see marker for the rest.
const markVar = "DAIL_AGENT"

// marker names the family of processes that one command starts.
type marker uint64

// newMarker draws a marker: large, odd, and never the same twice.
func newMarker() marker {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	// Below 2^62, so that it is a finite limit on every system; above 2^61, so
	// that its digits occur nowhere by chance.
	return marker(binary.BigEndian.Uint64(b[:])>>3 | 1<<61)
}

func (m marker) String() string { return fmt.Sprintf("%d", uint64(m)) }

// process is one command on this machine.
type process struct {
	argv           []string // argv[0] is a path
	env            []string
	dir            string
	stdin          string
	stdout, stderr io.Writer // nil discards; one writer for both gets them in order
	grace          time.Duration
}

// gate holds the command back until it carries its marker: a shell that waits
// for a line, then becomes the command. If we die before we could write the
// line, the command never starts.
const gate = `read -r _ <&3 || exit 126; exec 3<&-; exec "$@"`

// run runs the command until it and all that it started have ended. When ctx
// is done they are made to.
//
// A command is not wrapped into a subreaper, which would have to be this whole
// program, with a right to wait for children that belong to others; nor into a
// helper program, which a library does not have. Instead each process carries a
// marker that it cannot lose by accident (see mark), and the family is ended by
// looking for it until nothing is found.
func (p *process) run(ctx context.Context) (Exit, error) {
	exit := Exit{Code: -1}
	if err := ctx.Err(); err != nil {
		exit.Stopped = true
		return exit, context.Cause(ctx)
	}
	m := newMarker()
	cmd := exec.Command("/bin/sh", append([]string{"-c", gate, "sh"}, p.argv...)...)
	cmd.Dir = p.dir
	cmd.Env = append(p.env[:len(p.env):len(p.env)], markVar+"="+m.String())
	cmd.SysProcAttr = sysProcAttr()
	pipes, err := p.connect(cmd)
	if err != nil {
		return exit, fmt.Errorf("agents: run %s: %w", p.argv[0], err)
	}
	defer pipes.close()
	ended, err := start(cmd)
	pipes.started()
	if err != nil {
		return exit, fmt.Errorf("agents: run %s in %s: %w", p.argv[0], p.dir, err)
	}

	f := newFamily(m, cmd.Process.Pid)
	defer f.forget()
	mark(cmd.Process.Pid, m)
	pipes.open()

	select {
	case <-ended:
	case <-ctx.Done():
		exit.Stopped = true
	}
	exit.Leftovers, err = f.end(p.grace)
	if err != nil {
		pipes.drain()
		return exit, fmt.Errorf("agents: run %s: %w", p.argv[0], err)
	}
	<-ended
	pipes.drain()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Signal = unix.SignalName(ws.Signal())
	} else {
		exit.Code = cmd.ProcessState.ExitCode()
	}
	return exit, nil
}

// start starts a command and returns a channel that is closed when it has
// ended; its status is in cmd.ProcessState then.
func start(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel ties the parent-death signal to the thread that forked, so
		// that thread is kept as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its error is what ProcessState says
		}
	}()
	return done, <-started
}

// lookPath finds a program as a child with this environment would, and tells
// what is wrong in place of a shell's "127".
func lookPath(name string, path, dir string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if err := executable(name); err != nil {
			return "", fmt.Errorf("agents: cannot run %s: %w", name, err)
		}
		return name, nil
	}
	for _, d := range filepath.SplitList(path) {
		if f := filepath.Join(d, name); filepath.IsAbs(f) && executable(f) == nil {
			return f, nil
		}
	}
	return "", fmt.Errorf("agents: %s %w (%s): install it, or give its path", name, errNotFound, path)
}

var errNotFound = errors.New("is in no folder of PATH")

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder")
	case info.Mode()&0o111 == 0:
		return errors.New("it is not executable")
	}
	return nil
}
