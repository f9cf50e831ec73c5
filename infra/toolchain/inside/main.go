// Inside is the small static program in the agents' image. A container's stdin
// and stdout are its only way out, and this is what speaks there.
//
//	inside                  serves the stream, as the container's first process
//	inside link DIR SHARED  links each package of SHARED/ into DIR/node_modules
//
// It holds no secret and no right that a command in there has not: it runs as the
// same unprivileged user, and who takes it over has gained nothing.
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
	case len(args) > 0:
		return fmt.Errorf("%q: it takes no arguments, or link DIR SHARED", args)
	case os.Getpid() == 1:
		return first()
	}
	var all func() int
	if alone() {
		all = sweep
	}
	return airlock.Serve(airlock.Stdio(os.Stdin, os.Stdout), all)
}

// first is the container's first process: it starts the one that serves, and
// takes in the orphans of the others, which would fill the container's list of
// processes otherwise. When the server ends, so does the container.
func first() error {
	server := exec.Command("/proc/self/exe")
	server.Stdin, server.Stdout, server.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case pid == server.Process.Pid && status.Signaled():
			return fmt.Errorf("it was ended by %s", unix.SignalName(status.Signal()))
		case pid == server.Process.Pid && status.Exited():
			os.Exit(status.ExitStatus())
		}
	}
}

// alone reports whether this is the server of a container of its own, where
// whatever else runs belongs to a command.
func alone() bool {
	if os.Getppid() != 1 {
		return false
	}
	first, err := os.Stat("/proc/1/exe")
	if err != nil {
		return false
	}
	self, err := os.Stat("/proc/self/exe")
	return err == nil && os.SameFile(first, self)
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
