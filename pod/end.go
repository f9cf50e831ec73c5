package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/x/dail/internal/clock"
)

// Times that the end of a machine goes by.
const (
	// callTimeout bounds one call, so that a connection that hangs does not use
	// up the time in which the call could be repeated.
	callTimeout = 20 * time.Second
	// endWait is the pause after the first round of asking and looking. It
	// doubles up to endWaitMax: three calls a round stay far below 60 a minute.
	endWait    = time.Second
	endWaitMax = 15 * time.Second
	// young is the age below which RunPod was seen to answer 404 for a machine
	// that exists. Until then a machine is not gone because nobody knows it.
	young = time.Minute
	// lateAfter is how long after the intent an unclear create is expected to
	// show up, and lateEvery how often it is looked for.
	lateAfter = 10 * time.Minute
	lateEvery = 10 * time.Second
	// keyTries is how many rounds may be refused because of the key alone. A
	// provider that restarts refuses good keys for a moment; a wrong key never
	// gets better, and whoever waits should hear of it while they are there.
	keyTries = 3
)

// ByHand is an optional part of a [Provider].
type ByHand interface {
	// EndByHand says how a person ends the machine: a command to copy, or the
	// page where it is done.
	EndByHand(id string) string
}

// LeftError is a machine that may still exist, and cost money.
type LeftError struct {
	Provider   string
	ID         string // several are separated by commas; empty where it never became known
	Name       string
	USDPerHour float64 // 0 where it is not known
	ByHand     string  // what a person has to do now
	Err        error   // what the provider said last
}

func (e *LeftError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: machine %s", e.Provider, e.Name)
	if e.ID != "" {
		fmt.Fprintf(&b, " (id %s)", e.ID)
	}
	b.WriteString(" may still run")
	if e.USDPerHour > 0 {
		fmt.Fprintf(&b, ", at $%.2f/h", e.USDPerHour)
	}
	fmt.Fprintf(&b, ": %v; end it by hand: %s", e.Err, e.ByHand)
	return b.String()
}

func (e *LeftError) Unwrap() error { return e.Err }

// endByHand is what a person has to do about a machine.
func endByHand(p Provider, id, name string) string {
	if h, ok := p.(ByHand); ok && id != "" {
		return h.EndByHand(id)
	}
	if id == "" {
		return fmt.Sprintf("if %s's console shows a machine named %s, terminate it there", p.About().Name, name)
	}
	return fmt.Sprintf("terminate the machine %s, named %s, in %s's console", id, name, p.About().Name)
}

// listed asks once for the machines of a name that are not gone.
func listed(ctx context.Context, p Provider, clk Clock, name string) ([]Machine, error) {
	all, err := call(ctx, clk, func(ctx context.Context) ([]Machine, error) { return p.List(ctx) })
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(m Machine) bool { return m.Name != name || m.State == Gone }), nil
}

// call bounds one call to a provider.
func call[T any](ctx context.Context, clk Clock, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := clk.WithTimeout(ctx, callTimeout, errCallTimeout)
	defer cancel()
	return f(ctx)
}

var errCallTimeout = fmt.Errorf("the provider did not answer within %v", callTimeout)

