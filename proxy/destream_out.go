package proxy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// openAI is the chat completions dialect of one request.
type openAI struct {
	newID        func(string) string
	includeUsage bool
}

// openAIErrorType is the word for a status that vLLM uses.
func openAIErrorType(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return "BadRequestError"
	case http.StatusUnauthorized:
		return "AuthenticationError"
	case http.StatusNotFound:
		return "NotFoundError"
	case http.StatusTooManyRequests:
		return "RateLimitError"
	}
	return "InternalServerError"
}

type openAIErrorBody struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    int     `json:"code"`
	} `json:"error"`
}

func openAIErrorOf(f *fault) any {
	if json.Valid(f.body) {
		return json.RawMessage(f.body)
	}
	var e openAIErrorBody
	e.Error.Message, e.Error.Type, e.Error.Code = f.message, openAIErrorType(f.status), f.status
	return e
}

// openAIError writes f as an HTTP error: the server's own body where it sent
// one.
func openAIError(w http.ResponseWriter, f *fault) {
	if f.retryAfter != "" {
		w.Header().Set("Retry-After", f.retryAfter)
	}
	if len(f.body) == 0 {
		writeJSON(w, f.status, openAIErrorOf(f))
		return
	}
	if f.contentType != "" {
		w.Header().Set("Content-Type", f.contentType)
	}
	w.WriteHeader(f.status)
	w.Write(f.body) // a client that has left reads no error either
}

func (d *openAI) fault(w http.ResponseWriter, f *fault) int {
	g := *f
	if g.status < 400 || g.status > 599 {
		g.status = http.StatusBadGateway
	}
	openAIError(w, &g)
	return g.status
}

// lateFault ends the stream as vLLM does: an error chunk, then [DONE].
func (d *openAI) lateFault(f *fault) []byte {
	var s sse
	s.data(openAIErrorOf(f))
	s.done()
	return s.bytes()
}

// keepAlive is a comment, which readers of event streams skip.
func (d *openAI) keepAlive() []byte { return []byte(": keep-alive\n\n") }

func (d *openAI) stopReason(done *completion) string { return done.Choices[0].FinishReason }

// done ends a stream of the OpenAI API.
func (s *sse) done() { s.buf.WriteString("data: [DONE]\n\n") }

// whole is the server's own answer, or, where something was mended in it, the
// mended one.
func (d *openAI) whole(done *completion) []byte {
	if !slices.ContainsFunc(done.repairs, mendsAnswer) {
		return done.raw
	}
	out := fields{"id": compact(done.ID)}
	for k, v := range done.rest {
		out[k] = v
	}
	if done.rawUsage != nil {
		out["usage"] = done.rawUsage
	}
	var choices []fields
	for i := range done.Choices {
		c := &done.Choices[i]
		message := fields{"role": json.RawMessage(`"assistant"`), "content": json.RawMessage("null")}
		for k, v := range c.message {
			message[k] = v
		}
		if c.Content != "" {
			message["content"] = compact(c.Content)
		}
		if c.Reasoning != "" {
			message["reasoning"], message["reasoning_content"] = compact(c.Reasoning), compact(c.Reasoning)
		}
		if len(c.ToolCalls) > 0 {
			message["tool_calls"] = compact(chatCalls(c.ToolCalls))
		}
		f := fields{}
		for k, v := range c.rest {
			f[k] = v
		}
		f["index"], f["message"], f["finish_reason"] = compact(c.Index), compact(message), compact(c.FinishReason)
		if c.StopReason != nil {
			f["stop_reason"] = c.StopReason
		}
		choices = append(choices, f)
	}
	out["choices"] = compact(choices)
	return compact(out)
}

// mendsAnswer reports whether a repair of this name changed the answer, and not
// the request, or nothing.
func mendsAnswer(name string) bool {
	for _, kind := range []string{"leak:", "reasoning:", "arguments:"} {
		if strings.HasPrefix(name, kind) {
			return true
		}
	}
	return false
}

