package pod

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/remote"
)

// life is one pod from the wish for it to the confirmation that it is gone. It
// is the same for all providers; what they differ in stands in About.
//
//	offers → intent in the ledger → create, once → (unclear: reconcile by name)
//	→ address → SSH handshake → GPUs → vLLM → serving → terminate → confirmed
type life struct {
	provider Provider
	about    About
	run      *compose.Run
	opts     Options
	limits   Limits
	money    ceilings
	clk      clock.Clock
	say      func(string)
	meter    *Meter
	key      *remote.Key // nil where no machine of the provider is logged in to

	guard    *guard // nil where machines die with this process
	began    time.Time
	badZones map[string]bool // where a machine was a bad draw
	lost     []Spec          // creates of which it is not known whether they happened

	usdPerHour float64 // of the machine that was made last
}

// Refusal is an error before which nothing was created.
type Refusal struct{ Err error }

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// badDraw is a machine that is no good, where another one may be.
type badDraw struct{ err error }

func (b *badDraw) Error() string { return b.err.Error() }
func (b *badDraw) Unwrap() error { return b.err }

// up tries machines until one serves.
func (l *life) up(ctx context.Context) (*Pod, error) {
	offers, err := l.offers(ctx)
	if err != nil {
		return nil, &Refusal{err}
	}
	if l.about.Outlives {
		if l.guard, err = newGuard(ctx, l); err != nil {
			return nil, &Refusal{err}
		}
	}
	p, err := l.draws(ctx, offers)
	if err != nil {
		l.guard.close()
	}
	return p, err
}

// offers asks for prices and refuses those above a ceiling.
func (l *life) offers(ctx context.Context) ([]Offer, error) {
	all, err := l.provider.Offers(ctx, l.run)
	if err != nil {
		return nil, err
	}
	var fit []Offer
	var refused error
	for _, o := range all {
		if err := l.money.check(o.PriceSource+" asks", o.USDPerHour); err != nil {
			refused = err
			continue
		}
		fit = append(fit, o)
	}
	if len(fit) == 0 {
		if refused == nil {
			refused = ErrNoCapacity
		}
		return nil, refused
	}
	if l.about.Paid {
		longest := l.money.life(l.limits.Run, fit[0].USDPerHour)
		l.say(fmt.Sprintf("%d × %s costs $%.2f/h (%s); the run may take %v, $%.2f at most",
			fit[0].GPUs, fit[0].GPU, fit[0].USDPerHour, fit[0].PriceSource, longest.Round(time.Second), fit[0].USDPerHour*longest.Hours()))
	}
	return fit, nil
}

// draws takes a machine and brings it up, and takes another one where the
// first is no good.
func (l *life) draws(ctx context.Context, offers []Offer) (*Pod, error) {
	l.badZones = make(map[string]bool)
	// A start that takes as long as the run may live, or as the money lasts, is
	// over: no machine is tried beyond that.
	longest := l.money.life(l.limits.Run, offers[0].USDPerHour)
	ctx, cancel := l.clk.WithTimeout(ctx, longest, l.ceiling(longest, offers[0].USDPerHour))
	defer cancel()
	var bad []error
	for draw := 1; draw <= l.limits.Draws; draw++ {
		p, err := l.obtain(ctx, offers)
		if err != nil {
			return nil, errors.Join(append(bad, err)...)
		}
		if err = l.bring(ctx, p); err == nil {
			l.lookForLost(p)
			return p, nil
		}
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		err = l.explain(ctx, p, err)
		left := p.end(context.WithoutCancel(ctx))
		err = errors.Join(err, left)
		if !errors.As(err, new(*badDraw)) || left != nil || ctx.Err() != nil {
			return nil, errors.Join(append(bad, err)...) // another machine would not help, or cost twice
		}
		l.say(fmt.Sprintf("machine %d of at most %d was no good: %v", draw, l.limits.Draws, err))
		l.badZones[p.machine.Zone] = true
		bad = append(bad, fmt.Errorf("machine %d (%s): %w", draw, p.machine.ID, err))
	}
	return nil, errors.Join(bad...)
}

// lookForLost goes on looking for machines whose create stayed unclear, while
// the run goes on without them. The watchdog does so after it.
func (l *life) lookForLost(p *Pod) {
	for _, s := range l.lost {
		p.behind.tasks.Go(func() {
			intent := l.clk.Now() // a little later than it was: it is looked for a little longer
			if err := settle(p.behind.ctx, l.provider, l.clk, s.Name, intent); err == nil {
				_ = l.guard.forget(s.Name) // else the watchdog finds the entry, and nothing to end
			}
		})
	}
}

// order puts the zones that were bad draws last.
func (l *life) order(offers []Offer) []Offer {
	var good, bad []Offer
	for _, o := range offers {
		if o.Zone != "" && l.badZones[o.Zone] {
			bad = append(bad, o)
		} else {
			good = append(good, o)
		}
	}
	return append(good, bad...)
}

// obtain creates one machine, at the first candidate that has one. A candidate
// whose refusal promises that nothing was made is followed by the next one.
func (l *life) obtain(ctx context.Context, offers []Offer) (*Pod, error) {
	var refusals []error
	for _, o := range l.order(offers) {
		p, err := l.create(ctx, o)
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() != nil:
			return nil, errors.Join(err, context.Cause(ctx))
		case errors.Is(err, ErrNoCapacity), errors.Is(err, ErrDenied), errors.Is(err, errLost):
			l.say(err.Error())
			refusals = append(refusals, err)
		case errors.Is(err, ErrInvalid) && len(offers) > 1:
			// RunPod answers 400 to a broken rule and to a lack of capacity in words
			// that we may not know: only if every candidate hears it, it is the request.
			refusals = append(refusals, err)
		default:
			return nil, l.refusal(err)
		}
	}
	return nil, l.refusal(refusals...)
}

