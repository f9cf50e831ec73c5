package pod

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/clock"
)

// field is an account after some weeks: machines of all sorts, and a ledger.
// Names say what they are.
type field struct {
	t     *testing.T
	cloud *fakeCloud
	state string
	l     *ledger
	names map[string]string // sort → name
}

// onField runs a test in a bubble, as owner kim@box.
func onField(t *testing.T, test func(t *testing.T, f *field)) {
	t.Setenv("DAIL_OWNER", "kim@box")
	synctest.Test(t, func(t *testing.T) {
		f := &field{t: t, cloud: newFakeCloud(clock.Wall{}), state: t.TempDir(), names: make(map[string]string)}
		var err error
		if f.l, err = openLedger(f.state); err != nil {
			t.Fatal(err)
		}
		test(t, f)
	})
}

// machine makes one with a marker, told by sort.
func (f *field) machine(sort, owner string, keep time.Duration) Machine {
	now := time.Now()
	m := &Marker{Owner: owner, Run: "run-" + sort, Deadline: now.Add(time.Hour)}
	if keep != 0 {
		m.Keep = now.Add(keep)
	}
	f.names[sort] = NewName(now)
	return f.cloud.add(f.names[sort], m)
}

// foreign makes one that is not ours.
func (f *field) foreign(sort, name string) {
	f.names[sort] = name
	f.cloud.add(name, nil)
}

// Processes of this computer: this one, and one that has ended.
var (
	living = processOf(os.Getpid())
	ended  = process{PID: os.Getpid(), Start: "another boot/1"}
)

// entry writes one into the ledger.
func (f *field) entry(sort string, id string, program, watchdog process) entry {
	f.t.Helper()
	if f.names[sort] == "" {
		f.names[sort] = NewName(time.Now())
	}
	e := entry{Name: f.names[sort], ID: id, Provider: "fake", Account: "fake:1", Owner: "kim@box", Run: "run-" + sort, State: stateServing,
		Intent: time.Now(), Deadline: time.Now().Add(time.Hour), Host: hostname(), Program: program, Watchdog: watchdog}
	if id == "" {
		e.State = stateUnclear
	}
	put(f.t, f.l, e)
	return e
}

// reap does it, and returns what became of each sort.
func (f *field) reap(opts ReapOptions) (map[string]Action, []Reaped, error) {
	f.t.Helper()
	opts.State = f.state
	results, err := Reap(f.t.Context(), f.cloud, opts)
	got := make(map[string]Action)
	for _, r := range results {
		if r.Reason == "" {
			f.t.Errorf("%s: %s for no reason", r.Machine.Name, r.Action)
		}
		for sort, name := range f.names {
			if name == r.Machine.Name {
				got[sort] = r.Action
			}
		}
	}
	return got, results, err
}

func (f *field) want(got, want map[string]Action) {
	f.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("what became of them (-want +got):\n%s", diff)
	}
	for sort, name := range f.names {
		lives := slices.Contains(f.cloud.alive(), name)
		a := want[sort]
		if ended := a == ActionEnded || a == ActionForgotten || a == ActionWouldForget; ended == lives {
			f.t.Errorf("%s: %s, and alive: %v", sort, a, lives)
		}
	}
}

// settled is a field with one of each sort.
func (f *field) settled() {
	f.foreign("foreign", "training-run-7")
	f.foreign("ours by name only", "dail-1700000000-0000000000000000")
	f.machine("colleague's", "lee@desk", 0)
	f.machine("colleague's, kept", "lee@desk", 2*time.Hour)
	f.machine("kept", "kim@box", 2*time.Hour)
	f.machine("unknown", "kim@box", 0)
	lives, watched, dead := f.machine("lives", "kim@box", 0), f.machine("watched", "kim@box", 0), f.machine("dead", "kim@box", 0)
	f.entry("lives", lives.ID, living, living)
	f.entry("watched", watched.ID, ended, living)
	f.entry("dead", dead.ID, ended, ended)
	away := f.machine("another computer's", "kim@box", 0)
	e := f.entry("another computer's", away.ID, ended, ended)
	e.Host = "elsewhere"
	put(f.t, f.l, e)
	time.Sleep(20 * time.Minute)
}

func TestReapByHandEndsAllOfOurs(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.settled()
		got, results, err := f.reap(ReapOptions{})
		if err != nil {
			t.Error(err)
		}
		f.want(got, map[string]Action{
			"ours by name only": ActionLeft, "colleague's": ActionLeft, "colleague's, kept": ActionLeft, "kept": ActionLeft,
			"unknown": ActionEnded, "lives": ActionEnded, "watched": ActionEnded, "dead": ActionEnded, "another computer's": ActionEnded,
		})
		for _, r := range results {
			if r.Machine.Name == f.names["kept"] && !strings.Contains(r.Reason, "fakectl rm "+r.Machine.ID) {
				t.Errorf("it is not said how to end a kept one: %s", r.Reason)
			}
			if r.Machine.Name == f.names["colleague's"] && !strings.Contains(r.Reason, "lee@desk") {
				t.Errorf("it is not said whose it is: %s", r.Reason)
			}
		}
		if good, bad, err := f.l.entries(); len(good)+len(bad) > 0 || err != nil {
			t.Errorf("left in the ledger: %v %v %v", good, bad, err)
		}
		// When its time has come, a kept one is one as any other.
		time.Sleep(2 * time.Hour)
		got, _, err = f.reap(ReapOptions{})
		if got["kept"] != ActionEnded || err != nil {
			t.Errorf("kept until now: %s, %v", got["kept"], err)
		}
	})
}

