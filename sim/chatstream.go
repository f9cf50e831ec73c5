package sim

import (
	"net/http"
)

// The chunks of a streamed chat answer. vLLM leaves out what was not set, so
// each kind of delta has its own shape.
type chatChunk struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices any    `json:"choices"`
	Usage   *usage `json:"usage,omitempty"`
}

type chunkChoice struct {
	Index        int     `json:"index"`
	Delta        any     `json:"delta"`
	Logprobs     *string `json:"logprobs"`
	FinishReason *string `json:"finish_reason"`
}

type finishChoice struct {
	chunkChoice
	StopReason *string `json:"stop_reason"`
}

type (
	roleDelta struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	textDelta struct {
		Content string `json:"content"`
	}
	callDelta struct {
		ToolCalls []wireCall `json:"tool_calls"`
	}
)

// events writes server-sent events, without names, as vLLM does.
type events struct {
	w       http.ResponseWriter
	flusher *http.ResponseController
}

// newEvents sends the headers.
func newEvents(w http.ResponseWriter) *events {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	return &events{w: w, flusher: http.NewResponseController(w)}
}

func (e *events) send(v any) error { return e.write(marshal(v)) }

func (e *events) write(data string) error {
	_, err := e.w.Write([]byte("data: " + data + "\n\n"))
	return err
}

// flush sends what was written. A writer that cannot flush sends it at the end.
func (e *events) flush() { _ = e.flusher.Flush() }

// end closes the stream; after a failure in it, HTTP being 200 already, the
// error is the last event but one.
func (e *events) end(err error) {
	if err != nil {
		_ = e.send(map[string]any{"error": asAPIError(err)})
	}
	_ = e.write("[DONE]")
	e.flush()
}

func (s *Server) streamChat(w http.ResponseWriter, r *http.Request, req *chatRequest, id string, created int64, job Job, a *answer) {
	var out *events
	chunk := func(choices any, u *usage) chatChunk {
		return chatChunk{id, "chat.completion.chunk", created, s.cfg.Model, choices, u}
	}
	continuous := req.StreamOptions != nil && req.StreamOptions.ContinuousUsage
	sent, calls, cachedTokens := 0, 0, 0
	err := s.generate(r.Context(), job, func(total, cached int, done bool) error {
		cachedTokens = cached
		var u *usage
		if continuous {
			u = newUsage(len(job.Prompt), total, cached)
		}
		send := func(d any) error { return out.send(chunk([]chunkChoice{{Delta: d}}, u)) }
		var failed error
		if out == nil { // vLLM, too, begins with the first token
			out = newEvents(w)
			failed = send(roleDelta{Role: "assistant"})
		}
		a.deltas(sent, total, func(d delta) {
			if failed != nil {
				return
			}
			switch d.kind {
			case partText:
				failed = send(textDelta{d.text})
			case partName:
				if d.call < calls { // the rest of a name, which is sent whole
					return
				}
				calls = d.call + 1
				c := a.calls[d.call]
				failed = send(callDelta{[]wireCall{{Index: &d.call, ID: c.ID, Type: "function", Function: wireFunc{Name: c.Name}}}})
			case partArguments:
				failed = send(callDelta{[]wireCall{{Index: &d.call, Function: wireFunc{Arguments: d.text}}}})
			}
		})
		sent = total
		if done && failed == nil {
			reply := a.reply()
			failed = out.send(chunk([]finishChoice{{chunkChoice: chunkChoice{Delta: struct{}{}, FinishReason: &reply.finish}}}, u))
		}
		out.flush()
		return failed
	})
	switch {
	case r.Context().Err() != nil: // the client has gone
	case out == nil: // nothing was sent: an error can be an HTTP error
		fail(w, err)
	default:
		if err == nil && req.StreamOptions != nil && req.StreamOptions.IncludeUsage {
			_ = out.send(chunk([]struct{}{}, newUsage(len(job.Prompt), len(job.Output), cachedTokens)))
		}
		out.end(err)
	}
}
