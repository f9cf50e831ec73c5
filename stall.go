package dail

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/dail/slo"
)

// StallError is a level in which nothing moved for too long: no agent did
// anything, and the server made no token.
type StallError struct {
	Level string
	For   time.Duration
}

func (e *StallError) Error() string {
	return fmt.Sprintf("level %s: no agent and no token moved for %v (STALL_GEN)", e.Level, e.For.Round(time.Second))
}

// stallLooks is how often, within the time that nothing may move, the server
// is asked whether it made a token. An agent that waits for one long answer
// says nothing for half an hour.
const stallLooks = 8

// whileMoving returns a context that ends when nothing moved for l.stall. moved
// says that an agent did something; settle ends the watching, and returns the
// stall if there was one.
func (l *level) whileMoving(ctx context.Context, before *slo.Snapshot) (moving context.Context, moved func(), settle func() error) {
	moving, cancel := context.WithCancelCause(ctx)
	var last atomic.Int64
	moved = func() { last.Store(time.Now().UnixNano()) }
	moved()
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(l.stall / stallLooks)
		defer tick.Stop()
		for {
			select {
			case <-moving.Done():
				return
			case <-tick.C:
			}
			still := time.Since(time.Unix(0, last.Load()))
			if still < l.stall/2 {
				continue
			}
			if now, err := l.scrape(moving); err == nil {
				if made, err := slo.Delta(before, now); err == nil && made.PromptTokens+made.GenerationTokens > 0 {
					moved()
				}
				before = now
			}
			if still := time.Since(time.Unix(0, last.Load())); still >= l.stall {
				cancel(&StallError{l.name, still})
				return
			}
		}
	})
	settle = func() error {
		cancel(nil)
		looking.Wait()
		if stalled, ok := context.Cause(moving).(*StallError); ok {
			return stalled
		}
		return nil
	}
	return moving, moved, settle
}
