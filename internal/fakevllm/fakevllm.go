// Package fakevllm is a model server for tests whose every answer is scripted:
// vLLM's chat completions without streaming, which is all that the gateways ask
// for. Where a test needs an engine that behaves, package sim is the one; this
// one misbehaves on demand.
package fakevllm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Model is the name of the one model that is served, ContextLength its context
// in tokens, and Count the length of every prompt that it is asked to count: a
// number that nobody else would say.
const (
	Model         = "m"
	ContextLength = 16384
	Count         = 4321
)

// A Reply is one scripted answer.
type Reply struct {
	// Status is the HTTP status; 0 is 200.
	Status int
	Header http.Header
	Body   string
	// Hold, if not nil, keeps the answer back until it is closed.
	Hold <-chan struct{}
	// BreakOff ends the connection in the middle of the body.
	BreakOff bool
}

// A Request is what the server was asked.
type Request struct {
	Path   string
	Header http.Header
	Body   string
}

// Server is the model server, on a port of its own on 127.0.0.1.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	answer   func(n int, r Request) Reply
	requests []Request
	gone     chan struct{}
	asked    chan struct{}
}

// New starts a server. answer is called for each chat completion, with how many
// there were before since the last call of Script, from that request's own
// goroutine. Close ends it.
func New(answer func(n int, r Request) Reply) *Server {
	s := &Server{}
	s.Script(answer)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", s.chat)
	mux.HandleFunc("POST /tokenize", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"count": Count, "max_model_len": ContextLength, "tokens": []int{}})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"object": "list", "data": []any{map[string]any{
			"id": Model, "object": "model", "created": 1700000000, "owned_by": "vllm", "max_model_len": ContextLength,
		}}})
	})
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	s.Server = httptest.NewServer(mux)
	return s
}

// Script replaces what the server answers and forgets what it was asked.
func (s *Server) Script(answer func(n int, r Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.requests = answer, nil
	// One that leaves is noted without waiting for a reader.
	s.gone, s.asked = make(chan struct{}, 64), make(chan struct{}, 64)
}

// Requests returns the chat completions that were asked for, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Asked returns a channel with an item for each request that arrived, and Gone
// one for each whose client left before its answer, since the last Script.
func (s *Server) Asked() <-chan struct{} { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

// Gone is described at Asked.
func (s *Server) Gone() <-chan struct{} { s.mu.Lock(); defer s.mu.Unlock(); return s.gone }

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left
	}
	req := Request{r.URL.Path, r.Header.Clone(), string(body)}
	s.mu.Lock()
	n, answer, gone, asked := len(s.requests), s.answer, s.gone, s.asked
	s.requests = append(s.requests, req)
	s.mu.Unlock()
	note(asked)
	reply := answer(n, req)
	if reply.Hold != nil {
		select {
		case <-reply.Hold:
		case <-r.Context().Done():
			note(gone)
			return
		}
	}
	for k, v := range reply.Header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	if reply.Status != 0 {
		w.WriteHeader(reply.Status)
	}
	if reply.BreakOff {
		io.WriteString(w, reply.Body[:len(reply.Body)/2])
		w.(http.Flusher).Flush() // httptest's writer has it
		panic(http.ErrAbortHandler)
	}
	io.WriteString(w, reply.Body)
}

func note(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // a client that has left reads no error either
}

// A Call is a tool call of the model. Arguments is JSON text, sent as it is.
type Call struct{ ID, Name, Arguments string }

// The usage in every Completion.
const (
	PromptTokens = 120
	CachedTokens = 100
	OutputTokens = 7
)

// Completion is an answer of the model, in vLLM's form. reasoning may be "".
func Completion(text, reasoning, finish string, calls ...Call) Reply {
	type function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	type call struct {
		ID       string   `json:"id"`
		Type     string   `json:"type"`
		Function function `json:"function"`
	}
	list := []call{}
	for _, c := range calls {
		list = append(list, call{c.ID, "function", function{c.Name, c.Arguments}})
	}
	message := map[string]any{"role": "assistant", "content": nil, "refusal": nil, "tool_calls": list, "reasoning": nil}
	if text != "" {
		message["content"] = text
	}
	if reasoning != "" {
		message["reasoning"] = reasoning
	}
	body, err := json.Marshal(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": Model,
		"choices": []any{map[string]any{"index": 0, "message": message, "logprobs": nil, "finish_reason": finish, "stop_reason": nil}},
		"usage": map[string]any{"prompt_tokens": PromptTokens, "total_tokens": PromptTokens + OutputTokens, "completion_tokens": OutputTokens,
			"prompt_tokens_details": map[string]any{"cached_tokens": CachedTokens}},
	})
	if err != nil {
		return Reply{Status: http.StatusInternalServerError, Body: err.Error()} // strings always encode
	}
	return Reply{Body: string(body)}
}

// Text is an answer that only says something.
func Text(text string) Reply { return Completion(text, "", "stop") }

// Fault is an error in vLLM's form.
func Fault(status int, kind, message string) Reply {
	return Reply{Status: status, Body: fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%d}}`, message, kind, status)}
}
