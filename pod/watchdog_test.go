package pod

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/x/dail/internal/clock"
)

// patience is how long real processes may take for what they surely do. It is
// no measure of anything.
const patience = time.Minute

// unhurried is the pace of a clock by which a program that stands still for some
// seconds, because its machine does, is not silent yet.
const unhurried = 4

// trial is one program with a machine, in a process of its own, its watchdog
// in another, and a cloud in this one.
type trial struct {
	t        *testing.T
	clk      clock.Fast
	cloud    *cloudServer
	state    string
	cmd      *exec.Cmd
	out      *bufio.Reader
	watchdog process
}

// runProgram starts a program and waits until it is where it is to stand.
func runProgram(t *testing.T, times float64, p program, prepare ...func(tr *trial)) *trial {
	t.Helper()
	tr := &trial{t: t, clk: clock.Fast{Origin: time.Now(), Times: times}, state: t.TempDir()}
	tr.cloud = serveCloud(t, tr.clk)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tr.cmd = exec.Command(exe)
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, f := range prepare {
		f(tr)
	}
	origin, err := tr.clk.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	p.URL, p.State, p.Run, p.Clock = tr.cloud.url, tr.state, "run1", string(origin)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	tr.cmd.Env = append(os.Environ(), programEnv+"="+string(text), programKeyEnv+"="+cloudKey)
	tr.cmd.Stderr = io.Discard // of the one that panics
	out, err := tr.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.cleanUp)
	tr.out = bufio.NewReader(out)
	line, err := tr.out.ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "%d %s\n", &tr.watchdog.PID, &tr.watchdog.Start); err != nil || (scanErr != nil && !p.NoWatchdog) {
		t.Fatalf("the program said %q (%v, %v)", line, err, scanErr)
	}
	return tr
}

// cleanUp leaves no process behind, whatever the test found.
func (tr *trial) cleanUp() {
	_ = tr.cmd.Process.Kill()
	_ = tr.cmd.Wait()
	for until := time.Now().Add(patience); tr.watchdog.alive() && !tr.t.Failed() && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if tr.watchdog.alive() {
		tr.t.Errorf("the watchdog did not end; its log:\n%s", tr.log())
		_ = syscall.Kill(tr.watchdog.PID, syscall.SIGKILL)
		for tr.watchdog.alive() {
			time.Sleep(time.Millisecond)
		}
	}
}

func (tr *trial) log() string {
	text, _ := os.ReadFile(filepath.Join(tr.state, "watchdog", "run1.log"))
	return string(text)
}

func (tr *trial) signal(sig syscall.Signal) {
	tr.t.Helper()
	if err := tr.cmd.Process.Signal(sig); err != nil {
		tr.t.Fatal(err)
	}
}

// await waits until something is so.
func (tr *trial) await(what string, is func() bool) {
	tr.t.Helper()
	for until := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			tr.t.Fatalf("in vain for %v: %s; machines %v; the log:\n%s", patience, what, tr.cloud.alive(), tr.log())
		}
	}
}

// entry is the only one.
func (tr *trial) entry() entry {
	tr.t.Helper()
	all := tr.entries()
	if len(all) != 1 {
		tr.t.Fatalf("%d entries in the ledger; the watchdog's log:\n%s", len(all), tr.log())
	}
	return all[0]
}

func (tr *trial) entries() []entry {
	tr.t.Helper()
	l := &ledger{dir: filepath.Join(tr.state, "ledger")}
	good, bad, err := l.entries()
	if err != nil || len(bad) > 0 {
		tr.t.Fatal(bad, err)
	}
	return good
}

// awaitEnd waits until all of ours is gone and the watchdog with it.
func (tr *trial) awaitEnd() {
	tr.t.Helper()
	tr.await("nothing of ours in the ledger", func() bool { return len(tr.entries()) == 0 })
	tr.await("the end of the watchdog", func() bool { return !tr.watchdog.alive() })
	tr.wantAlive()
}

