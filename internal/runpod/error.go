package runpod

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Error is an answer that is no success, or none at all.
type Error struct {
	Op        string // "create pod"
	Method    string
	Path      string
	Status    int // 0 where there was no answer
	Title     string
	Detail    string   // what happened, in RunPod's own words
	Errors    []string // the violations of a 422
	RequestID string
	// RetryAfter is how long to wait after a 429.
	RetryAfter time.Duration
	// Problem is set where the answer was a problem document; Body is the
	// beginning of one that was not.
	Problem bool
	Body    string
	// Sent is set where the request may have reached the server.
	Sent bool
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "runpod: %s: ", e.Op)
	if e.Status == 0 {
		fmt.Fprintf(&b, "no answer: %v", e.Err)
		return b.String()
	}
	fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
	if w := e.Words(); w != "" {
		fmt.Fprintf(&b, ": %s", w)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Words is what RunPod said.
func (e *Error) Words() string {
	w := e.Detail
	if w == "" {
		w = e.Title
	}
	if w == "" {
		w = e.Body
	}
	if len(e.Errors) > 0 {
		w += " [" + strings.Join(e.Errors, "; ") + "]"
	}
	if w == "" && e.Err != nil {
		w = e.Err.Error()
	}
	return w
}

// capacity holds what RunPod says when no machine is free: fragments, in lower
// case. A 400 has no code for it (runpod.md §1.5).
var capacity = []string{
	"no longer any instances available",
	"no instances currently available",
	"no instances available",
	"does not have the resources to deploy your pod",
	"not enough free gpus",
	"could not find any pods with required specifications",
}

// Capacity reports whether the answer says that no machine is free.
func (e *Error) Capacity() bool {
	if e.Status != http.StatusBadRequest && e.Status != http.StatusInternalServerError {
		return false
	}
	words := strings.ToLower(e.Words())
	for _, c := range capacity {
		if strings.Contains(words, c) {
			return true
		}
	}
	return false
}

// Denied reports whether this pool is closed to the account. A 403 that is no
// problem document comes from the wall in front of the API: see Blocked.
func (e *Error) Denied() bool { return e.Status == http.StatusForbidden && e.Problem }

// Blocked reports whether something in front of the API refused the request.
func (e *Error) Blocked() bool { return e.Status == http.StatusForbidden && !e.Problem }

// Unclear reports whether a request that makes something may have made it.
func (e *Error) Unclear() bool {
	if e.Method != http.MethodPost || e.Capacity() {
		return false
	}
	switch {
	case e.Status == 0:
		return e.Sent
	case e.Status == http.StatusRequestTimeout, e.Status >= 500, e.Status < 300:
		return true
	}
	return false
}

// Transient reports whether asking again may help.
func (e *Error) Transient() bool {
	return e.Status == 0 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout ||
		e.Status >= 500 || e.Status < 300
}

// problem fills in what an answer's body says.
func (e *Error) problem(body []byte) {
	var p struct {
		Title  string   `json:"title"`
		Detail string   `json:"detail"`
		Status int      `json:"status"`
		Errors []string `json:"errors"`
		Error  string   `json:"error"` // v1
	}
	if err := json.Unmarshal(body, &p); err == nil && (p.Title != "" || p.Detail != "" || p.Error != "") {
		e.Problem, e.Title, e.Detail, e.Errors = true, p.Title, p.Detail, p.Errors
		if e.Detail == "" {
			e.Detail = p.Error
		}
		return
	}
	e.Body = strings.Join(strings.Fields(string(body[:min(len(body), 200)])), " ")
}