func TestReapOnStartSparesWhatSomebodyAnswersFor(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.settled()
		want := map[string]Action{
			"ours by name only": ActionLeft, "colleague's": ActionLeft, "colleague's, kept": ActionLeft, "kept": ActionLeft,
			"unknown": ActionLeft, "lives": ActionLeft, "watched": ActionLeft, "dead": ActionEnded, "another computer's": ActionLeft,
		}
		got, _, err := f.reap(ReapOptions{OnStart: true})
		if err != nil {
			t.Error(err)
		}
		f.want(got, want)

		// Past its deadline one that nobody here knows is ended. Those whose program
		// runs are that program's.
		time.Sleep(time.Hour)
		want["unknown"] = ActionEnded
		delete(want, "dead")
		got, _, err = f.reap(ReapOptions{OnStart: true})
		if err != nil {
			t.Error(err)
		}
		delete(f.names, "dead")
		f.want(got, want)
	})
}

func TestReapOfAllAsksFirst(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.settled()
		all := len(f.cloud.alive())
		if _, _, err := f.reap(ReapOptions{All: true}); !errors.Is(err, ErrNotConfirmed) {
			t.Errorf("nobody was asked: %v", err)
		}
		var asked []Machine
		confirm := func(yes bool) func([]Machine) bool {
			return func(m []Machine) bool { asked = m; return yes }
		}
		if _, _, err := f.reap(ReapOptions{All: true, Confirm: confirm(false)}); !errors.Is(err, ErrNotConfirmed) {
			t.Errorf("the answer was no: %v", err)
		}
		if n := len(f.cloud.alive()); n != all {
			t.Errorf("%d of %d machines are left", n, all)
		}
		if len(asked) != 6 {
			t.Errorf("asked about %v", asked)
		}
		got, _, err := f.reap(ReapOptions{All: true, Confirm: confirm(true)})
		if err != nil {
			t.Error(err)
		}
		f.want(got, map[string]Action{
			"ours by name only": ActionLeft, "colleague's": ActionEnded, "colleague's, kept": ActionLeft, "kept": ActionLeft,
			"unknown": ActionEnded, "lives": ActionEnded, "watched": ActionEnded, "dead": ActionEnded, "another computer's": ActionEnded,
		})
		asked = nil
		if _, _, err := f.reap(ReapOptions{All: true, Confirm: confirm(false)}); err != nil || asked != nil {
			t.Errorf("asked about nothing: %v, %v", asked, err)
		}
	})
}

func TestReapDryRunTouchesNothing(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.settled()
		f.entry("forgotten", "id99", ended, ended)
		time.Sleep(20 * time.Minute)
		got, _, err := f.reap(ReapOptions{DryRun: true, All: true})
		if err != nil {
			t.Error(err)
		}
		f.want(got, map[string]Action{
			"ours by name only": ActionLeft, "colleague's": ActionWouldEnd, "colleague's, kept": ActionLeft, "kept": ActionLeft,
			"unknown": ActionWouldEnd, "lives": ActionWouldEnd, "watched": ActionWouldEnd, "dead": ActionWouldEnd, "another computer's": ActionWouldEnd,
			"forgotten": ActionWouldForget,
		})
		if f.cloud.count("terminate id3") > 0 || len(f.mustEntries()) != 5 {
			t.Error("something was touched")
		}
	})
}

func (f *field) mustEntries() []entry {
	f.t.Helper()
	good, bad, err := f.l.entries()
	if err != nil || len(bad) > 0 {
		f.t.Fatal(bad, err)
	}
	return good
}

func TestReapSparesTheYoung(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.machine("old", "kim@box", 0)
		time.Sleep(40 * time.Minute)
		f.machine("young", "kim@box", 0)
		f.machine("young by its name", "kim@box", 0)
		f.cloud.machines[2].Created = time.Time{} // the provider does not say
		time.Sleep(10 * time.Minute)
		got, _, err := f.reap(ReapOptions{Age: 30 * time.Minute})
		if err != nil {
			t.Error(err)
		}
		f.want(got, map[string]Action{"old": ActionEnded, "young": ActionLeft, "young by its name": ActionLeft})
	})
}

