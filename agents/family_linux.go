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
// carry the marker. whole says that no marked process got away. dead holds the
// zombies of earlier scans, and takes those of this one.
//
// The kernel lists processes by pid, and each is looked at before the list is
// asked to go on, a few at a time. So who forks and dies before it is looked at does
// not get away: its child has a higher pid, and is still to come. That fails where
// the last of the list died in between, for there the list had ended already, and
// where pids began anew.
func scan(m marker, root ident, dead map[ident]bool) (all []proc, whole bool, err error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, false, err
	}
	defer dir.Close()
	began := lastPID()
	buf := make([]byte, 64) // two processes, or the longest of the other names
	for {
		n, err := unix.ReadDirent(int(dir.Fd()), buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("/proc: %w", err)
		}
		if n == 0 {
			return all, whole && lastPID() >= began, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		whole = true
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			p, there := look(pid, m)
			if there && (root.start == "" || !older(p.start, root.start)) {
				all = append(all, p)
			}
			if !there || p.zombie && !dead[p.ident()] {
				whole = false
			}
			if p.zombie {
				dead[p.ident()] = true
			}
		}
	}
}

// look looks at one process; false where it ended meanwhile.
func look(pid int, m marker) (p proc, there bool) {
	p, err := stat(pid)
	if err != nil {
		return p, false
	}
	p.marked = has(pid, "limits", []byte(m.String())) || has(pid, "environ", []byte(markVar+"="+m.String()))
	if !p.marked && !p.zombie {
		now, err := stat(pid) // it may have died before its marks were read
		return now, err == nil && now.ident() == p.ident()
	}
	return p, true
}

func has(pid int, file string, text []byte) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	return err == nil && bytes.Contains(b, text)
}

// lastPID is the one that was given to a process last (proc_loadavg(5)); 0 where
// that cannot be read.
func lastPID() int {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	pid, _ := strconv.Atoi(f[len(f)-1])
	return pid
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
