package sim

import (
	"encoding/json"
	"fmt"
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
		return malformed("stream_options", "Stream options can only be defined when `stream=True`.")
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

// maxCharsPerToken is the longest token's length. vLLM does not even encode a
// text that is longer than its tokens can be.
const maxCharsPerToken = 128

// limit returns how many tokens the answer may have, or vLLM's error for a
// context that does not hold them (the wording of 0.15 and later, held to 0.23's
// by internal/vllmcontract). chars is the prompt's length as text, 0 where it
// came as tokens. vLLM stops counting one token after what fits.
func (p *sampling) limit(tokens, chars, maxModelLen, fallback int) (int, error) {
	want := fallback
	if p.MaxTokens != nil {
		want = *p.MaxTokens
	}
	if want > maxModelLen {
		return 0, badRequest("max_tokens", "max_tokens=%d cannot be greater than max_model_len=max_total_tokens=%d. Please request fewer output tokens. (parameter=max_tokens, value=%d)",
			want, maxModelLen, want)
	}
	fits := maxModelLen - want
	tooLong := func(param string, value int, prompt string) error {
		return badRequest(param, "This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains %s. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=%s, value=%d)",
			maxModelLen, want, prompt, param, value)
	}
	if most := fits * maxCharsPerToken; chars > most {
		return 0, tooLong("input_text", chars, fmt.Sprintf("%d characters (more than %d characters, which is the upper bound for %d input tokens)", chars, most, fits))
	}
	if tokens > fits {
		atLeast := ""
		if chars > 0 {
			tokens = fits + 1
		}
		if tokens == fits+1 {
			atLeast = "at least "
		}
		return 0, tooLong("input_tokens", tokens, fmt.Sprintf("%s%d input tokens, for a total of %s%d tokens", atLeast, tokens, atLeast, tokens+want))
	}
	if want == 0 { // the whole context
		if want = maxModelLen - tokens; want == 0 {
			return 0, badRequest("max_tokens", "max_tokens must be at least 1, got 0.")
		}
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
		return malformed("", "messages: a list with at least one message is required")
	}
	for i, m := range r.Messages {
		if m.Role == "" {
			return malformed("", "messages[%d]: role is required", i)
		}
		if m.Content.media {
			return badRequest("", "%s is not a multimodal model", served)
		}
	}
	if choice := strings.TrimSpace(string(r.ToolChoice)); choice != "" && choice != "null" && choice != `"none"` && len(r.Tools) == 0 {
		return malformed("tool_choice", "When using `tool_choice`, `tools` must be set.")
	}
	return nil
}

// forced returns "required" or "named" where the request's tool_choice leaves no
// choice. What is called is the cassette's all the same.
func (r *chatRequest) forced(tools map[string]bool) (string, error) {
	var named struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	switch choice := strings.TrimSpace(string(r.ToolChoice)); {
	case choice == "" || choice == "null" || choice == `"none"` || choice == `"auto"`:
		return "", nil
	case choice == `"required"`:
		return "required", nil
	case json.Unmarshal(r.ToolChoice, &named) != nil || named.Function.Name == "":
		return "", malformed("tool_choice", "Invalid value for `tool_choice`: %s! Only named tools, \"none\", \"auto\" or \"required\" are supported.", choice)
	case !tools[named.Function.Name]:
		return "", malformed("tool_choice", "The tool specified in `tool_choice` does not match any of the specified `tools`")
	}
	return "named", nil
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
			return nil, malformed("", "tools[%d]: function.name is required", i)
		}
		names[t.Function.Name] = true
	}
	return names, nil
}

func (r *chatRequest) messages() []message {
	out := make([]message, len(r.Messages))
	for i, m := range r.Messages {
		out[i] = message{Role: m.Role, Text: m.Content.text, ToolCallID: m.ToolCallID}
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
// ends; media is set where a part is not text.
type messageContent struct {
	text  string
	media bool
}

func (c *messageContent) UnmarshalJSON(raw []byte) error {
	if err := json.Unmarshal(raw, &c.text); err == nil { // null too
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return malformed("", "messages: content should be a string or a list of parts with a type")
	}
	var texts []string
	for _, p := range parts {
		if p.Type == "text" {
			texts = append(texts, p.Text)
		} else {
			c.media = true
		}
	}
	c.text = strings.Join(texts, "\n")
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
		return malformed("", "prompt: should be a string, a list of one string, or a list of token numbers")
	}
	return nil
}

func (p *completionPrompt) encode(tok *Tokenizer) []uint32 {
	if p.tokens != nil {
		return p.tokens
	}
	return tok.Encode(p.text)
}