func (tr *trial) wantAlive(ours ...string) {
	tr.t.Helper()
	if diff := cmp.Diff(append([]string{"somebody-elses"}, ours...), tr.cloud.alive()); diff != "" {
		tr.t.Errorf("machines (-want +got):\n%s\nthe log:\n%s", diff, tr.log())
	}
}

// The promise: whatever kills the program, at whatever point, what it had is
// given back.
func TestKilledProgramLeavesNothing(t *testing.T) {
	for _, until := range []string{"intended", "answered", "created", "serving", "terminating"} {
		t.Run(until, func(t *testing.T) {
			t.Parallel()
			// The time that a machine which was never asked for is waited for is ten
			// minutes.
			times := map[bool]float64{true: 80, false: unhurried}[until == "intended"]
			tr := runProgram(t, times, program{Until: until})
			name := tr.entry().Name
			if until != "intended" && len(tr.cloud.alive()) != 2 {
				t.Errorf("machines %v", tr.cloud.alive())
			}
			killed := time.Now()
			tr.signal(syscall.SIGKILL)
			tr.awaitEnd()
			if ended := tr.cloud.endOf(name); !ended.IsZero() {
				t.Logf("ended %v after the kill", tr.clk.Real(ended.Sub(tr.clk.Origin))-killed.Sub(tr.clk.Origin))
			}
		})
	}
}

// The control of the test above: with nobody on guard the machine stays.
func TestKilledProgramWithoutWatchdogLeavesItsMachine(t *testing.T) {
	t.Parallel()
	tr := runProgram(t, 200, program{Until: "serving", NoWatchdog: true})
	tr.signal(syscall.SIGKILL)
	began := tr.clk.Now()
	tr.await("five minutes", func() bool { return tr.clk.Now().Sub(began) > 5*time.Minute })
	tr.wantAlive(tr.entry().Name)
}

func TestProgramKilledWhileItsMachineIsMade(t *testing.T) {
	t.Parallel()
	late := make(chan struct{})
	appear := sync.OnceFunc(func() { close(late) })
	tr := runProgram(t, 20, program{Until: "asking"}, func(tr *trial) {
		t.Cleanup(appear) // before that of the server, which waits for the request
		tr.cloud.mu.Lock()
		defer tr.cloud.mu.Unlock()
		tr.cloud.late = late
	})
	<-tr.cloud.asked // the request is there, the answer is not
	tr.signal(syscall.SIGKILL)
	tr.wantAlive()
	tr.await("a look in vain", func() bool { return tr.cloud.count("list") > 1 })
	appear()
	tr.await("the late machine", func() bool { return tr.cloud.made() == 2 })
	tr.awaitEnd()
}

func TestProgramEndsByItself(t *testing.T) {
	for _, until := range []string{"panic", "exit"} {
		t.Run(until, func(t *testing.T) {
			t.Parallel()
			tr := runProgram(t, 20, program{Until: until})
			tr.awaitEnd()
		})
	}
}

func TestProgramThatGivesBackTakesItsWatchdogAlong(t *testing.T) {
	t.Parallel()
	tr := runProgram(t, unhurried, program{Until: "clean"})
	rest, err := io.ReadAll(tr.out)
	if waitErr := tr.cmd.Wait(); err != nil || waitErr != nil || len(rest) > 0 {
		t.Errorf("the program said %q (%v, %v)", rest, err, waitErr)
	}
	tr.wantAlive()
}

func TestStoppedProgramIsEndedForItsSilence(t *testing.T) {
	t.Parallel()
	tr := runProgram(t, 60, program{Until: "serving"})
	began := tr.clk.Now()
	tr.signal(syscall.SIGSTOP)
	tr.await("nothing in the ledger", func() bool { return len(tr.entries()) == 0 })
	tr.wantAlive()
	if !strings.Contains(tr.log(), "not been heard of") {
		t.Errorf("the log does not say why:\n%s", tr.log())
	}
	t.Logf("ended %v after the stop", tr.clk.Now().Sub(began))
	tr.signal(syscall.SIGCONT) // it may come back, it may not
	if !tr.watchdog.alive() {
		t.Error("the watchdog left its post while the program is there")
	}
	tr.signal(syscall.SIGKILL)
	tr.awaitEnd()
}

