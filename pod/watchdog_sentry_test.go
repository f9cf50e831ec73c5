package pod

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/clock"
)

// post is a sentry on guard in this process, in a bubble, over a program that
// is a pipe.
type post struct {
	t       *testing.T
	cloud   *fakeCloud
	ledger  *ledger
	job     job
	program *io.PipeWriter
	exit    chan int

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *post) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *post) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// onGuard runs a test in a bubble with a sentry on guard.
func onGuard(t *testing.T, clk Clock, test func(t *testing.T, p *post)) {
	synctest.Test(t, func(t *testing.T) {
		in, program := io.Pipe()
		p := &post{
			t: t, cloud: newFakeCloud(clk), ledger: testLedger(t), program: program, exit: make(chan int, 1),
			job: job{Kind: "fake", Run: "run1", Program: process{PID: 4711, Start: "boot/1"}},
		}
		p.cloud.add("somebody-elses", nil)
		s := newSentry(p.job, p.cloud, p.ledger, clk, p)
		go func() { p.exit <- s.stand(bufio.NewReader(in)) }()
		test(t, p)
		program.Close()
		<-p.exit
	})
}

// want waits for the sentry's end and looks at what is left.
func (p *post) want(status int, machines ...string) {
	p.t.Helper()
	if got := <-p.exit; got != status {
		p.t.Errorf("exit status %d, want %d; the log:\n%s", got, status, p.said())
	}
	p.exit <- status
	p.wantAlive(machines...)
}

func (p *post) wantAlive(machines ...string) {
	p.t.Helper()
	if diff := cmp.Diff(append([]string{"somebody-elses"}, machines...), p.cloud.alive()); diff != "" {
		p.t.Errorf("machines (-want +got):\n%s\nthe log:\n%s", diff, p.said())
	}
}

func (p *post) wantLedger(names ...string) {
	p.t.Helper()
	good, bad, err := p.ledger.entries()
	var got []string
	for _, e := range good {
		got = append(got, e.Name)
	}
	if diff := cmp.Diff(names, got); diff != "" || err != nil || len(bad) > 0 {
		p.t.Errorf("ledger (-want +got): %v %v\n%s", err, bad, diff)
	}
}

// entry puts an entry of the program that is watched.
func (p *post) entry(name string, state entryState, id string) entry {
	p.t.Helper()
	now := p.cloud.clk.Now()
	e := entry{Name: name, Provider: "fake", Run: p.job.Run, Owner: "kim@box", State: state, ID: id,
		Intent: now, Deadline: now.Add(time.Hour), Host: hostname(), Program: p.job.Program}
	put(p.t, p.ledger, e)
	return e
}

// machine is one that serves, with its entry.
func (p *post) machine() entry {
	p.t.Helper()
	m := p.cloud.add(NewName(p.cloud.clk.Now()), nil)
	return p.entry(m.Name, stateServing, m.ID)
}

// beat keeps the program talking for a while.
func (p *post) beat(clk Clock, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); _ = clk.Sleep(context.Background(), beatEach) {
		io.WriteString(p.program, "beat\n")
	}
}

// What the program has given back itself costs one last look.
func TestProgramThatEndedCleanlyNeedsNoWatchdog(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		p.beat(clock.Wall{}, time.Minute)
		if err := end(t.Context(), p.cloud, nil, e.ID, e.Name); err != nil {
			t.Fatal(err)
		}
		if err := p.ledger.remove(e.Name); err != nil {
			t.Fatal(err)
		}
		before, began := len(p.cloud.callsMade()), time.Now()
		p.program.Close()
		p.want(0)
		if diff := cmp.Diff([]string{"list"}, p.cloud.callsMade()[before:]); diff != "" || time.Since(began) != 0 {
			t.Errorf("after %v; calls (-want +got):\n%s", time.Since(began), diff)
		}
	})
}

func TestProgramThatHadNothingNeedsNoLook(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		p.beat(clock.Wall{}, time.Minute)
		p.program.Close()
		p.want(0)
		if calls := p.cloud.callsMade(); len(calls) > 0 {
			t.Errorf("calls: %v", calls)
		}
	})
}

