package pod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/x/dail/internal/clock"
)

// ReapOptions shapes Reap. The zero value ends every machine of ours, of
// whatever age, except those that are kept.
type ReapOptions struct {
	// OnStart is the careful form, for the start of a program: it spares what
	// a program or a watchdog that still runs answers for.
	OnStart bool
	// All takes in the machines of other owners as well. It asks first.
	All bool
	// Confirm is asked before All ends anything; nil is no.
	Confirm func([]Machine) bool
	// Age spares machines that are younger.
	Age time.Duration
	// DryRun ends nothing and says what would be.
	DryRun bool
	// State is the folder of the ledger; empty is [StateDir].
	State string
	Clock Clock
}

// Action is what Reap did about a machine.
type Action string

// The actions.
const (
	ActionEnded     Action = "ended"     // and confirmed gone
	ActionFailed    Action = "not ended" // it may still cost money
	ActionLeft      Action = "left alone"
	ActionForgotten Action = "forgotten" // an entry of the ledger that no machine belongs to any more
	// With DryRun:
	ActionWouldEnd    Action = "would end"
	ActionWouldForget Action = "would forget"
)

// Reaped is what became of one machine, and why.
type Reaped struct {
	Machine Machine
	Action  Action
	Reason  string
}

// ErrNotConfirmed is a Reap with All to which nobody said yes.
var ErrNotConfirmed = errors.New("machines of other owners are only ended when that is confirmed; nothing was ended")

const (
	// reapTimeout is how long ending one machine may take.
	reapTimeout = 2 * time.Minute
	// reapAtOnce is how many machines are ended at once.
	reapAtOnce = 4
	// forgetAfter is the age from which an entry without a machine has none.
	forgetAfter = 15 * time.Minute
)

// Reap ends the machines at p that were left behind, and returns what it did
// about each machine with our name. It only ever ends one whose name begins
// with [NamePrefix] and that carries a [Marker]; never one whose marker keeps it;
// one of another owner only with All. A list that cannot be had, a machine that
// cannot be ended and a ledger that cannot be read are errors, and a result
// comes with them.
func Reap(ctx context.Context, p Provider, opts ReapOptions) ([]Reaped, error) {
	if opts.All && opts.Confirm == nil && !opts.DryRun {
		return nil, ErrNotConfirmed
	}
	r, err := newReaper(p, opts)
	if err != nil {
		return nil, err
	}
	machines, err := r.machines(ctx)
	if err != nil {
		return nil, errors.Join(append(r.errs, err)...)
	}
	results := make([]Reaped, 0, len(machines))
	var due []Machine
	for _, m := range machines {
		results = append(results, r.judge(m))
		if results[len(results)-1].Action == ActionWouldEnd {
			due = append(due, m)
		}
	}
	if opts.All && !opts.DryRun && len(due) > 0 && !opts.Confirm(due) {
		return nil, ErrNotConfirmed
	}
	if !opts.DryRun {
		r.end(ctx, results)
	}
	results = append(results, r.forget(machines)...)
	return results, errors.Join(r.errs...)
}

// reaper is the state of one Reap.
type reaper struct {
	p       Provider
	opts    ReapOptions
	clk     Clock
	owner   string
	account string           // see entry.Account
	ledger  *ledger          // nil where it cannot be opened
	entries map[string]entry // by name
	unclear map[string]bool  // names of machines of which nothing could be known
	errs    []error          // what went wrong and stops nothing
}

func newReaper(p Provider, opts ReapOptions) (*reaper, error) {
	r := &reaper{p: p, opts: opts, clk: clock.Or(opts.Clock), owner: Owner(), entries: make(map[string]entry), unclear: make(map[string]bool)}
	if s, ok := p.(Survivor); ok {
		public, _, err := s.Handover()
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.About().Name, err)
		}
		r.account = string(public)
	}
	if err := r.read(); err != nil {
		// A full disk must not stop who wants to end a bill. The careful form
		// finds no reason to end anything then.
		r.errs = append(r.errs, err)
	}
	return r, nil
}

// read takes in the ledger.
func (r *reaper) read() error {
	state, err := stateDir(r.opts.State)
	if err != nil {
		return err
	}
	l, err := openLedger(state)
	if err != nil {
		return err
	}
	good, bad, err := l.entries()
	if err != nil {
		return err
	}
	r.ledger = l
	for _, e := range good {
		r.entries[e.Name] = e
	}
	for _, e := range bad {
		r.errs = append(r.errs, e)
	}
	return nil
}

// strike takes an entry out of the ledger.
func (r *reaper) strike(name string) error {
	if r.ledger == nil {
		return nil
	}
	return r.ledger.remove(name)
}

// machines are those with our name that exist: the provider's list, and what
// the ledger knows the id of and the list does not show.
func (r *reaper) machines(ctx context.Context) ([]Machine, error) {
	all, err := call(ctx, r.clk, func(ctx context.Context) ([]Machine, error) { return r.p.List(ctx) })
	if err != nil {
		return nil, fmt.Errorf("provider %s: which machines there are is not known, so nothing was ended: %w", r.p.About().Name, err)
	}
	ours := slices.DeleteFunc(slices.Clone(all), func(m Machine) bool {
		return m.State == Gone || !strings.HasPrefix(m.Name, NamePrefix)
	})
	for _, e := range r.sorted() {
		listed := slices.ContainsFunc(all, func(m Machine) bool { return m.Name == e.Name })
		if e.ID == "" || listed || !r.here(e) {
			continue
		}
		m, err := call(ctx, r.clk, func(ctx context.Context) (Machine, error) { return r.p.Get(ctx, e.ID) })
		switch {
		case errors.Is(err, ErrNotFound), err == nil && m.State == Gone:
		case err != nil:
			r.unclear[e.Name] = true
			r.errs = append(r.errs, fmt.Errorf("provider %s: whether machine %s (%s) exists is not known: %w", r.p.About().Name, e.Name, e.ID, err))
		case m.Name != e.Name:
			r.unclear[e.Name] = true
			r.errs = append(r.errs, fmt.Errorf("provider %s: machine %s is ours and was given another name, %q, so it is not touched: %s",
				r.p.About().Name, e.ID, m.Name, endByHand(r.p, e.ID, m.Name)))
		default:
			ours = append(ours, m)
		}
	}
	return ours, nil
}