func TestKeptMachineOutlivesItsProgram(t *testing.T) {
	t.Parallel()
	var pipe *os.File
	tr := runProgram(t, 30, program{Until: "kept"}, func(tr *trial) {
		// The program inherits the end of somebody's pipe.
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		pipe = r
		tr.cmd.ExtraFiles = []*os.File{w}
		t.Cleanup(func() { r.Close(); w.Close() })
	})
	// The cloud knows it also when its time is over already.
	tr.cloud.mu.Lock()
	m := tr.cloud.machines[1].Machine
	tr.cloud.mu.Unlock()
	keep := m.Marker.Keep
	tr.signal(syscall.SIGKILL)
	_ = tr.cmd.Wait()
	tr.cmd.ExtraFiles[0].Close()
	if _, err := io.ReadAll(pipe); err != nil {
		t.Error(err)
	}
	// That the pipe has ended means that the watchdog does not hold it.
	guarded, there := tr.watchdog.alive(), slices.Contains(tr.cloud.alive(), m.Name)
	if tr.clk.Now().Before(keep) && !(guarded && there) {
		t.Errorf("before its time: the watchdog lives: %v; the machine does: %v; the log:\n%s", guarded, there, tr.log())
	}
	tr.awaitEnd()
	if ended := tr.cloud.endOf(m.Name); ended.Before(keep) {
		t.Errorf("ended at %v, kept until %v", ended, keep)
	}
}

func TestWatchdogIsDeafToSignals(t *testing.T) {
	t.Parallel()
	tr := runProgram(t, unhurried, program{Until: "serving"})
	if sid, err := unix.Getsid(tr.watchdog.PID); err != nil || sid != tr.watchdog.PID {
		t.Errorf("it is in session %d, process %d (%v)", sid, tr.watchdog.PID, err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(tr.watchdog.PID, sig); err != nil {
			t.Fatal(err)
		}
	}
	tr.wantAlive(tr.entry().Name)
	// The whole group, as a terminal's Ctrl-C or a supervisor does it.
	if err := syscall.Kill(-tr.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tr.awaitEnd()
}

// A new build replaces the program's file while it runs.
func TestWatchdogOfAProgramWhoseFileIsGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: needs Linux: elsewhere a program cannot be executed again without its file")
	}
	t.Parallel()
	tr := runProgram(t, 20, program{Until: "serving", Vanish: true}, func(tr *trial) {
		binary, err := os.ReadFile(tr.cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		tr.cmd.Path = filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(tr.cmd.Path, binary, 0o700); err != nil {
			t.Fatal(err)
		}
	})
	tr.signal(syscall.SIGKILL)
	tr.awaitEnd()
}

// The key goes through the pipe and nowhere else.
func TestWatchdogShowsNoSecret(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: needs /proc: another process's environment cannot be read here")
	}
	t.Parallel()
	tr := runProgram(t, 20, program{Until: "serving"})
	holds := func(path string) bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return strings.Contains(string(text), cloudKey)
	}
	proc := func(pid int, file string) string { return fmt.Sprintf("/proc/%d/%s", pid, file) }
	if !holds(proc(tr.cmd.Process.Pid, "environ")) {
		t.Error("control: the planted key is not found where it was planted")
	}
	for _, file := range []string{"environ", "cmdline"} {
		if holds(proc(tr.watchdog.PID, file)) {
			t.Errorf("the watchdog's %s holds the key", file)
		}
	}
	if env, _ := os.ReadFile(proc(tr.watchdog.PID, "environ")); strings.Contains(string(env), programEnv) {
		t.Errorf("the watchdog was given all of the environment: %q", env)
	}
	tr.signal(syscall.SIGKILL)
	tr.awaitEnd()
	files := 0
	err := filepath.WalkDir(tr.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", path, info.Mode(), err)
		}
		if holds(path) {
			t.Errorf("%s holds the key", path)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}
