package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/dail/internal/clock"
)

// BaseURL is where REST v2 lives.
const BaseURL = "https://api.runpod.io/v2"

// UserAgent is sent with every request: without one, the wall in front of the
// API answers 403.
const UserAgent = "dail/0.1 (+https://github.com/x/dail)"

// MaxBody is the largest request body that the API takes, in bytes.
const MaxBody = 102400

// Client calls the API. Key must be set; it must not be copied.
type Client struct {
	Key  Key
	URL  string       // empty: BaseURL
	HTTP *http.Client // nil: a client of its own
	// Clock is what waits and timeouts go by; nil is the wall clock.
	Clock clock.Clock
	// Timeout bounds one request; 0: 60 s for a create, 30 s for others.
	Timeout time.Duration

	mu    sync.Mutex
	until time.Time // no request before this: the account's quota is used up
}

// call is one request.
type call struct {
	op, method, path string
	query            url.Values
	body, into       any
	timeout          time.Duration
}

// Waits between attempts.
const (
	retryFirst = time.Second
	retryMost  = 15 * time.Second
	retries    = 4
)

// do sends a request, and sends it again where that is safe.
func (c *Client) do(ctx context.Context, q call) error {
	clk := clock.Or(c.Clock)
	var body []byte
	if q.body != nil {
		var err error
		if body, err = json.Marshal(q.body); err != nil {
			return err
		}
		if len(body) > MaxBody {
			return &Error{Op: q.op, Method: q.method, Path: q.path, Status: http.StatusRequestEntityTooLarge,
				Detail: fmt.Sprintf("the request is %d bytes, and the API takes %d", len(body), MaxBody)}
		}
	}
	wait := retryFirst
	for attempt := 1; ; attempt++ {
		if err := c.quota(ctx, clk); err != nil {
			return &Error{Op: q.op, Method: q.method, Path: q.path, Err: err}
		}
		e := c.once(ctx, clk, q, body)
		if e == nil {
			return nil
		}
		limited := e.Status == http.StatusTooManyRequests // then it was not done, whatever it was
		again := limited || q.method != http.MethodPost && e.Transient()
		if !again || attempt > retries || ctx.Err() != nil {
			return e
		}
		pause := wait
		if limited && e.RetryAfter > 0 {
			pause = e.RetryAfter
		}
		if err := clk.Sleep(ctx, pause); err != nil {
			return e
		}
		wait = min(2*wait, retryMost)
	}
}

// quota waits until the account may send again.
func (c *Client) quota(ctx context.Context, clk clock.Clock) error {
	c.mu.Lock()
	until := c.until
	c.mu.Unlock()
	return clk.Sleep(ctx, until.Sub(clk.Now()))
}

// once sends a request once.
func (c *Client) once(ctx context.Context, clk clock.Clock, q call, body []byte) *Error {
	e := &Error{Op: q.op, Method: q.method, Path: q.path}
	timeout := q.timeout
	if c.Timeout > 0 {
		timeout = c.Timeout
	} else if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := clk.WithTimeout(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	var sent atomic.Bool // set by the transport's goroutine
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	base := c.URL
	if base == "" {
		base = BaseURL
	}
	target := strings.TrimRight(base, "/") + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, bytes.NewReader(body))
	if err != nil {
		e.Err = err
		return e
	}
	req.Header.Set("Authorization", "Bearer "+string(c.Key))
	req.Header.Set("User-Agent", UserAgent)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.client().Do(req)
	e.Sent = sent.Load()
	if err != nil {
		e.Err = err
		if ctx.Err() != nil {
			e.Err = errors.Join(context.Cause(ctx), err)
		}
		return e
	}
	defer resp.Body.Close()
	e.Sent, e.Status = true, resp.StatusCode
	e.RequestID = resp.Header.Get("X-Request-Id")
	c.remember(clk, resp.Header)
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		e.Err = fmt.Errorf("the answer was cut: %w", err)
		if resp.StatusCode < 300 && q.into == nil {
			return nil // a DELETE that was taken
		}
		return e
	}
	if resp.StatusCode >= 300 {
		e.problem(text)
		return e
	}
	if q.into == nil {
		return nil
	}
	if err := json.Unmarshal(text, q.into); err != nil {
		e.Err = fmt.Errorf("the answer cannot be read: %w", err)
		return e
	}
	return nil
}

// client follows no redirect: the key is for one host.
func (c *Client) client() *http.Client {
	h := http.Client{}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &h
}

var remaining = regexp.MustCompile(`"[a-z]+"\s*;\s*r=(\d+)\s*;\s*t=(\d+)`)

// remember reads what is left of the account's quotas, and when they begin
// anew: RateLimit: "minute";r=0;t=12, "hour";r=2800;t=1812.
func (c *Client) remember(clk clock.Clock, h http.Header) {
	for _, m := range remaining.FindAllStringSubmatch(h.Get("RateLimit"), -1) {
		seconds, err := strconv.Atoi(m[2])
		if err != nil || m[1] != "0" || seconds > 3600 {
			continue
		}
		until := clk.Now().Add(time.Duration(seconds) * time.Second)
		c.mu.Lock()
		if until.After(c.until) {
			c.until = until
		}
		c.mu.Unlock()
	}
}
