//go:build unix

package deadman_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/internal/deadman"
)

// Nothing that a test started may outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tick is the tests' tick. No time passes in it: the sleep command of a rig
// returns when the test says so.
const tick = 7 * time.Second

// patience bounds what a test waits for; it is no part of what is tested.
const patience = 30 * time.Second

// rig is a machine: a root folder, the commands on its PATH, and its time,
// which is in the test's hands.
type rig struct {
	t            *testing.T
	root, bin    string
	asleep, wake *os.File // pipes of the sleep command: it lies down, it is woken
	lives        *os.File // at its end when the switch and all its children are gone
	holds        *os.File // what the machine's processes hold of it
	env          []string
}

// onEach runs a test on a machine with bash and on one that has a plain sh
// only, both with a root of an odd name.
func onEach(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, shell := range []string{"bash", "sh"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, shell))
		})
	}
}

func newRig(t *testing.T, shell string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, root: filepath.Join(dir, `it's "a" $root;  *`), bin: filepath.Join(dir, "bin")}
	for _, d := range []string{r.root, r.bin} {
		must(t, os.MkdirAll(d, 0o755))
	}
	commands := "sh cat mkdir mv rm chmod date wc tail printf ps setsid timeout sleep"
	if shell == "bash" {
		commands += " bash"
	}
	for _, name := range strings.Fields(commands) {
		if path, err := exec.LookPath(name); err == nil {
			must(t, os.Symlink(path, filepath.Join(r.bin, name)))
		} else if name == "bash" {
			t.Skip("SKIP: needs bash")
		}
	}
	r.asleep, r.wake = fifo(t, filepath.Join(dir, "asleep")), fifo(t, filepath.Join(dir, "wake"))
	r.fake("sleep", fmt.Sprintf(`[ "$1" = %v ] || exec %s "$@"; exec 4<%s; echo >%s; read -r _ <&4`,
		tick.Seconds(), r.real("sleep"), r.wake.Name(), r.asleep.Name()))
	r.at(1_000_000)
	r.fake("date", fmt.Sprintf(`[ "$1" = +%%s ] || exec %s "$@"; cat '%s/now'`, r.real("date"), dir))
	r.env = []string{"PATH=" + r.bin, "DAIL_ROOT=" + r.root, "DAIL_START=/nonexistent", "GREETING=from the first second"}

	var err error
	r.lives, r.holds, err = os.Pipe()
	must(t, err)
	t.Cleanup(r.close)
	return r
}

// real is where a command of the system lies.
func (r *rig) real(name string) string {
	path, err := os.Readlink(filepath.Join(r.bin, name))
	must(r.t, err)
	return path
}

// fake puts a command of its own on the machine's PATH.
func (r *rig) fake(name, script string) {
	path := filepath.Join(r.bin, name)
	_ = os.Remove(path)
	must(r.t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// at sets the wall clock, in unix seconds.
func (r *rig) at(now int64) {
	path := filepath.Join(filepath.Dir(r.root), "now")
	must(r.t, os.WriteFile(path+".new", fmt.Appendln(nil, now), 0o644))
	must(r.t, os.Rename(path+".new", path))
}

// start runs a program on the machine and does not wait for it.
func (r *rig) start(program string, env ...string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command("sh", "-c", program)
	if _, err := os.Stat(filepath.Join(r.bin, "bash")); err == nil {
		cmd = exec.Command("bash", "-c", program)
	}
	cmd.Env = append(r.env[:len(r.env):len(r.env)], env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.holds != nil {
		cmd.ExtraFiles = []*os.File{r.holds}
	}
	must(r.t, cmd.Start())
	r.t.Cleanup(func() { kill(cmd) })
	return cmd
}

// kill ends a program that start started, and all that it started, but for the
// switch.
func kill(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
}

// run runs a program on the machine to its end.
func (r *rig) run(program string, env ...string) {
	r.t.Helper()
	if err := r.start(program, env...).Wait(); err != nil {
		r.t.Fatalf("the program failed: %v\n%s", err, r.read(".dail/deadman.log"))
	}
}

// boot starts the machine and waits until its switch has armed.
func (r *rig) boot(s deadman.Switch, env ...string) *exec.Cmd {
	r.t.Helper()
	cmd := r.start(s.Boot(), env...)
	r.sleeping()
	return cmd
}

func (r *rig) beat() { r.t.Helper(); r.run(deadman.Beat()) }

// sleeping waits until the switch has done all its work and sleeps.
func (r *rig) sleeping() {
	r.t.Helper()
	must(r.t, r.asleep.SetReadDeadline(time.Now().Add(patience)))
	if _, err := r.asleep.Read(make([]byte, 1)); err != nil {
		r.t.Fatalf("the switch does not come to its next tick: %v\n%s", err, r.read(".dail/deadman.log"))
	}
}

func (r *rig) wakeUp() {
	r.t.Helper()
	_, err := r.wake.WriteString("\n")
	must(r.t, err)
}

// ticks lets n ticks pass, and waits for what the switch does in each.
func (r *rig) ticks(n int) {
	r.t.Helper()
	for range n {
		r.wakeUp()
		r.sleeping()
	}
}

// gone waits until the switch and everything that it started are gone.
func (r *rig) gone() {
	r.t.Helper()
	if r.holds != nil {
		must(r.t, r.holds.Close())
		r.holds = nil
	}
	must(r.t, r.lives.SetReadDeadline(time.Now().Add(patience)))
	if _, err := r.lives.Read(make([]byte, 1)); err != io.EOF {
		r.t.Fatalf("the switch lives on: %v\n%s", err, r.read(".dail/deadman.log"))
	}
}

// pid is the switch's process.
func (r *rig) pid() int {
	r.t.Helper()
	word, _, _ := strings.Cut(r.read(".dail/deadman.pid"), " ")
	pid, err := strconv.Atoi(word)
	if err != nil {
		r.t.Fatalf("deadman.pid: %v", err)
	}
	return pid
}

// read returns a file under the root, empty where there is none.
func (r *rig) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(r.root, name))
	return string(b)
}

func (r *rig) write(name, content string) {
	r.t.Helper()
	must(r.t, os.WriteFile(filepath.Join(r.root, name), []byte(content), 0o600))
}

// endings is how many times the ending ran; see ending.
func (r *rig) endings() int { return strings.Count(r.read("ended"), "\n") }

// wantEndings checks how many times the ending has run by now.
func (r *rig) wantEndings(n int, when string) {
	r.t.Helper()
	if got := r.endings(); got != n {
		r.t.Fatalf("%s: the ending ran %d times, want %d\n%s", when, got, n, r.read(".dail/deadman.log"))
	}
}

// ending notes that it ran, where it was started from, and ends with status.
func ending(status string) string {
	return `echo "$GREETING" >>"$DAIL_ROOT/ended"; echo "trying"; exit ` + status
}

// close ends every process of the machine.
func (r *rig) close() {
	if word, _, ok := strings.Cut(r.read(".dail/deadman.pid"), " "); ok {
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
	if r.holds != nil {
		_ = r.holds.Close()
	}
	_ = r.lives.Close()
}

// born is what the scripts call the birth of a process.
func born(t *testing.T, pid int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		out, err := exec.CommandContext(ctx, "ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
		must(t, err)
		return strings.TrimSpace(string(out))
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[19]
}

// fifo makes a named pipe and holds both of its ends.
func fifo(t *testing.T, path string) *os.File {
	t.Helper()
	must(t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
