package podtest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/x/dail/internal/clock"
)

// limiter counts calls per key in RunPod's three windows.
type limiter struct {
	clk     clock.Clock
	windows []window

	mu   sync.Mutex
	used map[string][]usage
}

type window struct {
	name  string
	quota int
	size  time.Duration
}

type usage struct {
	began time.Time
	calls int
}

func newLimiter(clk clock.Clock, perMinute int) *limiter {
	return &limiter{
		clk: clk, used: map[string][]usage{},
		windows: []window{
			{"minute", perMinute, time.Minute},
			{"hour", perMinute * 50, time.Hour}, // the proportions of the spec's example: 60, 3000, 50000
			{"day", perMinute * 833, 24 * time.Hour},
		},
	}
}

// allow counts a call, says in the headers how much is left, and refuses what
// is too much.
func (l *limiter) allow(h http.Header, key string) (answer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clk.Now()
	if l.used[key] == nil {
		l.used[key] = make([]usage, len(l.windows))
	}
	var left, policy []string
	var over answer
	ok := true
	for i, w := range l.windows {
		u := &l.used[key][i]
		if now.Sub(u.began) >= w.size {
			*u = usage{began: now}
		}
		u.calls++
		reset := w.size - now.Sub(u.began)
		left = append(left, fmt.Sprintf("%q;r=%d;t=%d", w.name, max(0, w.quota-u.calls), int(reset.Seconds())))
		policy = append(policy, fmt.Sprintf("%q;q=%d;w=%d", w.name, w.quota, int(w.size.Seconds())))
		if u.calls > w.quota && ok {
			over, ok = retryAfter(reset, "rate limit exceeded for the "+w.name+" window"), false
		}
	}
	h.Set("RateLimit", strings.Join(left, ", "))
	h.Set("RateLimit-Policy", strings.Join(policy, ", "))
	return over, ok
}
