package dail

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/x/dail/slo"
)

// lookEvery is how often a level that is kept going is looked at. Beyond the
// agents' first round it may take so many times as long again: a search, which
// has other levels to measure, once.
const (
	lookEvery         = 2 * time.Second
	precisionRounds   = 3
	searchExtraRounds = 1
)

// errClear stops agents whose level's verdict is clear.
var errClear = errors.New("the verdict is clear")

// keeper keeps a level's agents at work until enough is measured. A level that
// asks for nothing of the kind lets each agent do its work once.
type keeper struct {
	level   *level
	sampler *slo.Sampler
	ctx     context.Context // the agents'; ends early where the verdict is clear
	stop    context.CancelCauseFunc
	enough  chan struct{} // nil: once is enough
	looking sync.WaitGroup

	mu      sync.Mutex
	allAt   time.Time // since when all were at work
	began   time.Time
	once    time.Duration // how long it took until all had done their work once; 0: not yet
	stopped string
}

// keep begins to keep a level going.
func (l *level) keep(ctx context.Context, s *slo.Sampler) *keeper {
	k := &keeper{level: l, sampler: s, began: time.Now()}
	k.ctx, k.stop = context.WithCancelCause(ctx)
	if l.precision > 0 || l.sequential != nil {
		k.enough = make(chan struct{})
		k.looking.Go(k.look)
	}
	return k
}

// allAtWork says that from now on all agents are.
func (k *keeper) allAtWork(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.allAt = now
}

// allDoneOnce says that every agent has done its work.
func (k *keeper) allDoneOnce() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.once = time.Since(k.began)
}

// settle ends the looking, and says why the agents were stopped, if they were.
func (k *keeper) settle() string {
	k.stop(nil)
	k.looking.Wait()
	return k.stopped
}

// look decides again and again.
func (k *keeper) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
		k.mu.Lock()
		allAt, once, lasted := k.allAt, k.once, time.Since(k.began)
		k.mu.Unlock()
		if allAt.IsZero() {
			continue
		}
		enough, fails := k.level.decide(k.sampler.Series().Between(allAt, time.Now()), once, lasted)
		switch {
		case fails != "":
			k.stopped = fails
			k.level.display.Note("%s: stopped: %s", k.level.name, fails)
			k.stop(errClear)
			return
		case enough:
			close(k.enough)
			return
		}
	}
}

// decide reports whether a level has enough, by the series of the time in which
// all were at work. once is how long it took until all had done their work, 0
// where they have not; lasted is the level's length by now. fails is why the
// level cannot hold any more, whatever comes: that ends it at once.
func (l *level) decide(s slo.Series, once, lasted time.Duration) (enough bool, fails string) {
	if l.sequential != nil {
		d, err := l.sequential.Look(s, l.n)
		if err == nil && d.Decided && !d.Holds {
			return true, d.Why
		}
		enough = err == nil && d.Decided
	} else {
		c, known := s.Confidence(confidenceLevel, l.criteria)
		enough = known && c.Precise(l.precision, l.criteria)
	}
	return once > 0 && (enough || lasted > once*time.Duration(1+l.extraRounds())), ""
}

// extraRounds is how many times the first round's length a level may take
// besides it.
func (l *level) extraRounds() int {
	if l.sequential != nil {
		return searchExtraRounds
	}
	return precisionRounds
}

// imprecise says where a level fell short of the precision that was asked for.
func (l *level) imprecise(c *slo.Confidence) string {
	if l.precision <= 0 || c != nil && c.Precise(l.precision, l.criteria) {
		return ""
	}
	return fmt.Sprintf("the figures are known less precisely than ±%.0f %%, though the level took %d times its length", 100*l.precision, 1+precisionRounds)
}