// refusal marks errors as such, where none of them may have made a machine.
func (l *life) refusal(errs ...error) error {
	err := errors.Join(errs...)
	if errors.Is(err, errLost) || len(l.meter.Steps()) > 0 {
		return err
	}
	return &Refusal{err}
}

// errLost is a create of which it never became known whether it happened. The
// guard goes on looking for its machine.
var errLost = errors.New("the machine did not show up under its name; it is looked for until it is certain")

// create asks for one machine. The intent is on disk before the request
// leaves, so that whatever happens from here on, somebody knows the name.
func (l *life) create(ctx context.Context, o Offer) (*Pod, error) {
	now := l.clk.Now()
	if l.began.IsZero() {
		l.began = now
	}
	longest := l.money.life(l.limits.Run, o.USDPerHour)
	spec := Spec{
		Name:  NewName(now),
		Run:   l.run,
		Offer: o,
		Marker: Marker{
			Owner: Owner(), Run: l.opts.RunID,
			// Past the ceiling of the run and the time to give the machine back,
			// nobody needs it any more.
			Deadline: l.began.Add(longest + 5*time.Minute),
		},
	}
	if l.opts.Keep > 0 {
		// The latest that it may come to; a marker cannot be changed later.
		spec.Marker.Keep = l.began.Add(longest + l.opts.Keep)
		spec.Marker.Deadline = spec.Marker.Keep
	}
	if l.key != nil {
		spec.PublicKey = l.key.Authorized()
	}
	if l.about.EndSelf != "" {
		spec.Boot = l.deadman(spec).Boot()
	}
	p := l.pod(spec)
	if err := l.guard.intend(spec); err != nil {
		return nil, err
	}
	l.say(l.wish(o))
	l.meter.Mark(StepCreate)
	m, err := l.provider.Create(ctx, spec)
	switch {
	case err == nil:
	case errors.Is(err, ErrUnclear):
		l.say("unclear whether the machine was created; looking for it: " + err.Error())
		if m, err = l.reconcile(ctx, spec, err); err != nil {
			l.meter.Drop()
			l.lost = append(l.lost, spec)
			return nil, errors.Join(err, l.guard.state(spec.Name, stateUnclear))
		}
	default:
		l.meter.Drop()
		return nil, errors.Join(err, l.guard.forget(spec.Name))
	}
	p.machine = m
	if m.USDPerHour > 0 {
		p.USDPerHour, p.PriceSource = m.USDPerHour, l.about.Name+", for this pod"
	}
	l.usdPerHour = p.USDPerHour
	p.watchGuard(l)
	if err := l.guard.created(spec, m); err != nil {
		return nil, errors.Join(err, p.end(context.WithoutCancel(ctx)))
	}
	if err := l.money.check("the pod costs", p.USDPerHour); err != nil {
		return nil, errors.Join(err, p.end(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// wish says what is about to be asked for.
func (l *life) wish(o Offer) string {
	switch {
	case !l.about.Paid:
		return "starting " + l.about.Name
	case o.Zone == "":
		return fmt.Sprintf("asking %s for %d × %s, wherever there is one", l.about.Name, o.GPUs, o.GPU)
	}
	return fmt.Sprintf("asking %s for %d × %s in %s", l.about.Name, o.GPUs, o.GPU, o.Zone)
}

// reconcileTries × reconcileEvery is how long a machine of an unclear create is
// waited for; RunPod was seen to list one after 20 s.
const (
	reconcileTries = 7
	reconcileEvery = 5 * time.Second
)

// reconcile finds out what became of an unclear create, on a context of its
// own: the request may have left just before ctx was cancelled.
func (l *life) reconcile(ctx context.Context, spec Spec, cause error) (Machine, error) {
	own := context.WithoutCancel(ctx)
	found, err := find(own, l.provider, l.clk, spec.Name, reconcileTries, reconcileEvery)
	switch {
	case err != nil:
		return Machine{}, errors.Join(cause, errLost, err)
	case len(found) == 0:
		return Machine{}, errors.Join(cause, errLost)
	case len(found) > 1:
		// Two machines of one name: the provider did more than was asked.
		return Machine{}, errors.Join(cause, fmt.Errorf("%d machines carry the name %s; all are ended", len(found), spec.Name),
			errLost, l.endAll(own, spec.Name))
	}
	return found[0], nil
}

func (l *life) endAll(ctx context.Context, name string) error {
	ctx, cancel := l.clk.WithTimeout(ctx, l.limits.Terminate, errTerminate)
	defer cancel()
	return end(ctx, l.provider, l.clk, "", name)
}

// explain adds what the provider has to say about a machine that failed.
func (l *life) explain(ctx context.Context, p *Pod, err error) error {
	own, cancel := l.clk.WithTimeout(context.WithoutCancel(ctx), 20*time.Second, nil)
	defer cancel()
	lines, logErr := l.provider.Logs(own, p.machine.ID, 20)
	if logErr != nil || len(lines) == 0 {
		return err
	}
	return &logged{err, lines}
}

// logged is an error with the provider's last log lines.
type logged struct {
	err   error
	lines []string
}

func (e *logged) Unwrap() error { return e.err }
func (e *logged) Error() string {
	s := e.err.Error() + "\n  the provider's log ends with:"
	for _, line := range e.lines {
		s += "\n    " + line
	}
	return s
}