// The program took its entry back and was wrong: a create that failed, said
// the provider, and was there all the same.
func TestWatchdogVerifiesWhatTheProgramSays(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		p.beat(clock.Wall{}, time.Minute)
		if err := p.ledger.remove(e.Name); err != nil {
			t.Fatal(err)
		}
		p.beat(clock.Wall{}, time.Minute)
		p.wantAlive(e.Name)
		p.cloud.fault = refuse("terminate", 20, ErrBusy) // longer than one attempt
		p.program.Close()
		p.want(0)
		p.wantLedger()
	})
}

// The program may end at any point of a machine's life.
func TestProgramEndsAnywhere(t *testing.T) {
	tests := []struct {
		name string
		life func(p *post)
		most time.Duration // until the sentry's end
	}{
		{"between intent and request", func(p *post) { p.entry(NewName(time.Now()), stateIntended, "") }, lateAfter + lateEvery},
		{"while it is created", func(p *post) {
			p.cloud.showAfter = 3 * time.Minute
			m := p.cloud.add(NewName(time.Now()), nil)
			p.entry(m.Name, stateIntended, "")
		}, 3*time.Minute + lateEvery + lookEach},
		{"between the answer and its note", func(p *post) {
			m := p.cloud.add(NewName(time.Now()), nil)
			p.entry(m.Name, stateIntended, "")
		}, lookEach},
		{"after an unclear answer, with two of them", func(p *post) {
			m := p.cloud.add(NewName(time.Now()), nil)
			p.cloud.add(m.Name, nil)
			p.entry(m.Name, stateUnclear, "")
		}, lookEach},
		{"created, and not yet known to the provider", func(p *post) {
			p.cloud.showAfter = 20 * time.Second
			m := p.cloud.add(NewName(time.Now()), nil)
			p.entry(m.Name, stateCreated, m.ID)
		}, 40 * time.Second},
		{"serving", func(p *post) { p.machine() }, lookEach},
		{"two that serve", func(p *post) { p.machine(); p.machine() }, lookEach},
		{"terminating", func(p *post) {
			e := p.machine()
			if err := p.cloud.Terminate(context.Background(), e.ID); err != nil {
				p.t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}, lookEach},
		{"while the provider is down", func(p *post) {
			p.machine()
			up := time.Now().Add(3 * time.Hour)
			p.cloud.fault = func(_ context.Context, op, id string) error {
				if time.Now().Before(up) {
					return &ProviderError{Provider: "fake", Op: op, ID: id, Kind: ErrBusy}
				}
				return nil
			}
		}, 3*time.Hour + 6*time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
				tt.life(p)
				began := time.Now()
				p.program.Close()
				p.want(0)
				p.wantLedger()
				if took := time.Since(began); took > tt.most {
					t.Errorf("it took %v, want at most %v\n%s", took, tt.most, p.said())
				}
			})
		})
	}
}

func TestSilenceEndsWhatThereIs(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		p.beat(clock.Wall{}, 10*time.Minute)
		p.wantAlive(e.Name)
		time.Sleep(silentAfter - lookEach - beatEach)
		p.wantAlive(e.Name) // it may yet come
		time.Sleep(2 * (lookEach + beatEach))
		p.wantAlive()
		p.wantLedger()

		// The program comes back: it is watched as before.
		io.WriteString(p.program, "beat\n")
		time.Sleep(lookEach)
		again := p.machine()
		p.beat(clock.Wall{}, 10*time.Minute)
		p.wantAlive(again.Name)
		p.program.Close()
		p.want(0)
		p.wantLedger()
	})
}

// lid is a clock that once stands still for ten minutes, as a computer does
// whose lid is closed: nothing is heard meanwhile.
type lid struct {
	clock.Wall
	sleeps *atomic.Int32
}

func (l lid) Sleep(ctx context.Context, d time.Duration) error {
	if l.sleeps.Add(1) == 10 {
		time.Sleep(10 * time.Minute)
	}
	return l.Wall.Sleep(ctx, d)
}

func TestStandingStillIsNotTakenForSilence(t *testing.T) {
	clk := lid{sleeps: new(atomic.Int32)}
	onGuard(t, clk, func(t *testing.T, p *post) {
		e := p.machine()
		time.Sleep(10*time.Minute + silentAfter - beatEach) // no beat came through
		p.beat(clock.Wall{}, time.Minute)
		p.wantAlive(e.Name)
	})
}

