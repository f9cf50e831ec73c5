package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/x/dail/trace"
)

// A span is one inference request from arrival to end.
type span struct {
	core  *core
	start time.Time
	rec   trace.Record
	sess  *session
}

// begin opens the record of a request, and answers its request id.
func (c *core) begin(w http.ResponseWriter, r *http.Request, dialect string) *span {
	c.inFlight.Add(1)
	now := time.Now()
	id := requestID(r.Header, c.newID)
	nameRequest(w, id)
	return &span{core: c, start: now, rec: trace.Record{
		ID:      id,
		Agent:   -1,
		Dialect: dialect,
		Arrival: now,
		Session: clip(r.Header.Get("X-Claude-Code-Session-Id"), 128),
	}}
}

func (s *span) since() float64 { return time.Since(s.start).Seconds() }

// caller notes who asks, and what the same session did before.
func (s *span) caller(c Caller) {
	s.rec.Level, s.rec.Agent, s.rec.Phase = c.Level, c.Agent, c.Phase
}

// body notes what is asked. Two bodies with the same prompt and tools are the
// same question, whether a stream is wanted or not and whatever the limit of
// the answer: Claude Code's silent re-send differs in just these.
func (s *span) body(parts ...[]byte) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
		h.Write([]byte{0})
	}
	s.rec.BodyHash = hex.EncodeToString(h.Sum(nil)[:16])
	for _, p := range parts {
		s.rec.PromptBytes += len(p)
	}
	s.rec.OwnPrefixBytes, s.rec.SharedPrefixBytes = s.core.prefixes.arrive(s.rec.Level, s.rec.Agent, parts...)
	s.sess, s.rec.Retry, s.rec.ToolGapS = s.core.sessions.arrive(s.sessionKey(), s.rec.BodyHash, s.start)
}

// sessionKey names the conversation: the client's own session within its
// caller, or the caller's agent and phase; "" where neither is known.
func (s *span) sessionKey() string {
	if s.rec.Session == "" && s.rec.Agent < 0 {
		return ""
	}
	return s.rec.Level + "\x00" + itoa(s.rec.Agent) + "\x00" + s.rec.Phase + "\x00" + s.rec.Session
}

// end closes the record and hands it over.
func (s *span) end() {
	s.core.inFlight.Add(-1)
	s.rec.EndS = s.since()
	s.core.sessions.leave(s.sess, time.Now())
	s.core.cfg.Trace(s.rec)
}

// nameRequest tells the client the request's id, under both names: Anthropic's
// SDKs look for Request-Id, OpenAI's and most servers for X-Request-Id.
func nameRequest(w http.ResponseWriter, id string) {
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Request-Id", id)
}

// requestID returns the client's own id if it is a decent one, or a new one.
func requestID(h http.Header, newID func(string) string) string {
	id := h.Get("X-Request-Id")
	if id == "" || len(id) > 128 {
		return newID("req_")
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return newID("req_")
		}
	}
	return id
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
