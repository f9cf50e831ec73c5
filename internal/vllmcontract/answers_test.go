package vllmcontract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A completion is a chat.completion, as far as dail reads it.
type completion struct {
	ID, Object, Model string
	Created           int64
	Choices           []struct {
		Index        int
		FinishReason string           `json:"finish_reason"`
		StopReason   *json.RawMessage `json:"stop_reason"`
		Message      struct {
			Role      string
			Content   *string
			ToolCalls *[]call `json:"tool_calls"`
		}
	}
	Usage usage
}

type call struct {
	ID, Type string
	Function struct{ Name, Arguments string }
}

type usage struct {
	Prompt  int `json:"prompt_tokens"`
	Total   int `json:"total_tokens"`
	Output  int `json:"completion_tokens"`
	Details *struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// answered reads a chat completion with one choice.
func answered(r reply) (*completion, error) {
	var c completion
	if r.err != nil || r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		return nil, fmt.Errorf("want 200 and JSON, got %v", r)
	}
	if err := json.Unmarshal(r.body, &c); err != nil {
		return nil, fmt.Errorf("%w: %v", err, r)
	}
	if len(c.Choices) != 1 || c.Choices[0].Message.Role != "assistant" || c.Object != "chat.completion" || c.Created == 0 || c.Choices[0].Message.ToolCalls == nil {
		return nil, fmt.Errorf("want a chat.completion of one choice by the assistant, with a list of tool calls, got %v", r)
	}
	if u := c.Usage; u.Prompt < 1 || u.Output < 1 || u.Total != u.Prompt+u.Output {
		return nil, fmt.Errorf("usage does not add up: %v", r)
	}
	return &c, nil
}

// decode asks a small question and reads its JSON.
func (s *server) decode(ctx context.Context, path string, v any) error {
	r := s.do(ctx, "GET", path, "", nil)
	if r.err != nil || r.status != http.StatusOK {
		return fmt.Errorf("%s: %v", path, r)
	}
	return json.Unmarshal(r.body, v)
}

var hi = object{"messages": user("Say hi."), "max_tokens": 8, "ignore_eos": true}

var answerTerms = []term{
	{name: "health is an empty 200", test: func(ctx context.Context, s *server) error {
		if r := s.do(ctx, "GET", "/health", "", nil); r.err != nil || r.status != http.StatusOK || len(r.body) > 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	}},
	{name: "version says a version", test: func(ctx context.Context, s *server) error {
		var v struct{ Version string }
		if err := s.decode(ctx, "/version", &v); err != nil || v.Version == "" || v.Version != s.version {
			return fmt.Errorf("%+v, %v, want %s", v, err, s.version)
		}
		return nil
	}},
	{name: "models names the model and its context", test: func(ctx context.Context, s *server) error {
		var v struct {
			Object string
			Data   []struct {
				ID, Object  string
				Created     int64
				MaxModelLen int `json:"max_model_len"`
			}
		}
		if err := s.decode(ctx, "/v1/models", &v); err != nil {
			return err
		}
		if v.Object != "list" || len(v.Data) != 1 || v.Data[0].ID != s.model || v.Data[0].Object != "model" || v.Data[0].Created == 0 || v.Data[0].MaxModelLen != s.context {
			return fmt.Errorf("%+v", v)
		}
		return nil
	}},
	{name: "an answer that is cut ends with length", test: func(ctx context.Context, s *server) error {
		c, err := answered(s.chat(ctx, hi))
		if err != nil {
			return err
		}
		if ch := c.Choices[0]; ch.FinishReason != "length" || ch.StopReason != nil || ch.Message.Content == nil || *ch.Message.Content == "" ||
			len(*ch.Message.ToolCalls) != 0 || c.Usage.Output != 8 || c.Model != s.model || !strings.HasPrefix(c.ID, "chatcmpl-") {
			return fmt.Errorf("%+v", c)
		}
		return nil
	}},
	// The grammar makes the model say what ends; the simulator has its own words.
	{name: "an answer that is whole ends with stop", test: func(ctx context.Context, s *server) error {
		c, err := answered(s.chat(ctx, object{"messages": user("Count."), "max_tokens": 100, "structured_outputs": object{"regex": "one two three"}}))
		if err != nil {
			return err
		}
		if ch := c.Choices[0]; ch.FinishReason != "stop" || ch.StopReason != nil || ch.Message.Content == nil || *ch.Message.Content == "" {
			return fmt.Errorf("%+v", c)
		}
		return nil
	}},
	{name: "a stop string ends with stop and says which", test: func(ctx context.Context, s *server) error {
		c, err := answered(s.chat(ctx, object{"messages": user("Count."), "max_tokens": 100, "stop": []string{"two"}, "structured_outputs": object{"regex": "one two three"}}))
		if err != nil {
			return err
		}
		if ch := c.Choices[0]; ch.FinishReason != "stop" || ch.StopReason == nil || string(*ch.StopReason) != `"two"` || *ch.Message.Content != "one " {
			return fmt.Errorf("%+v", c)
		}
		return nil
	}, simOtherwise: "stop strings and grammars are ignored, since answers are the cassette's"},
	{name: "max_completion_tokens goes before max_tokens", test: func(ctx context.Context, s *server) error {
		c, err := answered(s.chat(ctx, hi.with("max_completion_tokens", 3)))
		if err == nil && c.Usage.Output != 3 {
			err = fmt.Errorf("%+v", c.Usage)
		}
		return err
	}},
	{name: "X-Request-Id names the answer", test: func(ctx context.Context, s *server) error {
		r := s.do(ctx, "POST", "/v1/chat/completions", hi.with("model", s.model).json(), http.Header{"X-Request-Id": {"our-id-1"}})
		c, err := answered(r)
		if err == nil && c.ID != "chatcmpl-our-id-1" {
			err = fmt.Errorf("the id is %q", c.ID)
		}
		return err
	}},
	{name: "a prompt that was asked before is cached", test: func(ctx context.Context, s *server) error {
		var c *completion
		for range 2 {
			var err error
			if c, err = answered(s.chat(ctx, hi.with("messages", user(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 60))))); err != nil {
				return err
			}
		}
		if d := c.Usage.Details; d == nil || d.Cached < blockSize || d.Cached >= c.Usage.Prompt {
			return fmt.Errorf("%+v", c.Usage)
		}
		return nil
	}},
	{name: "tokenize counts what usage counts", test: func(ctx context.Context, s *server) error {
		ask := hi.with("tools", tools, "tool_choice", "none")
		c, err := answered(s.chat(ctx, ask))
		if err != nil {
			return err
		}
		var n struct {
			Count       int
			MaxModelLen int `json:"max_model_len"`
			Tokens      []int
		}
		if r := s.post(ctx, "/tokenize", object{"messages": ask["messages"], "tools": tools}); r.status != http.StatusOK || json.Unmarshal(r.body, &n) != nil {
			return fmt.Errorf("%v", r)
		}
		if n.Count != c.Usage.Prompt || n.MaxModelLen != s.context || len(n.Tokens) != n.Count {
			return fmt.Errorf("%d of %d, %d tokens, usage says %d", n.Count, n.MaxModelLen, len(n.Tokens), c.Usage.Prompt)
		}
		return nil
	}},
	{name: "tokenize counts beyond the context", test: func(ctx context.Context, s *server) error {
		n, err := s.count(ctx, user(strings.Repeat("word ", 60_000)))
		if err == nil && n < 60_000 {
			err = fmt.Errorf("%d tokens for 60,000 words", n)
		}
		return err
	}},
}