func TestReapFailsLoudly(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.settled()
		all := len(f.cloud.alive())
		f.cloud.fault = refuse("list", -1, ErrBusy)
		if _, _, err := f.reap(ReapOptions{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "nothing was ended") {
			t.Errorf("a list that cannot be had: %v", err)
		}
		if len(f.cloud.alive()) != all {
			t.Error("something was ended by guessing")
		}

		// One that cannot be ended is told of, and does not save the others.
		stubborn := f.names["unknown"]
		i := slices.IndexFunc(f.cloud.machines, func(m *fakeMachine) bool { return m.Name == stubborn })
		id := f.cloud.machines[i].ID
		f.cloud.fault = func(_ context.Context, op, called string) error {
			if op == "terminate" && called == id {
				return &ProviderError{Provider: "fake", Op: op, ID: id, Kind: ErrConflict}
			}
			return nil
		}
		broken := f.l.path("dail-1700000000-ffffffffffffffff")
		if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		got, _, err := f.reap(ReapOptions{})
		var left *LeftError
		if !errors.As(err, &left) || left.ID != id || time.Since(began) != reapTimeout {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err == nil || !strings.Contains(err.Error(), broken) {
			t.Errorf("a ledger file that cannot be read is not told of: %v", err)
		}
		if got["unknown"] != ActionFailed || got["dead"] != ActionEnded || got["lives"] != ActionEnded {
			t.Errorf("what became of them: %v", got)
		}
	})
}

// Entries without a machine: some will have one, some never had, and of some
// somebody else will say.
func TestReapSettlesTheLedger(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.entry("gone", "id77", ended, ended)
		f.entry("never appeared", "", ended, ended)
		f.entry("somebody is at it", "", living, living)
		f.entry("its watchdog is at it", "", ended, living)
		other := f.entry("another account's", "id78", ended, ended)
		other.Account = "fake:2"
		put(t, f.l, other)
		away := f.entry("another computer's", "id79", ended, ended)
		away.Host = "elsewhere"
		put(t, f.l, away)
		time.Sleep(20 * time.Minute)
		f.entry("may appear", "", ended, ended)
		unlisted := f.machine("not in the list", "kim@box", 0)
		f.entry("not in the list", unlisted.ID, ended, ended)
		time.Sleep(2 * time.Minute)
		hidden := true
		c := f.cloud
		c.fault = func(_ context.Context, op, _ string) error {
			if op == "list" { // the first list is a late one
				c.mu.Lock()
				defer c.mu.Unlock()
				c.machines[0].Created = time.Now()
				c.showAfter = time.Nanosecond
				if !hidden {
					c.showAfter = 0
				}
				hidden = false
			} else {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.showAfter = 0
			}
			return nil
		}
		got, _, err := f.reap(ReapOptions{})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]Action{
			"gone": ActionForgotten, "never appeared": ActionForgotten, "may appear": ActionLeft, "not in the list": ActionEnded,
		}, got); diff != "" {
			t.Errorf("what became of them (-want +got):\n%s", diff)
		}
		var left []string
		for _, e := range f.mustEntries() {
			left = append(left, strings.TrimPrefix(e.Run, "run-"))
		}
		slices.Sort(left)
		if diff := cmp.Diff([]string{"another account's", "another computer's", "its watchdog is at it", "may appear", "somebody is at it"}, left); diff != "" {
			t.Errorf("ledger (-want +got):\n%s", diff)
		}

		c.fault = refuse("get", -1, ErrBusy)
		f.entry("of which nothing can be known", "id80", ended, ended)
		if _, _, err := f.reap(ReapOptions{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "id80") {
			t.Errorf("err = %v", err)
		}
	})
}

// The panic button works without a ledger.
func TestReapWithoutALedger(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		f.machine("ours", "kim@box", 0)
		f.state = f.l.path("file")
		if err := os.WriteFile(f.state, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := f.reap(ReapOptions{OnStart: true})
		if err == nil || !strings.Contains(err.Error(), "DAIL_STATE") {
			t.Errorf("err = %v", err)
		}
		f.want(got, map[string]Action{"ours": ActionLeft})
		got, _, err = f.reap(ReapOptions{})
		if err == nil {
			t.Error("nothing is said of the ledger")
		}
		f.want(got, map[string]Action{"ours": ActionEnded})
	})
}

func TestReapLeavesARenamedMachine(t *testing.T) {
	onField(t, func(t *testing.T, f *field) {
		m := f.machine("renamed", "kim@box", 0)
		f.entry("renamed", m.ID, ended, ended)
		f.cloud.machines[0].Name = "mine-now"
		time.Sleep(time.Hour)
		_, results, err := f.reap(ReapOptions{})
		if err == nil || !strings.Contains(err.Error(), "mine-now") || len(results) > 0 {
			t.Errorf("%v, %v", results, err)
		}
		if len(f.mustEntries()) != 1 || len(f.cloud.alive()) != 1 {
			t.Error("it was forgotten, or ended")
		}
	})
}