func TestKeptMachineStaysUntilItsTime(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		e.Keep = time.Now().Add(3 * time.Hour)
		e.Deadline = e.Keep
		put(t, p.ledger, e)
		other := p.machine()
		p.program.Close()
		time.Sleep(3*time.Hour - time.Minute)
		p.wantAlive(e.Name)
		p.wantLedger(e.Name)
		if !strings.Contains(p.said(), other.Name+" id3: confirmed gone") {
			t.Errorf("the one that was not kept: %s", p.said())
		}
		p.want(0)
		p.wantLedger()
	})
}

func TestDeadlineHoldsForALivingProgram(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		other := p.machine()
		other.Deadline = other.Deadline.Add(time.Hour)
		other.Keep = other.Deadline.Add(time.Hour) // the deadline is the last word
		put(t, p.ledger, other)
		p.beat(clock.Wall{}, time.Hour-time.Minute)
		p.wantAlive(e.Name, other.Name)
		p.beat(clock.Wall{}, 2*time.Minute)
		p.wantAlive(other.Name)
		p.wantLedger(other.Name)
		p.beat(clock.Wall{}, time.Hour)
		p.wantAlive()
	})
}

func TestWatchdogKnowsWhoseEntriesItReads(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		run, program, provider := p.machine(), p.machine(), p.machine()
		run.Run = "run2"
		program.Program = process{PID: 4711, Start: "boot/2"} // the same run, resumed
		provider.Provider = "another"
		for _, e := range []entry{run, program, provider} {
			put(t, p.ledger, e)
		}
		mine := p.machine()
		p.program.Close()
		p.want(0, run.Name, program.Name, provider.Name)
		if p.ledger.has(mine.Name) || !p.ledger.has(program.Name) {
			t.Error("the wrong entries were removed")
		}
	})
}

// What was read once counts until it is really taken back.
func TestWatchdogOutlivesItsLedger(t *testing.T) {
	for name, harm := range map[string]func(p *post, e entry) error{
		"file broken":  func(p *post, e entry) error { return os.WriteFile(p.ledger.path(e.Name), []byte("{"), 0o600) },
		"folder taken": func(p *post, _ entry) error { return os.RemoveAll(p.ledger.dir) },
	} {
		t.Run(name, func(t *testing.T) {
			onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
				e := p.machine()
				p.beat(clock.Wall{}, 20*time.Second)
				if err := harm(p, e); err != nil {
					t.Fatal(err)
				}
				p.beat(clock.Wall{}, time.Minute)
				p.wantAlive(e.Name)
				p.program.Close()
				p.want(0)
				if n := strings.Count(p.said(), "entries known so far"); n != 1 {
					t.Errorf("it was said %d times:\n%s", n, p.said())
				}
			})
		})
	}
}

func TestWatchdogGivesUpLoudly(t *testing.T) {
	t.Parallel()
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		p.cloud.fault = refuse("terminate", -1, ErrUnauthorized)
		began := time.Now()
		p.program.Close()
		p.want(1, e.Name)
		p.wantLedger(e.Name) // for the reaper
		if took := time.Since(began); took < giveUpAfter || took > giveUpAfter+10*time.Minute {
			t.Errorf("it gave up after %v", took)
		}
		for _, want := range []string{"given up", "the key is not accepted", "fakectl rm " + e.ID, "1 of its entries are left"} {
			if !strings.Contains(p.said(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
	})
}

func TestWatchdogOutlivesAPanic(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		p.machine()
		panics := 2
		p.cloud.fault = func(context.Context, string, string) error {
			if panics--; panics >= 0 {
				panic("on purpose")
			}
			return nil
		}
		p.program.Close()
		p.want(0)
		p.wantLedger()
		if !strings.Contains(p.said(), "panic: on purpose") {
			t.Errorf("the log does not say so:\n%s", p.said())
		}
	})
}

// Somebody sees to it while the watchdog still tries, with a key that no
// longer works for it.
func TestWatchdogStopsWhenOthersHaveSeenToIt(t *testing.T) {
	onGuard(t, clock.Wall{}, func(t *testing.T, p *post) {
		e := p.machine()
		p.cloud.fault = refuse("terminate", -1, ErrUnauthorized)
		began := time.Now()
		p.program.Close()
		time.Sleep(time.Hour)
		if err := p.ledger.remove(e.Name); err != nil {
			t.Fatal(err)
		}
		p.want(0, e.Name)
		if took := time.Since(began); took > time.Hour+10*time.Minute {
			t.Errorf("it went on for %v", took)
		}
	})
}
