//go:build linux

// Inside is the small static program in the agents' image. A container's stdin
// and stdout are its only way out, and this is what speaks there.
//
//	inside LIFETIME         serves the stream, as the container's first process, no longer than 24h, say
//	inside link DIR SHARED  links each package of SHARED/ into DIR/node_modules
//
// It holds no secret and no right that a command in there has not: it runs as the
// same unprivileged user, and who takes it over has gained nothing. What a command
// must not do is keep it from ending: see [first].
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/x/dail/internal/airlock"
	"github.com/x/dail/internal/linkfarm"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "inside:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "link":
		return linkfarm.Make(filepath.Join(args[1], "node_modules"), args[2])
	case len(args) == 1 && args[0] == "serve" && os.Getppid() == 1: // which first says
		if err := hide(); err != nil {
			return err
		}
		return airlock.Serve(airlock.Stdio(os.Stdin, os.Stdout), sweep)
	case len(args) == 1 && os.Getpid() == 1:
		lifetime, err := time.ParseDuration(args[0])
		if err != nil || lifetime <= 0 {
			return fmt.Errorf("lifetime %q: want a duration such as 24h", args[0])
		}
		return first(lifetime)
	}
	return fmt.Errorf("%q: want link DIR SHARED, or LIFETIME as a container's first process", args)
}

// hide keeps the user's other processes, which are the commands in here, from this
// one's memory and from its open files: who opened our stdin to write to it would
// keep it from ever ending.
func hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hiding from the commands in here: %w", err)
	}
	return nil
}

// parting is how long the server may take to end when the stream has.
const parting = 5 * time.Second

// first is the container's first process: it starts the one that serves, and
// takes in the orphans of the others, which would fill the container's list of
// processes otherwise. When it ends, the kernel ends all the others.
//
// It ends when the server does, and besides where a command keeps the server from
// ending: commands cannot stop or kill the first process of their own container,
// but the server they can. So it ends also when the server is stopped, when the
// stream has ended and the server does not, and after a lifetime in any case.
func first(lifetime time.Duration) error {
	if err := hide(); err != nil {
		return err
	}
	server := exec.Command("/proc/self/exe", "serve")
	server.Stdin, server.Stdout, server.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	over := make(chan error, 3)
	time.AfterFunc(lifetime, func() { over <- fmt.Errorf("its lifetime of %v is over", lifetime) })
	go func() {
		hungUp(0)
		time.Sleep(parting)
		over <- errors.New("its server did not end with the stream")
	}()
	go func() { over <- takeIn(server.Process.Pid) }()
	return <-over
}

// hungUp waits until the other end of a stream is closed, whatever is left to read.
func hungUp(fd int32) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: fd}}, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// takeIn takes in every process that has ended, until the server has, or is
// stopped.
func takeIn(server int) error {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case pid != server:
		case status.Stopped():
			return errors.New("its server was stopped")
		case status.Signaled():
			return fmt.Errorf("its server was ended by %s", unix.SignalName(status.Signal()))
		case status.ExitStatus() != 0:
			return fmt.Errorf("its server ended with status %d", status.ExitStatus())
		default:
			return nil
		}
	}
}

// sweepTime bounds a sweep. Whatever is alive then ends with the container.
const sweepTime = 5 * time.Second

// sweep ends every process but the first and this one, and counts them.
func sweep() int {
	n := others()
	for end := time.Now().Add(sweepTime); others() > 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		// To all whom it may reach, but the first process and ourselves; the
		// kernel does it in one go, so that nothing forks away from it.
		if err := unix.Kill(-1, unix.SIGKILL); err != nil {
			break
		}
	}
	return n
}

// others counts the processes but the first and this one that are alive.
func others() int {
	dir, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	n := 0
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		if !dead(name) {
			n++
		}
	}
	return n
}

// dead reports whether a process has ended, and only waits to be taken in.
func dead(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return true
	}
	// "12 (a name) S …": a name may hold brackets, so the last one counts.
	for i := len(stat) - 1; i > 0; i-- {
		if stat[i] == ')' {
			return i+2 < len(stat) && (stat[i+2] == 'Z' || stat[i+2] == 'X')
		}
	}
	return true
}
