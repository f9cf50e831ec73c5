package podtest_test

import (
	"context"
	"sync"
	"testing"
	"time"
)

// manual is a clock that stands still until it is advanced.
type manual struct {
	mu      sync.Mutex
	now     time.Time
	changed chan struct{}
	ends    map[*time.Time]bool // of those who sleep
}

func newManual() *manual {
	return &manual{now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), changed: make(chan struct{}), ends: map[*time.Time]bool{}}
}

func (c *manual) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manual) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.wake()
}

func (c *manual) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *manual) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	end := c.now.Add(d)
	c.ends[&end] = true
	c.wake()
	for c.now.Before(end) && ctx.Err() == nil {
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		c.mu.Lock()
	}
	delete(c.ends, &end)
	c.wake()
	c.mu.Unlock()
	return ctx.Err()
}

func (c *manual) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

func (c *manual) Real(d time.Duration) time.Duration { return d }

// sleepers waits until so many wait for the time to pass.
func (c *manual) sleepers(t testing.TB, n int) {
	t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		asleep, changed := 0, c.changed
		for end := range c.ends {
			if c.now.Before(*end) {
				asleep++
			}
		}
		c.mu.Unlock()
		if asleep == n {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%d wait for the clock, want %d", asleep, n)
		}
	}
}
