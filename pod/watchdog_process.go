package pod

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/x/dail/internal/clock"
)

// ready is a watchdog's answer to a job that it takes.
const ready = "ready"

// beWatchdog is the whole life of a watchdog's process. It returns the exit
// status: 0 when nothing is left, 1 when a machine could not be ended, 2 when
// it was not given a job that it could take.
//
// SIGINT, SIGTERM and SIGHUP do nothing to it: whoever sends them to "all of
// dail" wants the machines gone, and it ends by itself when they are.
func beWatchdog(kinds []Kind) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	closeInherited()
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "%s is what dail's programs start beside themselves; there is nothing to start by hand. To end pods that were left: make reap\n", watchdogArg)
		return 2
	}
	in := bufio.NewReader(os.Stdin)
	s, err := takeJob(in, kinds)
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
		return 2
	}
	fmt.Println(ready)
	// The pipe of the answer ends here. Its number is taken by nothing that could
	// be written to by mistake.
	_ = os.Stdout.Close()
	os.Stdout, _ = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	return s.stand(in)
}

// takeJob reads the job and opens what it needs.
func takeJob(in *bufio.Reader, kinds []Kind) (*sentry, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("no job came: %w", err)
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return nil, fmt.Errorf("the job cannot be read: %w", err)
	}
	var clk Clock = clock.Wall{}
	if j.Clock != "" {
		var fast clock.Fast
		if err := fast.UnmarshalText([]byte(j.Clock)); err != nil {
			return nil, err
		}
		clk = fast
	}
	kind, ok := kindOf(kinds, j.Kind)
	if !ok {
		return nil, fmt.Errorf("nobody knows how to open a provider %q: tell pod.Main its Kind", j.Kind)
	}
	p, err := kind.Open(j.Public, j.Secret, clk)
	if err != nil {
		return nil, fmt.Errorf("provider %s cannot be opened again: %w", j.Kind, err)
	}
	// The program made its folder, and asks for no machine before this one is ready:
	// where it is gone there is none, and no folder to be left behind either.
	l := ledgerIn(j.State)
	if _, err := os.Stat(l.dir); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return newSentry(j, p, l, clk, os.Stderr), nil
}

// closeInherited closes what the program had inherited itself and passed on
// without knowing. A watchdog outlives its program, and whoever waits for the
// end of a pipe of the program's must not wait for the watchdog too. What this
// process has opened is marked close-on-exec, as Go does; that tells them apart.
func closeInherited() {
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, f := range fds {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// beats reads a program's beats until its end.
func beats(in *bufio.Reader, beat func()) {
	for {
		if _, err := in.ReadSlice('\n'); err != nil && err != bufio.ErrBufferFull {
			return // io.EOF, whichever way the program ended
		}
		beat()
	}
}
