package agents

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// marks says that processes can be marked here.
const marks = true

// sysProcAttr starts a session, so that no terminal's Ctrl-C reaches the
// command past us, and has it asked to end if this program dies.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}

// mark marks a process and all that it will start with a value of the limit on
// file locks. Linux has kept that limit since 2.4 without enforcing it; every
// child inherits it, through exec, setsid, a cleared environment and any number
// of forks, and anybody may read it in /proc. A process would have to lower it
// on purpose to get lost, and then its environment still tells.
//
// Where the limit cannot be set, the environment has to do.
func mark(pid int, m marker) {
	lim := unix.Rlimit{Cur: uint64(m), Max: uint64(m)}
	_ = unix.Prlimit(pid, unix.RLIMIT_LOCKS, &lim, nil)
}

// scan lists the processes that are not older than the root, and whether they
// carry the marker.
func scan(m marker, root ident) ([]proc, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []proc
	inLimits, inEnv := []byte(m.String()), []byte(markVar+"="+m.String())
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := stat(pid)
		if err != nil {
			continue // it ended
		}
		if root.start != "" && older(p.start, root.start) {
			continue
		}
		p.marked = has(pid, "limits", inLimits) || has(pid, "environ", inEnv)
		all = append(all, p)
	}
	return all, nil
}

func has(pid int, file string, text []byte) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	return err == nil && bytes.Contains(b, text)
}

// forks counts the processes and threads that this machine has started since it
// was (proc_stat(5)); 0 where that cannot be read.
func forks() uint64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	_, rest, found := bytes.Cut(b, []byte("\nprocesses "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseUint(string(line), 10, 64)
	if !found || err != nil {
		return 0
	}
	return n
}

// older compares two starts, in clock ticks since boot.
func older(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

func startOf(pid int) string {
	p, err := stat(pid)
	if err != nil {
		return ""
	}
	return p.start
}

// stat reads /proc/<pid>/stat (proc_pid_stat(5)).
func stat(pid int) (proc, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return proc{}, err
	}
	return parseStat(pid, string(b))
}

// parseStat takes the fields that count. The second field, the name in
// parentheses, may hold anything, spaces and parentheses too.
func parseStat(pid int, s string) (proc, error) {
	i := strings.LastIndexByte(s, ')')
	f := strings.Fields(s[i+1:])
	if i < 0 || len(f) < 20 {
		return proc{}, fmt.Errorf("/proc/%d/stat: %q is not in the form that proc_pid_stat(5) describes", pid, s)
	}
	ppid, err1 := strconv.Atoi(f[1])
	pgid, err2 := strconv.Atoi(f[2])
	if err := errors.Join(err1, err2); err != nil {
		return proc{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return proc{pid: pid, ppid: ppid, pgid: pgid, start: f[19], zombie: f[0] == "Z" || f[0] == "X"}, nil
}

// send signals exactly this process: one that took over its pid is spared.
func send(p proc, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return // it ended, and the next look finds out what there is
	}
	now, statErr := stat(p.pid)
	same := statErr == nil && now.ident() == p.ident()
	if err != nil { // a kernel before 5.3
		if same {
			_ = syscall.Kill(p.pid, sig)
		}
		return
	}
	defer unix.Close(fd)
	if same {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}
