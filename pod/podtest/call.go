package podtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/x/dail/pod/podtest/internal/contract"
)

// maxBody is what a request's body may hold, in bytes.
const maxBody = 102400

// call is one request and what becomes of it.
type call struct {
	r      *http.Request
	id     string
	op     *contract.Operation
	vars   map[string]string
	raw    []byte
	podKey string // id of the pod whose own key was used; empty: the account's
	pod    string // the pod that the call is about, for the log
	faults []Fault
	after  func() // what happens when the answer has left; may be nil
}

// answer is what the caller gets.
type answer struct {
	status int
	body   any // JSON; nil: none
	header http.Header
	// A fault's answer is sent as it is, and not held to the contract.
	raw  []byte
	kind string
	// stream writes the body itself; hang gives no answer; cut ends the
	// connection.
	stream func(http.ResponseWriter)
	hang   bool
	cut    bool
}

type handler func(*call) answer

// problem is RFC 9457's error document as RunPod sends it.
type problem struct {
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Errors []string `json:"errors,omitempty"`
}

func refuse(status int, detail string, errors ...string) answer {
	return answer{status: status, body: problem{http.StatusText(status), status, detail, errors}}
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.work.Add(1)
	s.requests++
	c := &call{r: r, id: fmt.Sprintf("req-%06d", s.requests)}
	s.mu.Unlock()
	defer s.work.Done()

	a := s.answer(w, c)
	at := s.clk.Now() // before the caller can know, so that the log is in order
	s.log.add(c.event(at, a))
	s.send(w, c, a)
	if c.after != nil {
		http.NewResponseController(w).Flush() // an error means that the caller has gone
		c.after()
	}
}

// answer takes a request through what stands in front of the handlers, in the
// order in which RunPod asks: Cloudflare, key, rate, contract.
func (s *Server) answer(w http.ResponseWriter, c *call) answer {
	w.Header().Set("X-Request-Id", c.id)
	path := c.r.URL.EscapedPath()
	if a, stopped := s.atTheDoor(c, path); stopped {
		return a
	}
	who, a, ok := s.authenticate(c.r)
	if !ok {
		return a
	}
	c.podKey = who
	if a, ok := s.limits.allow(w.Header(), c.r.Header.Get("Authorization")); !ok {
		return a
	}
	if a, acted := s.anyCallFault(c); acted {
		return a
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	if err != nil {
		return refuse(http.StatusBadRequest, "the body could not be read")
	}
	if len(body) > maxBody {
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("request body exceeds %d bytes", maxBody))
	}
	c.raw = body
	if path == "/graphql" {
		return s.graphQL(c)
	}
	return s.rest(c, path)
}

// atTheDoor answers what does not even get to the API.
func (s *Server) atTheDoor(c *call, path string) (answer, bool) {
	agent := c.r.UserAgent()
	_, blocked := s.take(c, Cloudflare)
	if blocked || agent == "" || strings.HasPrefix(agent, "Python-urllib") {
		return answer{status: http.StatusForbidden, kind: "text/html; charset=UTF-8", raw: []byte("error code: 1010")}, true
	}
	if _, gone := s.take(c, Gone); gone || strings.HasPrefix(path, "/v1/") {
		return refuse(http.StatusGone, "this version of the API is no longer served; use https://api.runpod.io/v2").loose(), true
	}
	if _, cut := s.take(c, CallCut); cut {
		return answer{cut: true}, true
	}
	return answer{}, false
}

// authenticate returns whose key the request carries.
func (s *Server) authenticate(r *http.Request) (podKey string, a answer, ok bool) {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer && r.URL.Path == "/graphql" {
		key = r.URL.Query().Get("api_key")
	}
	if key == "" {
		return "", refuse(http.StatusUnauthorized, "missing bearer token"), false
	}
	if key == s.Key {
		return "", answer{}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pods {
		if p.key == key && p.alive() {
			return p.id, answer{}, true
		}
	}
	return "", refuse(http.StatusUnauthorized, "invalid bearer token"), false
}

// rest answers a call of the OpenAPI document.
func (s *Server) rest(c *call, path string) answer {
	op, vars, allowed := s.contract.Find(c.r.Method, path)
	if op == nil {
		if allowed == nil {
			return refuse(http.StatusNotFound, "resource not found")
		}
		a := refuse(http.StatusMethodNotAllowed, "The requested method is not allowed for this path.")
		a.header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
		return a
	}
	c.op, c.vars = op, vars
	var body any
	if op.HasBody() {
		var err error
		if body, err = jsonschema.UnmarshalJSON(bytes.NewReader(c.raw)); err != nil {
			return refuse(http.StatusBadRequest, "the body is not JSON")
		}
	}
	if faults := op.CheckRequest(c.r.URL.Query(), body); len(faults) > 0 {
		return refuse(http.StatusUnprocessableEntity, "Request validation failed.", faults...)
	}
	if c.podKey != "" && !ownCall(op, vars, c.podKey) {
		return refuse(http.StatusForbidden, "access denied")
	}
	return s.handlers[op.ID](c)
}

// ownCall reports whether a pod's own key may make the call.
func ownCall(op *contract.Operation, vars map[string]string, pod string) bool {
	switch op.ID {
	case "getPod", "deletePod", "podAction", "getPodLogs":
		return vars["id"] == pod
	}
	return false
}

// send writes an answer, unless it does not fit the contract.
func (s *Server) send(w http.ResponseWriter, c *call, a answer) {
	switch {
	case a.hang, a.cut:
		if a.hang {
			<-c.r.Context().Done() // the caller has gone, or the server closes
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
		return
	case a.stream != nil:
		a.stream(w)
		return
	}
	if a.raw == nil && a.body != nil {
		var err error
		if a.raw, err = json.Marshal(a.body); err != nil {
			s.violation("%s %s: %v", c.r.Method, c.r.URL.Path, err)
		}
		a.kind = "application/json"
		if a.status >= 400 {
			a.kind = "application/problem+json"
		}
		if c.op != nil {
			if err := c.op.CheckResponse(a.status, a.kind, a.raw); err != nil {
				s.violation("%v", err)
				a.status, a.kind = http.StatusInternalServerError, "application/problem+json"
				a.raw, _ = json.Marshal(problem{"podtest", 500, "podtest broke its own contract: " + err.Error(), nil})
			}
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.WriteHeader(a.status)
	w.Write(a.raw) // an error means that the caller has gone
}

// loose turns an answer into one that is not held to the contract.
func (a answer) loose() answer {
	a.raw, _ = json.Marshal(a.body) // a problem document always marshals
	a.kind = "application/problem+json"
	return a
}

// decode reads a body that the contract has already let pass.
func (c *call) decode(into any) error { return json.Unmarshal(c.raw, into) }

// retryAfter is a refusal that says when to come back.
func retryAfter(wait time.Duration, detail string) answer {
	a := refuse(http.StatusTooManyRequests, detail)
	seconds := max(1, int((wait+time.Second-1)/time.Second))
	a.header = http.Header{"Retry-After": {fmt.Sprint(seconds)}}
	return a
}
