package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Messages is a gateway that speaks the Anthropic Messages API in front of a
// server with OpenAI chat completions. It is an [http.Handler] for
//
//	POST /v1/messages               streaming or not
//	POST /v1/messages/count_tokens  counted by the server, or estimated
//	GET  /v1/models
//	HEAD and GET /, /api/hello      Claude Code's look whether anybody is there
//
// Everything else is 404.
type Messages struct{ core *core }

// NewMessages returns a gateway for cfg. It starts nothing and holds nothing
// open but the transport's idle connections.
func NewMessages(cfg Config) *Messages { return &Messages{newCore(cfg)} }

// InFlight returns how many inference requests are under way.
func (m *Messages) InFlight() int { return int(m.core.inFlight.Load()) }

// ServeHTTP implements [http.Handler].
func (m *Messages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serveMessagesAPI(w, r, m.core, m.messages, m.countTokens, m.models)
}

// serveMessagesAPI sends a request of the Messages API to whom it concerns.
func serveMessagesAPI(w http.ResponseWriter, r *http.Request, c *core, messages http.HandlerFunc, countTokens, models sideHandler) {
	type route struct{ method, path string }
	switch (route{r.Method, r.URL.Path}) {
	case route{http.MethodPost, "/v1/messages"}:
		messages(w, r)
	case route{http.MethodPost, "/v1/messages/count_tokens"}:
		c.guarded(w, r, countTokens)
	case route{http.MethodGet, "/v1/models"}:
		c.guarded(w, r, models)
	case route{http.MethodHead, "/"}, route{http.MethodGet, "/"},
		route{http.MethodHead, "/api/hello"}, route{http.MethodGet, "/api/hello"}:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, `{"service":"dail proxy.Messages"}`+"\n")
	default:
		nameRequest(w, requestID(r.Header, c.newID))
		anthropicError(w, &fault{
			status:  http.StatusNotFound,
			message: r.Method + " " + r.URL.Path + " is not served here; this gateway has POST /v1/messages, POST /v1/messages/count_tokens and GET /v1/models",
		})
	}
}

// messages answers one inference request.
func (m *Messages) messages(w http.ResponseWriter, r *http.Request) {
	s := m.core.begin(w, r, "messages")
	defer s.end()
	d := &anthropic{newID: m.core.newID}
	caller, ok := m.core.cfg.identify(r)
	s.caller(caller)
	if !ok {
		m.core.refuse(w, d, unknownToken(), s)
		return
	}
	body, f := m.core.readBody(w, r)
	if f != nil {
		m.core.refuse(w, d, f, s)
		return
	}
	chat, f := m.translate(body)
	if f != nil {
		m.core.refuse(w, d, f, s)
		return
	}
	m.core.bodies.put(body)
	d.model = chat.asked
	s.rec.Streamed = chat.stream
	m.core.serve(w, r, d, chat.ask(s.rec.ID), s)
}

// translate reads a Messages request and makes a chat request of it, which
// holds no piece of body.
func (m *Messages) translate(body []byte) (*chatRequest, *fault) {
	req, err := parseMessages(body)
	if err == nil {
		var chat *chatRequest
		if chat, err = req.chat(m.core.cfg.Model); err == nil {
			return chat, nil
		}
	}
	return nil, &fault{status: http.StatusBadRequest, message: err.Error()}
}

// A sideHandler answers a request that is no inference; id is the request's.
type sideHandler func(w http.ResponseWriter, r *http.Request, id string)

// guarded serves a request that is no inference, for known callers only.
func (c *core) guarded(w http.ResponseWriter, r *http.Request, h sideHandler) {
	id := requestID(r.Header, c.newID)
	nameRequest(w, id)
	if _, ok := c.cfg.identify(r); !ok {
		anthropicError(w, unknownToken())
		return
	}
	h(w, r, id)
}

