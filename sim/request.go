package sim

import (
	"encoding/json"
	"net/http"
	"strings"
)

// sampling is what chat and text completions have in common.
type sampling struct {
	Model         string         `json:"model"`
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`
	MaxTokens     *int           `json:"max_tokens"`
	MinTokens     int            `json:"min_tokens"`
	IgnoreEOS     bool           `json:"ignore_eos"`
	N             *int           `json:"n"`
}

type streamOptions struct {
	IncludeUsage    bool `json:"include_usage"`
	ContinuousUsage bool `json:"continuous_usage_stats"`
}

// check refuses what vLLM refuses before it looks at the prompt.
func (p *sampling) check(served string) error {
	if p.Model != "" && p.Model != served {
		e := badRequest("model", "The model `%s` does not exist.", p.Model)
		e.Type, e.Code = "NotFoundError", http.StatusNotFound
		return e
	}
	if p.StreamOptions != nil && !p.Stream {
		return badRequest("stream_options", "Stream options can only be defined when `stream=True`.")
	}
	if p.N != nil && *p.N != 1 {
		return badRequest("n", "dail-sim answers with one choice: n must be 1, got %d", *p.N)
	}
	if p.MaxTokens != nil && *p.MaxTokens < 1 {
		return badRequest("max_tokens", "max_tokens must be at least 1, got %d.", *p.MaxTokens)
	}
	if p.MinTokens < 0 {
		return badRequest("min_tokens", "min_tokens must be greater than or equal to 0, got %d.", p.MinTokens)
	}
	if p.MaxTokens != nil && p.MinTokens > *p.MaxTokens {
		return badRequest("min_tokens", "min_tokens must be less than or equal to max_tokens=%d, got %d.", *p.MaxTokens, p.MinTokens)
	}
	return nil
}

// limit returns how many tokens the answer may have, or vLLM's error for a
// context that does not hold them (the wording of 0.15 and later).
func (p *sampling) limit(promptTokens, maxModelLen, fallback int) (int, error) {
	room := maxModelLen - promptTokens
	want := 1
	switch {
	case p.MaxTokens != nil:
		want = *p.MaxTokens
	case fallback > 0:
		want = fallback
	case room > 0:
		want = room
	}
	if want > room {
		return 0, badRequest("input_tokens", "This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains at least %d input tokens, for a total of at least %d tokens. Please reduce the length of the input prompt or the number of requested output tokens.",
			maxModelLen, want, promptTokens, promptTokens+want)
	}
	return want, nil
}

type chatRequest struct {
	sampling
	Messages            []chatMessage     `json:"messages"`
	Tools               []json.RawMessage `json:"tools"`
	ToolChoice          json.RawMessage   `json:"tool_choice"`
	MaxCompletionTokens *int              `json:"max_completion_tokens"`
}

func (r *chatRequest) check(served string) error {
	if r.MaxCompletionTokens != nil { // takes precedence, as in vLLM
		r.MaxTokens = r.MaxCompletionTokens
	}
	if err := r.sampling.check(served); err != nil {
		return err
	}
	if len(r.Messages) == 0 {
		return badRequest("messages", "1 validation error: messages: a list with at least one message is required")
	}
	for i, m := range r.Messages {
		if m.Role == "" {
			return badRequest("messages", "1 validation error: messages[%d]: role is required", i)
		}
	}
	choice := strings.Trim(string(r.ToolChoice), " \n")
	if choice != "" && choice != "null" && choice != `"none"` && len(r.Tools) == 0 {
		return badRequest("tool_choice", "When using `tool_choice`, `tools` must be set.")
	}
	return nil
}

// toolNames returns the names of the request's functions.
func (r *chatRequest) toolNames() (map[string]bool, error) {
	names := make(map[string]bool, len(r.Tools))
	for i, raw := range r.Tools {
		var t struct {
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		}
		if err := json.Unmarshal(raw, &t); err != nil || t.Function.Name == "" {
			return nil, badRequest("tools", "1 validation error: tools[%d]: function.name is required", i)
		}
		names[t.Function.Name] = true
	}
	return names, nil
}

func (r *chatRequest) messages() []message {
	out := make([]message, len(r.Messages))
	for i, m := range r.Messages {
		out[i] = message{Role: m.Role, Text: string(m.Content), ToolCallID: m.ToolCallID}
		for _, c := range m.ToolCalls {
			out[i].Calls = append(out[i].Calls, toolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
		}
	}
	return out
}

type chatMessage struct {
	Role       string         `json:"role"`
	Content    messageContent `json:"content"`
	ToolCalls  []wireCall     `json:"tool_calls"`
	ToolCallID string         `json:"tool_call_id"`
}

// messageContent is text, or a list of parts whose texts are joined by line
// ends; a part that is not text (an image) counts as its type's name.
type messageContent string

func (c *messageContent) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err == nil {
		if text != nil {
			*c = messageContent(*text)
		}
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return badRequest("messages", "1 validation error: messages: content should be a string or a list of parts with a type")
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		if p.Type == "text" {
			texts[i] = p.Text
		} else {
			texts[i] = "[" + p.Type + "]"
		}
	}
	*c = messageContent(strings.Join(texts, "\n"))
	return nil
}

type completionRequest struct {
	sampling
	Prompt completionPrompt `json:"prompt"`
}

// completionPrompt is text or tokens; a list of one text counts as the text.
type completionPrompt struct {
	text   string
	tokens []uint32
}

func (p *completionPrompt) UnmarshalJSON(raw []byte) error {
	var texts []string
	switch {
	case json.Unmarshal(raw, &p.text) == nil:
	case json.Unmarshal(raw, &p.tokens) == nil:
	case json.Unmarshal(raw, &texts) == nil && len(texts) == 1:
		p.text = texts[0]
	default:
		return badRequest("prompt", "1 validation error: prompt: should be a string, a list of one string, or a list of token numbers")
	}
	return nil
}

func (p *completionPrompt) encode(tok *Tokenizer) []uint32 {
	if p.tokens != nil {
		return p.tokens
	}
	return tok.Encode(p.text)
}
