// Package runpod speaks RunPod's REST v2: the calls that a pod manager needs,
// and every refusal as an [Error] that says of what kind it is.
//
//	c := &runpod.Client{Key: runpod.Key(os.Getenv("RUNPOD_API_KEY"))}
//	p, err := c.Create(ctx, runpod.CreateRequest{Name: name, Image: image, …})
//	if runpod.KindOf(err) == runpod.Unclear {
//		// the pod may exist: look for its name in c.List
//	}
//
// A create is sent once; only a 429 that says when to come back, by which
// nothing was made, is followed by another. Everything else can be repeated
// and is, a few times, on 429, 5xx and broken connections. A call waits where
// the RateLimit header of the last answer says that the minute is used up.
//
// It is written against RunPod's OpenAPI document, which its tests hold it to
// (pod/podtest/openapi), and knows nothing of a pod's life.
package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/x/dail/internal/clock"
)

// DefaultURL is where RunPod serves REST v2.
const DefaultURL = "https://api.runpod.io/v2"

const (
	// userAgent must be there: the proxy in front of the API answers 403 to a
	// library's own (runpod.md §1.1).
	userAgent = "dail/0.1 (+https://github.com/x/dail)"
	maxBody   = 102400   // bytes of a request; more is a 413
	maxAnswer = 64 << 20 // bytes of an answer: a page holds 1000 pods with their start scripts
)

// Client calls the API. Key is all that it needs. Its methods may be called by
// several goroutines; it must not be copied after the first call.
type Client struct {
	Key Key
	// URL is the base URL; DefaultURL where it is empty. Over plain http the key
	// goes to a loopback address only.
	URL string
	// HTTP does the calls; nil is http.DefaultClient. Redirects are never
	// followed, whatever it says: they would carry the key away, or a create twice.
	HTTP *http.Client
	// Clock is the time of deadlines, waits and backoff; nil is the wall clock.
	Clock clock.Clock
	// Timeout bounds one attempt of a call, answer included; 0 is 30 s.
	Timeout time.Duration

	gate gate
}

// errTimeout is the cause of an attempt that took too long.
var errTimeout = errors.New("no answer in time")

// request is one call.
type request struct {
	op     string // "create pod", for people
	method string
	path   []string // below the base URL, not escaped
	query  url.Values
	body   any                     // nil: none
	take   func(body []byte) error // reads the body of a 2xx; nil: there is none

	url     *url.URL
	payload []byte
}

func (r *request) fault(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Op: r.op, Method: r.method, Kind: kind, Detail: err.Error(), Err: errors.Unwrap(err)}
	if r.url != nil {
		e.Path = r.url.EscapedPath()
	}
	return e
}

// ask makes a call whose answer is a T, of which check says what it lacks.
func ask[T any](ctx context.Context, c *Client, r request, check func(T) error) (T, error) {
	var out T
	r.take = func(body []byte) error {
		var v T // a fresh one for each attempt
		if err := json.Unmarshal(body, &v); err != nil {
			return err
		}
		out = v
		return check(v)
	}
	err := c.do(ctx, r)
	return out, err
}

// do makes a call, more than once where that is harmless and may help.
func (c *Client) do(ctx context.Context, r request) error {
	if e := c.prepare(&r); e != nil {
		return e
	}
	clk := clock.Or(c.Clock)
	for tries := 1; ; tries++ {
		if err := c.gate.wait(ctx, clk); err != nil {
			return r.fault(Transient, "not sent, while waiting for the rate limit: %w", err)
		}
		e := c.attempt(ctx, &r)
		if e == nil {
			return nil
		}
		pause, again := e.pause(tries)
		if !again || clk.Sleep(ctx, pause) != nil {
			return e // which says more than that the caller has given up
		}
	}
}

// prepare fills in the address and the body.
func (c *Client) prepare(r *request) *Error {
	base, err := c.base()
	if err != nil {
		return r.fault(Invalid, "%w", err)
	}
	if slices.ContainsFunc(r.path, func(p string) bool { return p == "" || p == "." || p == ".." }) {
		return r.fault(Invalid, "%q is no id", r.path[len(r.path)-1])
	}
	r.url = base.JoinPath(escape(r.path)...)
	r.url.RawQuery = r.query.Encode()
	if c.Key == "" {
		return r.fault(Unauthorized, "there is no key")
	}
	if strings.ContainsFunc(string(c.Key), func(x rune) bool { return x <= ' ' || x >= 0x7f }) {
		return r.fault(Unauthorized, "the key holds a blank, a line end or another character that no key has")
	}
	if r.body == nil {
		return nil
	}
	if r.payload, err = json.Marshal(r.body); err != nil {
		return r.fault(Invalid, "the request cannot be written as JSON: %w", err)
	}
	if len(r.payload) > maxBody {
		return r.fault(Invalid, "the request has %d bytes, of which RunPod takes %d", len(r.payload), maxBody)
	}
	return nil
}

// base is the base URL, if the key may go there.
func (c *Client) base() (*url.URL, error) {
	text := c.URL
	if text == "" {
		text = DefaultURL
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("RunPod's base URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("RunPod's base URL %q: want one such as %s", u.Redacted(), DefaultURL)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("RunPod's base URL %q: the key is not sent over plain http to another machine; use https", u)
	}
	return u, nil
}

func escape(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = url.PathEscape(p)
	}
	return out
}

// attempt sends a call once.
func (c *Client) attempt(ctx context.Context, r *request) *Error {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := clock.Or(c.Clock).WithTimeout(ctx, timeout, errTimeout)
	defer cancel()
	resp, e := c.send(ctx, r)
	if e != nil {
		return e
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if resp.StatusCode/100 != 2 {
		return c.refusal(r, resp, body)
	}
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("it has more than %d bytes", maxAnswer)
	}
	if err != nil {
		err = cause(ctx, err)
	} else if r.take != nil {
		err = r.take(body)
	}
	if err == nil {
		return nil
	}
	// It was done, but what came of it cannot be known from here.
	e = r.fault(afterwards(r.method), "the answer cannot be used: %w", err)
	e.Status, e.RequestID = resp.StatusCode, requestID(resp)
	if text := excerpt(body); !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		e.Body = c.Key.cut(text) // JSON would show the environment of pods
	}
	return e
}

// send sends a call and returns the answer's head. ctx must end after the body
// was read.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, *Error) {
	var connected atomic.Bool
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}), r.method, r.url.String(), bytes.NewReader(r.payload))
	if err != nil {
		return nil, r.fault(Invalid, "%w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c.Key))
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "application/json, application/problem+json")
	if r.payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http().Do(req)
	if err != nil {
		kind := Transient
		if connected.Load() { // else not a byte has left
			kind = afterwards(r.method)
		}
		var outer *url.Error // repeats method and address
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, r.fault(kind, "%w", cause(ctx, err))
	}
	c.gate.heed(resp.Header, clock.Or(c.Clock).Now())
	return resp, nil
}

// cause adds to err why ctx ended, where it did.
func cause(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	if why == nil || errors.Is(err, why) {
		return err
	}
	return fmt.Errorf("%w (%w)", why, err)
}

func (c *Client) http() *http.Client {
	var h http.Client
	if c.HTTP != nil {
		h = *c.HTTP
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &h
}
