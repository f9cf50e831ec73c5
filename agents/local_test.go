package agents_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/dail/agents"
)

// sh runs a script through Local.Exec.
func sh(t *testing.T, ctx context.Context, script string) (int, string, error) {
	t.Helper()
	var out bytes.Buffer
	l := agents.Local{Scratch: t.TempDir(), Grace: 200 * time.Millisecond}
	code, err := l.Exec(ctx, t.TempDir(), []string{"sh", "-c", script}, []string{"GREETING=hello"}, &out)
	return code, out.String(), err
}

func TestExec(t *testing.T) {
	t.Setenv("RUNPOD_API_KEY", "planted")
	tests := []struct {
		script string
		code   int
		out    string
	}{
		{"echo out; echo err >&2; echo out", 0, "out\nerr\nout\n"},
		{"exit 7", 7, ""},
		{"kill -9 $$", 137, ""},
		{"echo $GREETING $RUNPOD_API_KEY", 0, "hello\n"},
		{"cat", 0, ""}, // stdin is at its end
		{"no-such-program 2>/dev/null", 127, ""},
		{`test "$HOME" != / && test -w "$HOME" && test -w "$TMPDIR" && ls "$HOME"`, 0, ""},
	}
	for _, tt := range tests {
		code, out, err := sh(t, t.Context(), tt.script)
		if code != tt.code || out != tt.out || err != nil {
			t.Errorf("%s: %d, %q, %v; want %d, %q", tt.script, code, out, err, tt.code, tt.out)
		}
	}
	l := agents.Local{}
	for _, argv := range [][]string{nil, {"no-such-program"}, {"/etc/passwd"}, {"/"}} {
		if _, err := l.Exec(t.Context(), t.TempDir(), argv, nil, nil); err == nil {
			t.Errorf("%q: no error", argv)
		}
	}
	if _, err := l.Exec(t.Context(), "/no/such/folder", []string{"true"}, nil, nil); err == nil {
		t.Error("no error for a folder that is not there")
	}
	if _, err := l.Exec(t.Context(), t.TempDir(), []string{"true"}, []string{"bad"}, nil); err == nil {
		t.Error("no error for an environment that is none")
	}
}

func TestExecLeavesNothing(t *testing.T) {
	code, _, err := sh(t, t.Context(), daemons+"\nexit 5")
	if code != 5 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	noDaemonsLeft(t)
}

func TestExecEndsAStormOfForks(t *testing.T) {
	// Each generation detaches itself and starts the next, then dies. Some thousand
	// are enough: this test may be killed, and nobody else would end them.
	const storm = `cat > next.sh <<'X'
sleep 0.01
[ $1 -gt 5000 ] || setsid sh ./next.sh $(($1 + 1)) >/dev/null 2>&1 &
X
sh ./next.sh 1; sh ./next.sh 1; exit 4`
	code, _, err := sh(t, t.Context(), storm)
	if code != 4 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	nothingLeft(t, "./next.sh")
}

func TestExecTimeLimit(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, out, err := sh(t, ctx, `echo begun; trap "" TERM; `+daemons+` sleep 979; sleep 979`)
	if !errors.Is(err, context.DeadlineExceeded) || out != "begun\n" {
		t.Errorf("%v, %q", err, out)
	}
	noDaemonsLeft(t)
	nothingLeft(t, "sleep 979")
}

func TestExecOfACancelledContextStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "started")
	if _, _, err := sh(t, ctx, "touch "+file); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it was started")
	}
}

// TestKillpgIsNotEnough is the control of the tests above: the same script,
// ended in the usual way, leaves processes.
func TestKillpgIsNotEnough(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `setsid sh -c 'echo $$ > pid; exec sleep 978' & while ! test -s pid; do sleep 0.01; done`)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		t.Skipf("SKIP: no setsid command here: %v", err)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Error("killpg reached a process of another session: then the tests beside this one prove nothing")
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// TestOthersAreSpared: what this program or its user runs at the same time is
// none of the agent's.
func TestOthersAreSpared(t *testing.T) {
	var mine []*exec.Cmd
	start := func() {
		cmd := exec.Command("sleep", "977")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		mine = append(mine, cmd)
	}
	start()
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() {
		_, err := agents.Local{}.Exec(t.Context(), dir, []string{"sh", "-c", daemons + "touch ready; while ! test -e go; do sleep 0.01; done"}, nil, nil)
		done <- err
	}()
	waitFor(t, "the command", func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil })
	start() // younger than the command, and a child of the same program
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, cmd := range mine {
		if !alive(cmd.Process.Pid) || len(running(t, fmt.Sprintf("%d ", cmd.Process.Pid))) == 0 {
			t.Errorf("process %d was ended too", cmd.Process.Pid)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its status is still ours to collect
	}
	noDaemonsLeft(t)
}

// TestAgentsEndWithTheProgram: when this program is killed, its agents are
// asked to end. What they started is only reached while it can be.
func TestAgentsEndWithTheProgram(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: needs Linux's parent-death signal")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestHelperHostsACommand$", "-test.v")
	cmd.Env = append(os.Environ(), "DAIL_TEST_HOST="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pid")
	waitFor(t, "the command", func() bool { b, _ := os.ReadFile(file); return bytes.HasSuffix(b, []byte("\n")) })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b, _ := os.ReadFile(file)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to end", func() bool { return len(running(t, "sleep 976")) == 0 || !alive(pid) })
	nothingLeft(t, "sleep 976")
}

// TestHelperHostsACommand is the program that TestAgentsEndWithTheProgram kills.
func TestHelperHostsACommand(t *testing.T) {
	dir := os.Getenv("DAIL_TEST_HOST")
	if dir == "" {
		t.Skip("not a test: a helper of TestAgentsEndWithTheProgram")
	}
	_, _ = agents.Local{Scratch: dir}.Exec(t.Context(), dir, []string{"sh", "-c", "echo $$ > pid; exec sleep 976"}, nil, nil)
}

func TestNodeModulesAreLent(t *testing.T) {
	shared := t.TempDir()
	for _, d := range []string{"left-pad", "@types/node", ".bin", ".cache"} {
		if err := os.MkdirAll(filepath.Join(shared, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(shared, ".bin/tool"), []byte("#!/bin/sh\necho tool runs\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l := agents.Local{NodeModules: shared, Path: []string{filepath.Join(shared, ".bin")}, Scratch: t.TempDir()}
	place, err := l.Open(t.Context(), agents.PlaceSpec{Workspace: filepath.Join(t.TempDir(), "w")})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err = place.Run(t.Context(), agents.Command{Argv: []string{"sh", "-c", `
		tool; node_modules/.bin/tool; ls node_modules node_modules/@types
		mkdir node_modules/mine node_modules/.vite; rm -r node_modules/left-pad; touch node_modules/@types/x`}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	if want := "tool runs\ntool runs\nnode_modules:\n@types\nleft-pad\n\nnode_modules/@types:\nnode\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	var left []string
	_ = filepath.WalkDir(shared, func(name string, _ os.DirEntry, _ error) error {
		rel, _ := filepath.Rel(shared, name)
		left = append(left, rel)
		return nil
	})
	if want := ". .bin .bin/tool .cache @types @types/node left-pad"; strings.Join(left, " ") != want {
		t.Errorf("the shared folder holds %q, want %q", left, want)
	}
	if err := place.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
