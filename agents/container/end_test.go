package container_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/internal/airlock"
)

// A program that is killed leaves no container: its stdin is gone, and so is it.
func TestAKilledProgramLeavesNothing(t *testing.T) {
	t.Parallel()
	r := runner(t)
	for _, tc := range []struct{ run, script, said string }{
		{"killed", "", "open: <nil>\n"},
		// An agent's command that stops the server, so that it never sees the end.
		{"stopped", "kill -STOP $(pgrep -xf '/proc/self/exe serve'); sleep 1000", "the place is gone\n"},
		// One that would hold the stream open itself, if it could.
		{"held", "exec 3>/proc/1/fd/0 4>/proc/$(pgrep -xf '/proc/self/exe serve')/fd/0; trap '' TERM HUP; echo now; sleep 1000", "now\n"},
	} {
		t.Run(tc.run, func(t *testing.T) {
			t.Parallel()
			killed(t, r.Image, tc.run, tc.script, tc.said)
		})
	}
}

// killed kills a program when it has said something, and waits until the engine has
// no container of it.
func killed(t *testing.T, image, run, script, want string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), leaveVar+"="+t.TempDir(), "DAIL_TEST_IMAGE="+image, "DAIL_TEST_OWNER="+owner, "DAIL_TEST_RUN="+run, "DAIL_TEST_SCRIPT="+script)
	up := make(chan string, 100)
	cmd.Stdout = writer(func(b []byte) { up <- string(b) })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case said := <-up:
		if said != want {
			t.Error(said)
		}
	case <-time.After(time.Minute):
		t.Errorf("it did not say %q", want)
	}
	if n := count(t, run); n != 1 && run != "stopped" { // the control: it is there, and would be seen
		t.Errorf("%d containers, want the one that is to vanish", n)
	}
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	for end := time.Now().Add(time.Minute); count(t, run) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the container outlives its program")
		}
	}
}

// A server that is stopped, or a container that has lived long enough, ends while
// somebody still waits for it.
func TestAContainerThatCannotGoOnEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lifetime time.Duration
		script   string
	}{
		"its server is stopped": {0, "kill -STOP $(pgrep -xf '/proc/self/exe serve'); sleep 1000"},
		"its lifetime is over":  {20 * time.Second, "sleep 1000"}, // in which it must be furnished, on a busy machine
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runner(t)
			r.Limits.Lifetime = tc.lifetime
			p, _ := open(t, r, "a", nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			exit, err := p.Run(ctx, agents.Command{Argv: []string{"bash", "-c", tc.script}})
			if !errors.Is(err, airlock.ErrGone) || exit.Stopped {
				t.Errorf("%+v, %v", exit, err)
			}
			p.Close(t.Context())
			nothingLeft(t, r.Run)
		})
	}
}

// What an agent has locked stays behind, and is named; the rest comes home.
func TestAFolderThatCannotBeReadCostsNothingElse(t *testing.T) {
	t.Parallel()
	r := runner(t)
	p, dir := open(t, r, "a", nil)
	bash(t, p, "mkdir a m z; touch a/a m/m z/z; chmod 000 m")
	if err := p.Close(t.Context()); err == nil || !strings.Contains(err.Error(), `"m" (permission denied)`) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"a/a", "z/z"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func count(t *testing.T, run string) int {
	t.Helper()
	out, err := exec.Command("docker", "ps", "-aq", "--filter", "label=dail.run="+run).Output()
	if err != nil {
		t.Fatal(err)
	}
	return len(strings.Fields(string(out)))
}
