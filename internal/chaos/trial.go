package chaos

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/pod/podtest"
)

// outcome is what a trial came to.
type outcome struct {
	left, touched int
	alive         time.Duration // from the kill to the end of the last pod, by the trial's clock
	violations    []string
	log           string // what the victim and its watchdog said, where something was left
}

// owner is who the victims are.
const owner = "chaos@here"

// look is how often the trial looks at the server, on the wall.
const look = 5 * time.Millisecond

// patience is how long, on the wall, a trial waits for what its processes surely
// do. It is no measure of anything.
const patience = 2 * time.Minute

// run makes the trial.
func (p *plan) run(ctx context.Context) (got outcome, err error) {
	dir, err := os.MkdirTemp("", "dail-chaos-")
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	clk := clock.Fast{Origin: time.Now(), Times: Times}
	srv, err := podtest.NewServer(podtest.Config{Clock: clk, Root: filepath.Join(dir, "machines"), Boot: 4 * time.Second})
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	srv.Inject(podtest.ForeignPods, 3)
	faults := p.faults
	if p.grace > 0 && p.kill != KillBoth {
		// Within the grace the switch would do what the watchdog has left undone.
		faults = slices.Concat(faults, noSwitch)
	}
	for _, f := range faults {
		srv.Inject(f.fault, f.times)
	}
	keyPath, err := newKey(dir)
	if err != nil {
		return got, err
	}
	state := filepath.Join(dir, "state")
	v, err := start(orders{
		URL: srv.URL, Key: srv.Key, KeyPath: keyPath, State: state, Run: fmt.Sprintf("trial-%d", p.number),
		Clock: clk, Hold: p.hold, Die: p.kill,
	}, state)
	if err != nil {
		return got, err
	}
	defer v.end(state)

	p.await(ctx, srv, clk, v)
	killed := clk.Now()
	if err := p.strike(v, state); err != nil {
		return got, err
	}
	if p.kill == KillNone || p.kill == KillInt || p.kill == KillTerm || p.kill == KillHup || p.kill == KillPanic {
		// It gives its pod back by itself; the promise is for what comes after. A
		// victim that hangs is as good as one that was stopped.
		v.wait(ctx)
		killed = clk.Now()
	}
	deadline := killed.Add(p.promise() + p.grace*Times)
	for len(srv.Alive()) > 0 && clk.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(look)
	}
	got.left = len(srv.Alive())
	for _, l := range srv.Bill() {
		if l.Ended.After(killed) {
			got.alive = max(got.alive, l.Ended.Sub(killed))
		}
	}
	if got.left > 0 {
		got.alive = max(got.alive, clk.Now().Sub(killed))
		got.log = v.said() + logs(state) + calls(srv)
	}
	got.touched = len(srv.Touched())
	got.violations = srv.Violations()
	return got, ctx.Err()
}

// await waits for the moment of the kill, or the victim's own end.
func (p *plan) await(ctx context.Context, srv *podtest.Server, clk clock.Clock, v *process) {
	if p.kill == KillNone {
		return
	}
	latest := clk.Now().Add(longestWait)
	due := func() bool { return len(srv.Events()) >= p.afterCalls }
	if p.control != NoControl {
		// There must be something to lose, however long that takes.
		latest = clk.Now().Add(patience * Times)
		due = func() bool { return len(srv.Alive()) > 0 }
	}
	for !due() && clk.Now().Before(latest) && !v.ended() && ctx.Err() == nil {
		time.Sleep(look)
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-v.done:
			cancel()
		case <-wait.Done():
		}
	}()
	_ = clk.Sleep(wait, p.delay)
}

// strike kills.
func (p *plan) strike(v *process, state string) error {
	signals := map[Kill]syscall.Signal{
		KillInt: syscall.SIGINT, KillTerm: syscall.SIGTERM, KillHup: syscall.SIGHUP, KillKill: syscall.SIGKILL,
		KillStop: syscall.SIGSTOP, KillPanic: syscall.SIGUSR1, KillCrash: syscall.SIGUSR1,
	}
	switch p.kill {
	case KillNone:
	case KillBoth:
		// Stopped first, so that no machine is asked for in between.
		v.signal(syscall.SIGSTOP)
		for _, pid := range watchdogs(state) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		v.signal(syscall.SIGKILL)
	default:
		v.signal(signals[p.kill])
	}
	return nil
}

// watchdogs reads from the ledger who watches.
func watchdogs(state string) []int {
	files, _ := filepath.Glob(filepath.Join(state, "ledger", "*.json"))
	var pids []int
	for _, f := range files {
		var e struct {
			Watchdog struct {
				PID int `json:"pid"`
			} `json:"watchdog"`
		}
		text, err := os.ReadFile(f)
		if err == nil && json.Unmarshal(text, &e) == nil && e.Watchdog.PID > 1 {
			pids = append(pids, e.Watchdog.PID)
		}
	}
	return pids
}

// process is a victim that runs.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// start makes this program a victim once more.
func start(o orders, state string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	v := &process{cmd: exec.Command(exe, victimArg), done: make(chan struct{})}
	v.cmd.Stdin = bytes.NewReader(text)
	v.cmd.Stderr = &v.out
	v.cmd.Env = append(os.Environ(), "DAIL_STATE="+state, "DAIL_OWNER="+owner)
	v.cmd.WaitDelay = time.Second
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = v.cmd.Wait() // how it ended is what the trial decides
		close(v.done)
	}()
	return v, nil
}

func (v *process) signal(s syscall.Signal) { _ = v.cmd.Process.Signal(s) }

func (v *process) ended() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

func (v *process) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-v.done:
	case <-ctx.Done():
	}
}

// end leaves no process of the trial behind.
func (v *process) end(state string) {
	v.signal(syscall.SIGKILL)
	<-v.done
	for _, pid := range watchdogs(state) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// said is what a victim printed. It may be called when it has ended.
func (v *process) said() string {
	v.signal(syscall.SIGKILL)
	<-v.done
	return "victim:\n" + v.out.String()
}

func logs(state string) string {
	var b bytes.Buffer
	for _, pattern := range []string{"watchdog/*.log", "ledger/*.json"} {
		files, _ := filepath.Glob(filepath.Join(state, pattern))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			fmt.Fprintf(&b, "%s:\n%s", filepath.Base(f), text)
		}
	}
	return b.String()
}

func calls(srv *podtest.Server) string {
	var b bytes.Buffer
	fmt.Fprintln(&b, "calls:")
	for _, e := range srv.Events() {
		fmt.Fprintln(&b, e)
	}
	for _, p := range srv.Alive() {
		text, _ := os.ReadFile(filepath.Join(p.Root, ".dail", "deadman.log"))
		fmt.Fprintf(&b, "switch of %s (%s):\n%s", p.ID, p.Status, text)
	}
	return b.String()
}

// newKey writes a private SSH key.
func newKey(dir string) (string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "chaos")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "id")
	return path, os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}
