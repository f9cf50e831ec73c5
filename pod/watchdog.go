package pod

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/x/dail/internal/clock"
)

// Times that the watchdog goes by.
const (
	// beatEach is how often a program says that it is there.
	beatEach = 10 * time.Second
	// silentAfter is the silence after which it counts as gone: stopped, or so
	// far out of breath that it gives nothing back either.
	silentAfter = 40 * time.Second
	// lookEach is how often the watchdog looks at its ledger.
	lookEach = 2 * time.Second
	// giveUpAfter is how long it tries to end one machine.
	giveUpAfter = 24 * time.Hour
	// logAge is how long its logs are kept.
	logAge = 30 * 24 * time.Hour
)

// These two are of the real time, since they wait for real processes.
const (
	handshakeTimeout = 30 * time.Second
	exitTimeout      = 5 * time.Second
)

// job is the first line on a watchdog's stdin.
type job struct {
	Kind    string  `json:"kind"`
	Public  []byte  `json:"public"`
	Secret  []byte  `json:"secret"`
	Run     string  `json:"run"`
	Program process `json:"program"`
	State   string  `json:"state"`
	Clock   string  `json:"clock,omitempty"` // of clock.Fast; empty: the wall clock
}

// duty is what a watchdog is started for.
type duty struct {
	Provider Survivor
	Run      string
	State    string // the folder; empty is StateDir
	Clock    Clock
}

// watchdog is the process that gives machines back when this one cannot. It
// ends by itself, once this program has ended and nothing is left to guard.
type watchdog struct {
	clk     clock.Clock
	job     job
	ledger  *ledger
	process process // the watchdog's
	log     string  // the path of its log

	stdin *os.File
	done  chan struct{} // closed when the watchdog's process has ended
	stop  context.CancelFunc
	beats sync.WaitGroup
	once  sync.Once
}

// startWatchdog executes this program once more and returns when it is on
// guard. From here on it acts by the ledger alone: what stands there with this
// run and this process is ended if this process is gone.
func startWatchdog(ctx context.Context, d duty) (*watchdog, error) {
	w := &watchdog{clk: clock.Or(d.Clock), done: make(chan struct{})}
	if err := w.prepare(d); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := w.start(ctx); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	beating, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.beats.Go(func() {
		for w.clk.Sleep(beating, beatEach) == nil {
			if _, err := w.stdin.WriteString("beat\n"); err != nil {
				return // it has ended: done says so
			}
		}
	})
	return w, nil
}

// prepare makes the job, and opens the ledger that both sides go by.
func (w *watchdog) prepare(d duty) (err error) {
	name := d.Provider.About().Name
	kinds := mainKinds.Load()
	if kinds == nil {
		return errors.New("this program may spend money and could not give it back if it were killed: make pod.Main() the first line of main (and of TestMain)")
	}
	if _, ok := kindOf(*kinds, name); !ok {
		return fmt.Errorf("nobody knows how to open a provider %q again: tell pod.Main its Kind", name)
	}
	w.job = job{Kind: name, Run: d.Run, Program: processOf(os.Getpid())}
	if w.job.Clock, err = clockText(d.Clock); err != nil {
		return err
	}
	if w.job.State, err = stateDir(d.State); err != nil {
		return err
	}
	if w.ledger, err = openLedger(w.job.State); err != nil {
		return err
	}
	if w.log, err = logFile(w.job.State, d.Run); err != nil {
		return err
	}
	if w.job.Public, w.job.Secret, err = d.Provider.Handover(); err != nil {
		return fmt.Errorf("provider %s: %w", name, err)
	}
	return nil
}

// intent is the entry of a machine that is about to be asked for.
func (w *watchdog) intent(s Spec) entry {
	return entry{
		Name: s.Name, Provider: w.job.Kind, Account: string(w.job.Public), Owner: s.Marker.Owner, Run: w.job.Run,
		State: stateIntended, USDPerHour: s.Offer.USDPerHour,
		Intent: w.clk.Now().Round(0), Deadline: s.Marker.Deadline, Keep: s.Marker.Keep,
		Host: hostname(), Program: w.job.Program, Watchdog: w.process,
	}
}

// covers reports whether an entry is of the program that the job is about.
// Entries of the same run by another process (a run that is resumed) have a
// watchdog of their own.
func (j *job) covers(e entry) bool {
	return e.Run == j.Run && e.Program == j.Program && e.Provider == j.Kind
}

