// Package clock is the time that a pod's life goes by: the wall clock, or one
// that runs some times as fast, so that a trial of a five-minute deadline with
// real processes takes seconds. All processes of such a trial share one
// [Fast], which travels as text ([Fast.MarshalText]).
//
// Code under a deadline of a pod's life takes a [Clock] and never asks package
// time; a nil Clock in a public struct means [Wall].
package clock

import (
	"context"
	"fmt"
	"time"
)

// Clock tells the time and waits for it.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx is done, whose error it then returns.
	Sleep(ctx context.Context, d time.Duration) error
	// WithTimeout is context.WithTimeoutCause by this clock.
	WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
	// Real is what d of this clock lasts on the wall, for timers that others
	// keep: a shell script's sleep, a socket's deadline.
	Real(d time.Duration) time.Duration
}

// Or returns c, or Wall where c is nil.
func Or(c Clock) Clock {
	if c == nil {
		return Wall{}
	}
	return c
}

// Wall is the wall clock.
type Wall struct{}

// Now implements [Clock].
func (Wall) Now() time.Time { return time.Now() }

// Sleep implements [Clock].
func (Wall) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, d) }

// WithTimeout implements [Clock].
func (Wall) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

// Real implements [Clock].
func (Wall) Real(d time.Duration) time.Duration { return d }

// Fast runs Times as fast as the wall clock since Origin, at which both agree.
type Fast struct {
	Origin time.Time
	Times  float64
}

// Now implements [Clock].
func (f Fast) Now() time.Time {
	return f.Origin.Add(time.Duration(float64(time.Since(f.Origin)) * f.Times))
}

// Sleep implements [Clock].
func (f Fast) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, f.Real(d)) }

// WithTimeout implements [Clock].
func (f Fast) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, f.Real(d), cause)
}

// Real implements [Clock].
func (f Fast) Real(d time.Duration) time.Duration { return time.Duration(float64(d) / f.Times) }

// MarshalText writes origin and factor.
func (f Fast) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d*%g", f.Origin.UnixNano(), f.Times), nil
}

// UnmarshalText reads what MarshalText wrote.
func (f *Fast) UnmarshalText(text []byte) error {
	var nanos int64
	var times float64
	if _, err := fmt.Sscanf(string(text), "%d*%g", &nanos, &times); err != nil || times <= 0 {
		return fmt.Errorf("clock %q: want <unix nanoseconds>*<factor>", text)
	}
	f.Origin, f.Times = time.Unix(0, nanos), times
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
