//go:build unix

package vllm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/vllm"
)

// patience bounds what a test waits for; it is no part of what is tested.
const patience = 2 * time.Minute

// local is a machine on this host: a root folder of an odd name, the programs
// on its PATH, and a vllm that does what the test's play says.
type local struct {
	t         *testing.T
	root, bin string
	shell     string
	env       []string
}

// onEach runs a test on a machine with bash and on one that has a plain sh only.
func onEach(t *testing.T, test func(t *testing.T, m *local)) {
	for _, shell := range []string{"bash", "sh"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			test(t, newLocal(t, shell))
		})
	}
}

func newLocal(t *testing.T, shell string) *local {
	t.Helper()
	dir := t.TempDir()
	m := &local{t: t, root: filepath.Join(dir, `it's "a" $root;  *`), bin: filepath.Join(dir, "bin"), shell: shell}
	for _, d := range []string{m.root, m.bin} {
		must(t, os.MkdirAll(d, 0o755))
	}
	commands := "sh cat cp mkdir mv rm chmod touch wc head tail du ps setsid timeout sleep date cksum kill"
	if shell == "bash" {
		commands += " bash"
	}
	for _, name := range strings.Fields(commands) {
		if path, err := exec.LookPath(name); err == nil {
			must(t, os.Symlink(path, filepath.Join(m.bin, name)))
		} else if name == "bash" {
			t.Skip("SKIP: needs bash")
		}
	}
	m.env = []string{"PATH=" + m.bin, "DAIL_ROOT=" + m.root, "DAIL_PORT=4711", "HOME=" + dir}
	m.program("vllm", fakeVLLM)
	t.Cleanup(m.close)
	return m
}

// fakeVLLM writes down how it was called and plays what $DAIL_ROOT/play says.
const fakeVLLM = `
if [ "$1" = --version ]; then
  echo "INFO 11-24 03:00:02 [__init__.py:216] Automatically detected platform cuda."
  echo "0.11.0+cu128"
  exit
fi
: >"$DAIL_ROOT/args"
for a; do printf '%s\000' "$a" >>"$DAIL_ROOT/args"; done
printf '%s\n' "$GREETING" >"$DAIL_ROOT/greeting"
printf '%s\n' "$HF_HOME" >"$DAIL_ROOT/hfhome"
printf '%s' "${HF_TOKEN:-}" | cksum >"$DAIL_ROOT/token"
. "$DAIL_ROOT/play"
`

// program puts a program on the machine's PATH.
func (m *local) program(name, script string) {
	must(m.t, os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// play is what vllm does when it is started.
func (m *local) play(script string) { m.write("play", script) }

func (m *local) write(name, content string) {
	must(m.t, os.WriteFile(filepath.Join(m.root, name), []byte(content), 0o644))
}

func (m *local) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(m.root, name))
	return string(b)
}

// gate makes a pipe in the root on which a play waits: read -r _ <"$DAIL_ROOT/NAME".
func (m *local) gate(name string) *os.File {
	path := filepath.Join(m.root, name)
	must(m.t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	must(m.t, err)
	m.t.Cleanup(func() { _ = f.Close() })
	return f
}

// Run implements vllm.Machine.
func (m *local) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	cmd := exec.CommandContext(ctx, m.shell, "-c", command)
	cmd.Env, cmd.Stdin = m.env, stdin
	cmd.WaitDelay = patience
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return out, err
}

// Upload implements vllm.Machine.
func (m *local) Upload(_ context.Context, path string, mode fs.FileMode, content []byte) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is no absolute path", path)
	}
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// launch starts the recipe and fails the test if it cannot.
func (m *local) launch(r vllm.Recipe) {
	m.t.Helper()
	must(m.t, vllm.Launch(m.t.Context(), m, r))
}

// eager is a clock that does not wait long between two looks. All else lasts as
// long as it does: a look starts six programs, and after the text of a failure a
// play has still to end, on a machine of any speed.
type eager struct{ clock.Wall }

func (eager) Sleep(ctx context.Context, d time.Duration) error {
	return clock.Wall{}.Sleep(ctx, d/50)
}

// watch follows the start.
func (m *local) watch() (told string, port int, err error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	var events []vllm.Event
	port, err = vllm.Watch(ctx, m, eager{}, func(e vllm.Event) { events = append(events, e) })
	for _, e := range events {
		if e.Text != "" {
			told += e.Text + "\n"
		}
	}
	return told, port, err
}

// pid is the process group of what runs, 0 where nothing was started.
func (m *local) pid() int {
	pid, _ := strconv.Atoi(strings.TrimSpace(m.read(".dail/vllm.pid")))
	return pid
}

// alive reports whether a process lives.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		_, state, _ := strings.Cut(string(b), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func (m *local) close() {
	if pid := m.pid(); pid > 1 {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// eventually waits for a state that another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func deadline() time.Time { return time.Now().Add(patience) }

func itoa(n int) string { return strconv.Itoa(n) }