// find looks for the machines of a name, up to tries times, until there is one.
// None is no error, unless the last look failed: a list that could not be had
// says nothing.
func find(ctx context.Context, p Provider, clk Clock, name string, tries int, every time.Duration) ([]Machine, error) {
	clk = clock.Or(clk)
	for try := 1; ; try++ {
		found, err := listed(ctx, p, clk, name)
		if err == nil && len(found) > 0 {
			return found, nil
		}
		if try >= tries {
			return nil, err
		}
		if slept := clk.Sleep(ctx, every); slept != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// settle waits out a create of which it is not known whether it happened: it
// looks for a machine of the name until lateAfter after the intent, and ends
// what appears. A nil error means that there is none and that none is expected
// any more. It goes on past that time while the provider's list cannot be had.
func settle(ctx context.Context, p Provider, clk Clock, name string, intent time.Time) error {
	clk = clock.Or(clk)
	for refused := 0; ; {
		found, err := listed(ctx, p, clk, name)
		switch {
		case err == nil && len(found) > 0:
			return end(ctx, p, clk, found[0].ID, name)
		case err == nil && clk.Now().Sub(intent) >= lateAfter:
			return nil
		case errors.Is(err, ErrUnauthorized):
			refused++
		default:
			refused = 0
		}
		if refused < keyTries && clk.Sleep(ctx, lateEvery) == nil {
			continue
		}
		if err == nil {
			err = errors.New("it was asked for, and may still appear")
		}
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return &LeftError{Provider: p.About().Name, Name: name, ByHand: endByHand(p, "", name),
			Err: err}
	}
}

// end ends the machine of an id, and every other one of its unique name, and
// returns when both the machine's own page and the list say that none is left.
// An empty id stands for whatever carries the name. Whatever the provider
// answers, it is asked again until ctx ends, but for a key that is refused
// keyTries times. The error is a *[LeftError].
func end(ctx context.Context, p Provider, clk Clock, id, name string) error {
	e := ending{p: p, clk: clock.Or(clk), name: name, asked: make(map[string]bool)}
	if id != "" {
		e.ids = []string{id}
	}
	for wait := endWait; ; {
		known := len(e.ids)
		if e.round(ctx) {
			return nil
		}
		if e.refused >= keyTries {
			return e.left(nil)
		}
		if len(e.ids) > known {
			continue // another one of its name: it is asked at once
		}
		if e.clk.Sleep(ctx, wait) != nil {
			return e.left(context.Cause(ctx))
		}
		wait = min(2*wait, endWaitMax)
	}
}

// ending is the state of one end.
type ending struct {
	p    Provider
	clk  Clock
	name string

	ids     []string        // machines that are to end
	asked   map[string]bool // of them: the provider took the request
	refused int             // rounds on end in which the key was refused
	said    error           // the provider's last refusal in this round
	shown   Machine         // the last that was seen of one that is left
}

// round asks every machine to end, then looks whether all are gone. The look
// follows an accepted request at once: a bill is counted to the confirmation.
func (e *ending) round(ctx context.Context) (gone bool) {
	e.said = nil
	unauthorized := false
	note := func(err error) {
		e.said = err
		unauthorized = unauthorized || errors.Is(err, ErrUnauthorized)
	}
	gone = true
	for _, id := range e.ids {
		_, err := call(ctx, e.clk, func(ctx context.Context) (none struct{}, err error) { return none, e.p.Terminate(ctx, id) })
		switch {
		case err == nil:
			e.asked[id] = true
		case !errors.Is(err, ErrNotFound): // that one is probably gone
			note(err)
		}
	}
	for _, id := range e.ids {
		m, err := call(ctx, e.clk, func(ctx context.Context) (Machine, error) { return e.p.Get(ctx, id) })
		switch {
		case errors.Is(err, ErrNotFound), err == nil && m.State == Gone:
			if !e.asked[id] && e.young() {
				gone = false
			}
		case err == nil:
			e.shown, gone = m, false
		default:
			note(err)
			gone = false
		}
	}
	all, err := call(ctx, e.clk, func(ctx context.Context) ([]Machine, error) { return e.p.List(ctx) })
	if err != nil {
		note(err)
		gone = false
	}
	for _, m := range all {
		known := slices.Contains(e.ids, m.ID)
		if m.State == Gone || !known && (e.name == "" || m.Name != e.name) {
			continue
		}
		e.shown, gone = m, false
		if !known {
			e.ids = append(e.ids, m.ID)
		}
	}
	if len(e.ids) == 0 && e.young() {
		gone = false
	}
	if e.refused++; !unauthorized {
		e.refused = 0
	}
	return gone
}

// young reports whether the machine may be too new for the provider to know it.
func (e *ending) young() bool {
	made, ok := nameTime(e.name)
	return ok && e.clk.Now().Sub(made) < young
}

// left is the error of an end that was given up.
func (e *ending) left(cause error) error {
	said := e.said
	if said == nil {
		said = fmt.Errorf("the request to end it was taken, and the provider still shows it (%s)", e.shown.Status)
		if len(e.asked) == 0 {
			said = errors.New("the provider does not know it, but it is so new that it may still appear")
		}
	}
	steps := []string{endByHand(e.p, "", e.name)}
	if len(e.ids) > 0 {
		steps = steps[:0]
		for _, id := range e.ids {
			steps = append(steps, endByHand(e.p, id, e.name))
		}
	}
	if cause != nil {
		said = fmt.Errorf("%w (%w)", said, cause)
	}
	return &LeftError{Provider: e.p.About().Name, ID: strings.Join(e.ids, ", "), Name: e.name,
		USDPerHour: e.shown.USDPerHour, ByHand: strings.Join(steps, "; "), Err: said}
}

// nameTime is the time that NewName wrote into a name.
func nameTime(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, NamePrefix)
	if !ok {
		return time.Time{}, false
	}
	digits, _, ok := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}