func chatCalls(calls []toolCall) []chatToolCall {
	out := make([]chatToolCall, len(calls))
	for i, call := range calls {
		out[i] = chatToolCall{ID: call.ID, Type: "function"}
		out[i].Function.Name, out[i].Function.Arguments = call.Name, call.Arguments
	}
	return out
}

// stream is the answer as chunks. The order suits strict readers: a chunk says
// one thing, content never comes with a finish reason, no content is empty but
// that of the role chunk, and a tool call's name comes before its arguments.
func (d *openAI) stream(done *completion) []byte {
	var s sse
	chunk := d.chunkHead(done)
	send := func(index int, delta, more fields) {
		c := fields{"index": compact(index), "delta": compact(delta), "finish_reason": json.RawMessage("null")}
		for k, v := range more {
			c[k] = v
		}
		chunk["choices"] = compact([]fields{c})
		s.data(chunk)
	}
	for i := range done.Choices {
		streamChoice(&done.Choices[i], send)
	}
	if d.includeUsage && done.rawUsage != nil {
		chunk["choices"], chunk["usage"] = json.RawMessage("[]"), done.rawUsage
		s.data(chunk)
	}
	s.done()
	return s.bytes()
}

// chunkHead is what every chunk has: the answer's own keys, save the nulls.
func (d *openAI) chunkHead(done *completion) fields {
	chunk := fields{}
	for k, v := range done.rest {
		if !isNull(v) {
			chunk[k] = v
		}
	}
	id := done.ID
	if id == "" {
		id = d.newID("chatcmpl-")
	}
	chunk["id"] = compact(id)
	chunk["object"] = json.RawMessage(`"chat.completion.chunk"`)
	if chunk["created"] == nil {
		chunk["created"] = compact(time.Now().Unix())
	}
	return chunk
}

// streamChoice sends one choice; send makes a chunk of a delta and further
// keys of the choice.
func streamChoice(c *choice, send func(index int, delta, more fields)) {
	send(c.Index, fields{"role": json.RawMessage(`"assistant"`), "content": json.RawMessage(`""`)}, nil)
	if c.Reasoning != "" {
		text := compact(c.Reasoning)
		send(c.Index, fields{"reasoning": text, "reasoning_content": text}, nil)
	}
	// White space before a tool call would become a text block that older
	// LiteLLMs keep and then refuse.
	if c.Content != "" && (len(c.ToolCalls) == 0 || strings.TrimSpace(c.Content) != "") {
		more := fields{}
		if raw := c.rest["logprobs"]; !isNull(raw) {
			more["logprobs"] = raw
		}
		send(c.Index, fields{"content": compact(c.Content)}, more)
	}
	for i, call := range chatCalls(c.ToolCalls) {
		arguments := call.Function.Arguments
		call.Function.Arguments = ""
		send(c.Index, fields{"tool_calls": compact([]indexedCall{{i, call}})}, nil)
		var more [1]struct {
			Index    int `json:"index"`
			Function struct {
				Arguments string `json:"arguments"`
			} `json:"function"`
		}
		more[0].Index, more[0].Function.Arguments = i, arguments
		send(c.Index, fields{"tool_calls": compact(more)}, nil)
	}
	// Whatever else the message holds (refusal, annotations, audio, …).
	rest := fields{}
	for k, v := range c.message {
		if !isNull(v) {
			rest[k] = v
		}
	}
	if len(rest) > 0 {
		send(c.Index, rest, nil)
	}
	finish := c.FinishReason
	if finish == "" {
		finish = "stop"
	}
	end := fields{"finish_reason": compact(finish)}
	if !isNull(c.StopReason) {
		end["stop_reason"] = c.StopReason
	}
	send(c.Index, fields{}, end)
}

type indexedCall struct {
	Index int `json:"index"`
	chatToolCall
}
