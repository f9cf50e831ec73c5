//go:build !linux

package agents

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// marks says that processes cannot be marked here. So what is found is the
// process group of the command, its descendants, and those that were seen to
// descend from it at one of the looks that are taken every second. What cannot
// be promised: a process that leaves the group and loses its parent within a
// second, as a daemon does, lives on. Nor is a command ended when this program
// is killed. Where that matters, use containers.
const marks = false

// sysProcAttr starts a session, and so a process group too.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func mark(int, marker) {}

// scan lists all processes. That it is whole cannot be promised, and no further
// look would know more.
func scan(marker, ident, map[ident]bool) (all []proc, whole bool, err error) {
	all, err = ps("-ax")
	return all, true, err
}

func startOf(pid int) string {
	list, err := ps("-p", strconv.Itoa(pid))
	if err != nil || len(list) == 0 {
		return ""
	}
	return list[0].start
}

func ps(which ...string) ([]proc, error) {
	out, err := exec.Command("/bin/ps", append(which, "-o", "pid=,ppid=,pgid=,stat=,lstart=")...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // its status is 1 where there is none
		return nil, fmt.Errorf("ps: %w", err)
	}
	var all []proc
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 5 {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		ppid, err2 := strconv.Atoi(f[1])
		pgid, err3 := strconv.Atoi(f[2])
		if errors.Join(err1, err2, err3) != nil {
			continue
		}
		all = append(all, proc{pid: pid, ppid: ppid, pgid: pgid, zombie: strings.HasPrefix(f[3], "Z"), start: strings.Join(f[4:], " ")})
	}
	return all, sc.Err()
}

// send signals the process, if it is still the same one.
func send(p proc, sig syscall.Signal) {
	if startOf(p.pid) == p.start {
		_ = syscall.Kill(p.pid, sig)
	}
}
