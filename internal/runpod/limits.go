package runpod

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/x/dail/internal/clock"
)

const (
	maxTries = 4
	// longestWait is how long a call waits because the server says so. A used-up
	// hour is for the caller to know, not to sit through.
	longestWait = 90 * time.Second
)

// pause says how long to wait before the same call is sent again, or that it
// must not be.
func (e *Error) pause(tries int) (time.Duration, bool) {
	switch {
	case tries >= maxTries:
		return 0, false
	case e.Kind == RateLimited && e.RetryAfter > 0:
		return e.RetryAfter, e.RetryAfter <= longestWait
	case e.Method == http.MethodPost || (e.Kind != Transient && e.Kind != RateLimited):
		return 0, false
	}
	d := time.Second << (tries - 1)
	return d/2 + rand.N(d/2), true
}

// gate holds calls back while the minute's quota is used up.
type gate struct {
	mu   sync.Mutex
	till time.Time
}

func (g *gate) wait(ctx context.Context, clk clock.Clock) error {
	for {
		g.mu.Lock()
		till := g.till
		g.mu.Unlock()
		left := till.Sub(clk.Now())
		if left <= 0 {
			return ctx.Err()
		}
		if err := clk.Sleep(ctx, left); err != nil {
			return err
		}
	}
}

// heed reads what an answer says about the quota that is left.
func (g *gate) heed(h http.Header, now time.Time) {
	left, reset, ok := minute(h.Get("RateLimit"))
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if left > 0 {
		return // an answer that was overtaken does not open the gate again
	}
	if till := now.Add(min(reset, longestWait)); till.After(g.till) {
		g.till = till
	}
}

// minute reads the minute's window of a RateLimit header, such as
//
//	"minute";r=0;t=12, "hour";r=2800;t=1812
func minute(header string) (left int, reset time.Duration, ok bool) {
	for window := range strings.SplitSeq(header, ",") {
		parts := strings.Split(window, ";")
		if strings.Trim(strings.TrimSpace(parts[0]), `"`) != "minute" {
			continue
		}
		left = -1
		for _, p := range parts[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				continue
			}
			switch name {
			case "r":
				left = n
			case "t":
				reset = seconds(n)
			}
		}
		return left, reset, left >= 0
	}
	return 0, 0, false
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if n, err := strconv.Atoi(header); err == nil {
		return seconds(max(n, 0))
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// seconds is n seconds, or a year where that is more.
func seconds(n int) time.Duration {
	const year = 365 * 24 * 3600
	return time.Duration(min(n, year)) * time.Second
}
