package pod

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/deadman"
	"github.com/x/dail/internal/vllm"
)

// watchEvery is how often a serving machine is asked for.
const watchEvery = 30 * time.Second

// lostAfter is how long nobody may be able to log in to a serving machine.
const lostAfter = 2 * time.Minute

// CeilingError is a run that was ended because it reached a ceiling of time or
// money.
type CeilingError struct {
	Lived   time.Duration // since the first create
	USD     float64       // what that costs, at the pod's price
	Ceiling string        // which one, and where it is set
}

func (e *CeilingError) Error() string {
	return fmt.Sprintf("the pod was given back after %v and $%.2f: %s", e.Lived.Round(time.Second), e.USD, e.Ceiling)
}

// ceiling is the end of a run that lived for so long, and which ceiling it was.
func (l *life) ceiling(lived time.Duration, usdPerHour float64) *CeilingError {
	why := fmt.Sprintf("it reached the ceiling of %v for a run (MAX_RUN)", l.limits.Run)
	if l.money.life(l.limits.Run, usdPerHour) < l.limits.Run {
		why = fmt.Sprintf("it reached the ceiling of $%.2f for a run (-max-usd)", l.money.total)
	}
	return &CeilingError{lived, lived.Hours() * usdPerHour, why}
}

// LostError is a pod that no longer serves, by no wish of ours.
type LostError struct {
	Machine string
	Reason  string
}

func (e *LostError) Error() string { return fmt.Sprintf("machine %s is lost: %s", e.Machine, e.Reason) }

// background is what goes on beside a machine's life, until it is ended.
type background struct {
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	once sync.Once
	over chan struct{} // closed when the pod no longer serves
	why  error
}

func newBackground() *background {
	ctx, cancel := context.WithCancel(context.Background())
	return &background{ctx: ctx, cancel: cancel, over: make(chan struct{})}
}

func (b *background) lose(why error) { b.once.Do(func() { b.why = why; close(b.over) }) }

func (b *background) stop() {
	b.cancel()
	b.tasks.Wait()
}

// Bind returns a context that also ends when the pod no longer serves: its
// cause is then a *[LostError] or a *[CeilingError].
func (p *Pod) Bind(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-p.behind.over:
			cancel(p.behind.why)
		case <-bound.Done():
		}
	}()
	return bound, func() { cancel(context.Canceled); <-done }
}

// beat keeps the switch inside the machine from ending it.
func (p *Pod) beat(l *life) {
	p.behind.tasks.Go(func() {
		for {
			ctx, cancel := l.clk.WithTimeout(p.behind.ctx, beatEvery, nil)
			// A beat that fails is no news: the link reconnects, and the watch says
			// when it does not.
			_, _ = p.ground.Run(ctx, deadman.Beat(), nil)
			cancel()
			if l.clk.Sleep(p.behind.ctx, beatEvery) != nil {
				return
			}
		}
	})
}

// watchGuard says when the watchdog is gone: the run goes on, with one guard
// fewer.
func (p *Pod) watchGuard(l *life) {
	if l.guard == nil {
		return
	}
	p.behind.tasks.Go(func() {
		select {
		case <-l.guard.watchdog.done:
			l.say("the watchdog has ended before its time: if this program is killed now, make reap gives the pod back (its log: " + l.guard.watchdog.log + ")")
		case <-p.behind.ctx.Done():
		}
	})
}

// watch looks after a serving machine: it ends the run at its ceiling, and
// says when the machine no longer serves.
func (p *Pod) watch(l *life) {
	if !l.about.Outlives {
		return
	}
	p.behind.tasks.Go(func() {
		lives := l.money.life(l.limits.Run, p.USDPerHour)
		left := lives - l.clk.Now().Sub(l.began)
		if l.clk.Sleep(p.behind.ctx, left) != nil {
			return
		}
		p.behind.lose(l.ceiling(l.clk.Now().Sub(l.began), p.USDPerHour))
	})
	p.behind.tasks.Go(func() {
		seen := l.clk.Now()
		for l.clk.Sleep(p.behind.ctx, watchEvery) == nil {
			reason := p.look(l.clk)
			if reason == "" {
				seen = l.clk.Now()
				continue
			}
			if gone := l.clk.Now().Sub(seen); reason == unreachable && gone < lostAfter {
				continue
			}
			if p.behind.ctx.Err() == nil {
				p.behind.lose(&LostError{p.machine.ID, reason})
			}
			return
		}
	})
}

const unreachable = "nobody can log in to it any more"

// look asks once whether the machine still serves; an empty reason is yes.
func (p *Pod) look(clk clock.Clock) (reason string) {
	ctx, cancel := clk.WithTimeout(p.behind.ctx, watchEvery, nil)
	defer cancel()
	m, err := p.provider.Get(ctx, p.machine.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return "the provider no longer knows it"
	case err == nil && (m.State == Failed || m.State == Gone):
		return "the provider calls it " + m.Status
	}
	if p.link == nil {
		return ""
	}
	var ended *vllm.StartError
	switch err := vllm.Ended(ctx, p.ground); {
	case errors.As(err, &ended):
		return ended.Error() // which holds the end of the log
	case err != nil:
		return unreachable
	}
	return ""
}