// here reports whether an entry is about this provider's account.
func (r *reaper) here(e entry) bool {
	return e.Provider == r.p.About().Name && e.Account == r.account
}

// judge decides about one machine.
func (r *reaper) judge(m Machine) Reaped {
	now := r.clk.Now()
	left := func(format string, args ...any) Reaped {
		return Reaped{m, ActionLeft, fmt.Sprintf(format, args...)}
	}
	switch {
	case m.Marker == nil:
		return left("it carries our name, but no marker of ours")
	case m.Marker.Keep.After(now):
		return left("it is kept until %s; before that: %s", m.Marker.Keep.Format(time.DateTime), endByHand(r.p, m.ID, m.Name))
	case m.Marker.Owner != r.owner && !r.opts.All:
		return left("it is %s's, and this is %s", m.Marker.Owner, r.owner)
	}
	if made := madeAt(m); r.opts.Age > 0 && now.Sub(made) < r.opts.Age {
		return left("it is younger than %v", r.opts.Age)
	}
	late := !m.Marker.Deadline.After(now)
	e, known := r.entries[m.Name]
	answers := known && (alive(e) || watched(e))
	switch {
	case answers && r.opts.OnStart:
		return left("%s", whoAnswers(e))
	case late:
		return Reaped{m, ActionWouldEnd, "its deadline was " + m.Marker.Deadline.Format(time.DateTime)}
	case !known && r.opts.OnStart:
		return left("no program on this computer knows it; its deadline is %s", m.Marker.Deadline.Format(time.DateTime))
	case answers:
		return Reaped{m, ActionWouldEnd, whoAnswers(e) + ", which does not save it from a reap by hand"}
	case known:
		return Reaped{m, ActionWouldEnd, fmt.Sprintf("its program (process %d) and its watchdog have ended", e.Program.PID)}
	}
	return Reaped{m, ActionWouldEnd, "it is " + m.Marker.Owner + "'s, of run " + m.Marker.Run}
}

func whoAnswers(e entry) string {
	if e.Host != hostname() {
		return "its program is one of another computer, " + e.Host
	}
	if alive(e) {
		return fmt.Sprintf("its program runs (process %d, run %s)", e.Program.PID, e.Run)
	}
	return fmt.Sprintf("its watchdog runs (process %d, run %s)", e.Watchdog.PID, e.Run)
}

// madeAt is when a machine was made, as far as anybody says.
func madeAt(m Machine) time.Time {
	if m.Created.IsZero() {
		made, _ := nameTime(m.Name)
		return made
	}
	return m.Created
}

// end ends what is to be ended, and writes into the results what came of it.
func (r *reaper) end(ctx context.Context, results []Reaped) {
	var g errgroup.Group // of which one failure cancels nothing
	g.SetLimit(reapAtOnce)
	errs := make([]error, len(results))
	for i := range results {
		if results[i].Action != ActionWouldEnd {
			continue
		}
		g.Go(func() error {
			res := &results[i]
			ctx, cancel := r.clk.WithTimeout(ctx, reapTimeout, fmt.Errorf("%v were not enough", reapTimeout))
			defer cancel()
			if err := end(ctx, r.p, r.clk, res.Machine.ID, res.Machine.Name); err != nil {
				res.Action, res.Reason, errs[i] = ActionFailed, err.Error(), err
				return nil
			}
			res.Action, errs[i] = ActionEnded, r.strike(res.Machine.Name)
			return nil
		})
	}
	_ = g.Wait() // each error is in errs
	r.errs = append(r.errs, errs...)
}

// forget takes entries out of the ledger that no machine belongs to, and that
// nobody is at work on.
func (r *reaper) forget(machines []Machine) []Reaped {
	var done []Reaped
	for _, e := range r.sorted() {
		exists := slices.ContainsFunc(machines, func(m Machine) bool { return m.Name == e.Name })
		if exists || r.unclear[e.Name] || !r.here(e) || alive(e) || watched(e) {
			continue
		}
		res := Reaped{Machine: Machine{ID: e.ID, Name: e.Name, USDPerHour: e.USDPerHour}, Action: ActionForgotten}
		if age := r.clk.Now().Sub(e.Intent); age < forgetAfter {
			res.Action = ActionLeft
			res.Reason = fmt.Sprintf("there is no such machine, but it was asked for only %v ago and may still appear; look again in %v",
				age.Round(time.Second), (forgetAfter - age).Round(time.Second))
		} else {
			res.Reason = "the ledger knew it as " + string(e.State) + ", and there is no such machine"
			if r.opts.DryRun {
				res.Action = ActionWouldForget
			} else {
				r.errs = append(r.errs, r.strike(e.Name))
			}
		}
		done = append(done, res)
	}
	return done
}

// sorted are the ledger's entries, by name.
func (r *reaper) sorted() []entry {
	return slices.SortedFunc(maps.Values(r.entries), func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
}