// count has the server count a prompt.
func (s *server) count(ctx context.Context, messages []object) (int, error) {
	var n struct{ Count int }
	r := s.post(ctx, "/tokenize", object{"messages": messages})
	if r.status != http.StatusOK || json.Unmarshal(r.body, &n) != nil || n.Count == 0 {
		return 0, fmt.Errorf("/tokenize: %v", r)
	}
	return n.Count, nil
}

// A chunk is an event of a streamed answer.
type chunk struct {
	ID, Object string
	Choices    []struct {
		FinishReason *string `json:"finish_reason"`
		Delta        struct {
			Role, Content *string
			ToolCalls     []struct {
				Index    int
				ID       *string
				Function struct{ Name, Arguments *string }
			} `json:"tool_calls"`
		}
	}
	Usage *usage
}

// streamed asks for a stream and reads it; the last line must be [DONE].
func (s *server) streamed(ctx context.Context, body object) ([]chunk, error) {
	r := s.chat(ctx, body.with("stream", true))
	if r.err != nil || r.status != http.StatusOK || r.header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		return nil, fmt.Errorf("want an event stream, got %v", r)
	}
	events := strings.Split(strings.TrimSuffix(string(r.body), "\n\n"), "\n\n")
	var chunks []chunk
	for i, e := range events {
		data, ok := strings.CutPrefix(e, "data: ")
		if last := i == len(events)-1; !ok || last != (data == "[DONE]") {
			return nil, fmt.Errorf("event %d of %d is %q", i, len(events), e)
		} else if last {
			return chunks, nil
		}
		var c chunk
		if err := json.NewDecoder(bytes.NewReader([]byte(data))).Decode(&c); err != nil {
			return nil, fmt.Errorf("event %d: %w: %s", i, err, data)
		}
		if c.Object != "chat.completion.chunk" || c.ID == "" || i > 0 && c.ID != chunks[0].ID {
			return nil, fmt.Errorf("event %d: %s", i, data)
		}
		chunks = append(chunks, c)
	}
	return nil, errors.New("the stream has no end")
}

var streamTerms = []term{
	{name: "a stream begins with the role and ends with usage", test: func(ctx context.Context, s *server) error {
		chunks, err := s.streamed(ctx, hi.with("stream_options", object{"include_usage": true}))
		if err != nil {
			return err
		}
		if len(chunks) < 3 {
			return fmt.Errorf("%d chunks", len(chunks))
		}
		first, last, text, finish := chunks[0], chunks[len(chunks)-1], "", ""
		if d := first.Choices[0].Delta; d.Role == nil || *d.Role != "assistant" || d.Content == nil || *d.Content != "" {
			return fmt.Errorf("first chunk: %+v", first)
		}
		if len(last.Choices) != 0 || last.Usage == nil || last.Usage.Output != 8 || last.Usage.Prompt < 1 {
			return fmt.Errorf("last chunk: %+v", last)
		}
		for _, c := range chunks[:len(chunks)-1] {
			if c.Usage != nil || len(c.Choices) != 1 || finish != "" {
				return fmt.Errorf("a chunk between: %+v", c)
			}
			if d := c.Choices[0].Delta; d.Content != nil {
				text += *d.Content
			}
			if f := c.Choices[0].FinishReason; f != nil {
				finish = *f
			}
		}
		if text == "" || finish != "length" {
			return fmt.Errorf("text %q, finish_reason %q", text, finish)
		}
		return nil
	}},
	{name: "a stream says no usage unless asked", test: func(ctx context.Context, s *server) error {
		chunks, err := s.streamed(ctx, hi)
		for _, c := range chunks {
			if c.Usage != nil || len(c.Choices) != 1 {
				return fmt.Errorf("%+v", c)
			}
		}
		return err
	}},
}