// clockText is how a clock travels to another process.
func clockText(c Clock) (string, error) {
	switch c := clock.Or(c).(type) {
	case clock.Wall:
		return "", nil
	case clock.Fast:
		text, err := c.MarshalText()
		return string(text), err
	default:
		return "", fmt.Errorf("a clock of type %T cannot be handed to another process", c)
	}
}

// logFile makes the folder of the logs, takes old ones away, and returns where
// this run's goes.
func logFile(state, run string) (string, error) {
	dir := filepath.Join(state, "watchdog")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		// By the wall clock, which is the files'. One that cannot be removed is no
		// reason not to start.
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > logAge {
			_ = os.Remove(path)
		}
	}
	return filepath.Join(dir, strings.TrimLeft(plain(run), ".")+".log"), nil
}

// start executes the program, hands the job over, and waits for its answer.
func (w *watchdog) start(ctx context.Context) (err error) {
	line, err := json.Marshal(w.job)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(w.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	answer, out, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdin.Close())
	}
	defer answer.Close()
	exe, err := executable()
	if err == nil {
		cmd := &exec.Cmd{
			Path: exe, Args: []string{filepath.Base(os.Args[0]), watchdogArg}, Dir: "/",
			Env: watchdogEnv(os.Environ()), Stdin: in, Stdout: out, Stderr: log,
			// A session of its own: no Ctrl-C and no closing terminal reaches it.
			SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		}
		if err = cmd.Start(); err == nil {
			w.process = processOf(cmd.Process.Pid)
			go func() { defer close(w.done); _ = cmd.Wait() }() // so that no zombie is left; its log has the reason
		}
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, stdin.Close())
	}
	if err = w.handshake(ctx, stdin, answer, append(line, '\n')); err != nil {
		_ = syscall.Kill(w.process.PID, syscall.SIGKILL)
		<-w.done
		return errors.Join(fmt.Errorf("%w; its log is %s", err, w.log), stdin.Close())
	}
	w.stdin = stdin
	return nil
}

// handshake hands the job over and waits until the watchdog is ready.
func (w *watchdog) handshake(ctx context.Context, stdin, answer *os.File, line []byte) error {
	until := time.Now().Add(handshakeTimeout)
	if err := errors.Join(stdin.SetWriteDeadline(until), answer.SetReadDeadline(until)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _, _ = stdin.SetWriteDeadline(time.Unix(1, 0)), answer.SetReadDeadline(time.Unix(1, 0)) })
	_, err := stdin.Write(line)
	said, readErr := bufio.NewReader(answer).ReadString('\n')
	switch said = strings.TrimSpace(said); {
	case !stop():
		return context.Cause(ctx)
	case said == ready:
		return stdin.SetWriteDeadline(time.Time{})
	case said != "":
		return errors.New(said)
	}
	return fmt.Errorf("it did not get ready: %w", errors.Join(err, readErr))
}

// executable is this program. On Linux it is so even if its file has been
// replaced or removed meanwhile, as a new build does.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		const self = "/proc/self/exe"
		if _, err := os.Stat(self); err == nil {
			return self, nil
		}
	}
	return os.Executable()
}

// watchdogEnv is what a watchdog gets of the environment: what TLS, proxies,
// its folders and coverage need. Keys come over stdin.
func watchdogEnv(env []string) []string {
	keep := []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"HOME", "PATH", "TMPDIR", "XDG_STATE_HOME", "DAIL_STATE", "DAIL_OWNER", "GOCOVERDIR"}
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(keep, name)
	})
}

// close says that this program needs the watchdog no more. If nothing of the
// run is left in the ledger, it waits for the watchdog's end; else the watchdog
// goes on by itself, with what was kept, or could not be ended.
func (w *watchdog) close() {
	w.once.Do(func() {
		w.stop()
		_ = w.stdin.Close() // that is the message; also of use to a beat that hangs in the pipe
		w.beats.Wait()
	})
	good, bad, err := w.ledger.entries()
	if err != nil || len(bad) > 0 || slices.ContainsFunc(good, w.job.covers) {
		return
	}
	select {
	case <-w.done:
	case <-time.After(exitTimeout):
	}
}