// countTokens answers with the server's own count, or, where it offers no
// /tokenize, with an estimate of 3.6 bytes a token.
func (m *Messages) countTokens(w http.ResponseWriter, r *http.Request, id string) {
	body, f := m.core.readBody(w, r)
	if f != nil {
		anthropicError(w, f)
		return
	}
	chat, f := m.translate(body)
	if f != nil {
		anthropicError(w, f)
		return
	}
	n, err := m.core.tokenize(r.Context(), chat.ask(id))
	if err != nil {
		m.core.cfg.Logger.InfoContext(r.Context(), "proxy: count_tokens is an estimate", "request", id, "error", err)
		n = max(1, int(float64(len(chat.messages)+len(chat.tools))/3.6))
	}
	writeJSON(w, http.StatusOK, struct {
		InputTokens int `json:"input_tokens"`
	}{n})
}

// models lists the server's models in the Anthropic form.
func (m *Messages) models(w http.ResponseWriter, r *http.Request, id string) {
	list, err := m.core.listModels(r.Context(), id)
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = m.core.unreachable(r.Context(), err)
		}
		anthropicError(w, f)
		return
	}
	type model struct {
		Type        string `json:"type"`
		ID          string `json:"id"`
		DisplayName string `json:"display_name"`
		CreatedAt   string `json:"created_at"`
	}
	out := struct {
		Data    []model `json:"data"`
		HasMore bool    `json:"has_more"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
	}{Data: []model{}}
	for _, e := range list {
		out.Data = append(out.Data, model{"model", e.ID, e.ID, time.Unix(e.Created, 0).UTC().Format(time.RFC3339)})
	}
	if n := len(out.Data); n > 0 {
		out.FirstID, out.LastID = &out.Data[0].ID, &out.Data[n-1].ID
	}
	writeJSON(w, http.StatusOK, out)
}

// unknownToken is the answer to a caller without a valid token.
func unknownToken() *fault {
	return &fault{
		status:  http.StatusUnauthorized,
		message: "the token is absent, unknown or revoked; send the one that was issued to this agent as Authorization: Bearer or x-api-key",
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(marshal(v)) // a client that has left reads no error either
}

// anthropicErrorType is the API's name for a status.
func anthropicErrorType(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "invalid_request_error"
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable, statusOverloaded:
		return "overloaded_error"
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return "timeout_error"
	}
	if status >= 400 && status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}

// statusOverloaded is Anthropic's own status for an overloaded server.
const statusOverloaded = 529

type anthropicErrorBody struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string `json:"request_id,omitempty"`
}

func anthropicErrorOf(f *fault, requestID string) anthropicErrorBody {
	e := anthropicErrorBody{Type: "error", RequestID: requestID}
	e.Error.Type, e.Error.Message = anthropicErrorType(f.status), f.message
	return e
}

// anthropicError writes f as an HTTP error of the Messages API.
func anthropicError(w http.ResponseWriter, f *fault) {
	h := w.Header()
	if f.retryAfter != "" {
		h.Set("Retry-After", patience(f.retryAfter))
	}
	switch f.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		// Claude Code repeats a 401 for three minutes unless told not to; none
		// of these mends itself.
		h.Set("X-Should-Retry", "false")
	}
	writeJSON(w, f.status, anthropicErrorOf(f, h.Get("X-Request-Id")))
}

// longestRetryAfter is the longest wait, in seconds, that Claude Code takes from
// a Retry-After; asked to wait longer it fails at once (seen at 61).
const longestRetryAfter = 60

// patience bounds a Retry-After to what the client waits for. A date stays: the
// client ignores it.
func patience(retryAfter string) string {
	if n, err := strconv.Atoi(retryAfter); err == nil && n > longestRetryAfter {
		return itoa(longestRetryAfter)
	}
	return retryAfter
}

// anthropicStatus is the status under which a server's fault is passed on.
func anthropicStatus(status int) int {
	switch {
	case status == http.StatusServiceUnavailable:
		// vLLM's "queue is full"; Claude Code has a patience of its own for
		// 529.
		return statusOverloaded
	case status == http.StatusUnprocessableEntity:
		return http.StatusBadRequest
	case status < 400 || status > 599:
		return http.StatusBadGateway // a redirect, or a success that is none
	}
	return status
}
