//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A stream has ended when its other end is closed, and not before, whatever is
// left in it.
func TestHungUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.WriteString("unread")
	told := make(chan bool)
	go func() {
		hungUp(int32(r.Fd()))
		close(told)
	}()
	select {
	case <-told:
		t.Error("it is open, and was taken for closed")
	default:
	}
	w.Close()
	<-told
}

// A server that is stopped would never end by itself.
func TestTakeIn(t *testing.T) {
	for _, tc := range []struct{ script, want string }{
		{"kill -STOP $$", "its server was stopped"},
		{"kill -KILL $$", "its server was ended by SIGKILL"},
		{"exit 3", "its server ended with status 3"},
		{"exit 0", ""},
	} {
		server := exec.Command("sh", "-c", tc.script)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		err := takeIn(server.Process.Pid)
		if (tc.want == "") != (err == nil) || err != nil && err.Error() != tc.want {
			t.Errorf("%q: %v, want %q", tc.script, err, tc.want)
		}
		unix.Kill(server.Process.Pid, unix.SIGKILL)
		server.Wait()
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"serve"}, {"24h"}, {"link", "x"}} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), "want link DIR SHARED, or LIFETIME") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
