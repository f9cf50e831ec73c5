package runpod

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/x/dail/internal/clock"
)

// Kind is what a failed call means for its caller.
type Kind int

// The kinds. Of a create, all but Unclear promise that no pod was made.
const (
	// Transient: it may work when it is asked again. Also the kind of errors
	// that are not of this package.
	Transient Kind = iota
	// Unclear: a create of which it is not known whether it made a pod.
	Unclear
	// Capacity: no machine is free that fits. Another GPU or data centre may be.
	Capacity
	// Denied: the account may not use this pool. Another may be open to it.
	Denied
	// Blocked: not the API but something in front of it refused.
	Blocked
	// Unauthorized: the key is not accepted.
	Unauthorized
	// NoCredit: the balance is too low.
	NoCredit
	// Invalid: the request is wrong and stays so.
	Invalid
	// RateLimited: too many calls. Nothing was done.
	RateLimited
	// NotFound: what was named does not exist.
	NotFound
	// Conflict: the state of the pod does not allow it, or the pod belongs to a
	// cluster.
	Conflict
	// Gone: there is no REST v2 at this address.
	Gone
)

func (k Kind) String() string {
	return [...]string{"transient", "unclear", "no capacity", "denied", "blocked", "unauthorized", "no credit", "invalid",
		"rate limited", "not found", "conflict", "gone"}[k]
}

// KindOf is the kind of an error of this package.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}

// Error is a call that failed.
type Error struct {
	Op     string // what was wanted: "create pod"
	Method string
	Path   string
	Kind   Kind
	// Status is the answer's; 0 where none came.
	Status int
	// Title, Detail and Errors are the provider's words. Without an answer,
	// Detail says what happened.
	Title, Detail string
	Errors        []string
	RequestID     string // the provider's id of the call; empty where it gave none
	RetryAfter    time.Duration
	Body          string // the beginning of an answer that is not the API's own
	Err           error  // the cause, where it is not the provider's
}

// Error is in one line: what was called, what came back, what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		fmt.Fprintf(&b, ": %s %s", e.Method, e.Path)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if w := e.Words(); w != "" {
		b.WriteString(": " + w)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	if h := e.Hint(); h != "" {
		b.WriteString("; " + h)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Words is what happened, in the provider's own words where there are any.
func (e *Error) Words() string {
	var words []string
	if e.Detail != "" {
		words = append(words, e.Detail)
	} else if e.Title != "" {
		words = append(words, e.Title)
	}
	words = append(words, e.Errors...)
	if e.Body != "" {
		words = append(words, fmt.Sprintf("the answer begins %q", e.Body))
	}
	return strings.Join(words, "; ")
}

// Hint is what to do; empty where nothing is known.
func (e *Error) Hint() string {
	switch e.Kind {
	case Unauthorized:
		return "check RUNPOD_API_KEY (in the environment or .env)"
	case NoCredit:
		return "load credit on RunPod's billing page; a pod needs enough for an hour"
	case Gone:
		return "check the base URL: REST v2 is at " + DefaultURL
	case Blocked:
		return "something between here and RunPod's API refused; a proxy, a VPN or the address of this machine may be why"
	case RateLimited:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("ask again in %v", e.RetryAfter)
		}
	}
	return ""
}

// capacityWords are parts of the sentences by which RunPod says that nothing is
// free, in lower case: a 400 has no other sign of it (runpod.md §1.5).
func capacityWords() []string {
	return []string{
		"no longer any instances available",
		"no instances currently available",
		"no instances available",
		"does not have the resources to deploy your pod",
		"not enough free gpus",
		"could not find any pods with required specifications",
	}
}

func saysCapacity(words string) bool {
	words = strings.ToLower(words)
	for _, w := range capacityWords() {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}

// afterwards is the kind of a failure after the request has left.
func afterwards(method string) Kind {
	if method == http.MethodPost {
		return Unclear
	}
	return Transient
}

// classify says what an answer that is not 2xx means. own is whether it came
// from the API itself, words what it says.
func classify(method string, status int, own bool, words string) Kind {
	create := method == http.MethodPost
	switch {
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusPaymentRequired:
		return NoCredit
	case status == http.StatusForbidden && own:
		return Denied
	case status == http.StatusForbidden:
		return Blocked
	case status == http.StatusNotFound && !own:
		return Gone // some other server's page: it says nothing about a pod
	case status == http.StatusNotFound && !create:
		return NotFound
	case status == http.StatusConflict && !create:
		return Conflict
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusBadRequest && create && saysCapacity(words):
		return Capacity
	case status == http.StatusRequestTimeout || status >= 500:
		return afterwards(method)
	case status == http.StatusGone || status/100 == 3:
		return Gone
	}
	return Invalid
}

// problem is RFC 9457's document, as RunPod sends it.
type problem struct {
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Errors []string `json:"errors"`
}

// readProblem reports whether body is an error document of the API.
func readProblem(body []byte) (p problem, ok bool) {
	if json.Unmarshal(body, &p) != nil {
		return problem{}, false
	}
	return p, p.Title != "" || p.Detail != ""
}

// refusal turns an answer that is not 2xx into an error. body may be cut.
func (c *Client) refusal(r *request, resp *http.Response, body []byte) *Error {
	p, own := readProblem(body)
	e := &Error{
		Op: r.op, Method: r.method, Path: r.url.EscapedPath(), Status: resp.StatusCode, RequestID: requestID(resp),
		Title: c.Key.cut(short(p.Title)), Detail: c.Key.cut(short(p.Detail)),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), clock.Or(c.Clock).Now()),
	}
	for _, text := range p.Errors {
		e.Errors = append(e.Errors, c.Key.cut(short(text)))
	}
	if !own {
		e.Body = c.Key.cut(excerpt(body))
	}
	if where := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && where != "" {
		e.Detail = fmt.Sprintf("a redirect to %q, where the key is not sent", c.Key.cut(short(where)))
	}
	e.Kind = classify(r.method, resp.StatusCode, own, strings.Join(append([]string{p.Title, p.Detail}, p.Errors...), "\n"))
	return e
}

func requestID(resp *http.Response) string { return short(resp.Header.Get("X-Request-Id")) }

// longest is how much of a text from outside stands in an error, in bytes.
const longest = 400

// short cuts a text, and leaves out what would break a line or a terminal.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	if len(text) <= longest {
		return strings.TrimSpace(text)
	}
	end := longest
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimSpace(text[:end]) + "…"
}

// excerpt is the beginning of a body that is not the API's own.
func excerpt(body []byte) string { return short(string(body[:min(len(body), longest+utf8.UTFMax)])) }
