package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fields is a JSON object of which only some keys are understood; the others
// stay as they came.
type fields map[string]json.RawMessage

// fields reads an object; nil for null.
func (r *jsonReader) fields() fields {
	if r.next() == 'n' {
		r.skip()
		return nil
	}
	f := fields{}
	r.object(func(key []byte) { f[string(key)] = r.raw() })
	return f
}

// json writes the object. The keys are sorted, so that the same fields are
// always the same bytes.
func (f fields) json() []byte {
	size := 2
	for k, v := range f {
		size += len(k) + len(v) + 4
	}
	b := append(make([]byte, 0, size), '{')
	for i, k := range slices.Sorted(maps.Keys(f)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		b = append(b, f[k]...)
	}
	return append(b, '}')
}

// take decodes the value of key into v and removes it; an absent key or null
// leaves v alone.
func (f fields) take(key string, v any) error {
	raw, ok := f[key]
	if !ok {
		return nil
	}
	delete(f, key)
	if isNull(raw) {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// str returns the string under key and removes it; "" where it is absent or no
// string.
func (f fields) str(key string) string {
	var s string
	if f.take(key, &s) != nil {
		return ""
	}
	return s
}

func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// A completion is the server's answer to a chat completion that does not
// stream.
type completion struct {
	ID      string
	Choices []choice
	Usage   usage
	// usage as it came, and every other key of the object.
	rawUsage json.RawMessage
	rest     fields
	// raw is the answer's body, for a client that is sent it unchanged.
	raw []byte
	// repairs names what was mended.
	repairs []string
}

type choice struct {
	Index        int
	FinishReason string
	// StopReason is vLLM's: the stop string that was met, a token id, or null.
	StopReason json.RawMessage
	Content    string
	// Reasoning comes as reasoning_content (vLLM up to 0.15) or reasoning
	// (from 0.12).
	Reasoning string
	ToolCalls []toolCall
	// message and rest are the other keys of the message and of the choice.
	message fields
	rest    fields
}

// A toolCall is the model's wish to have a tool run. Arguments is JSON text.
type toolCall struct {
	ID, Name, Arguments string
}

type usage struct {
	Prompt  int `json:"prompt_tokens"`
	Output  int `json:"completion_tokens"`
	Details struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// cached is the part of the prompt that the prefix cache held. vLLM says it
// only with --enable-prompt-tokens-details, and never more than the prompt.
func (u usage) cached() int { return max(0, min(u.Details.Cached, u.Prompt)) }

// parseCompletion reads the body of a chat.completion.
func parseCompletion(body []byte) (*completion, error) {
	r := &jsonReader{b: body}
	rest := r.fields()
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	done := &completion{rest: rest, raw: body, rawUsage: rest["usage"]}
	done.ID = rest.str("id")
	if err := rest.take("usage", &done.Usage); err != nil {
		return nil, err
	}
	var choices []fields
	r = &jsonReader{b: rest["choices"]}
	if delete(rest, "choices"); len(r.b) > 0 {
		r.array(func() { choices = append(choices, r.fields()) })
		if err := r.done(); err != nil {
			return nil, fmt.Errorf("choices: %w", err)
		}
	}
	if len(choices) == 0 {
		return nil, fmt.Errorf("it has no choices")
	}
	for i, f := range choices {
		c, err := parseChoice(f, i)
		if err != nil {
			return nil, fmt.Errorf("choices[%d]: %w", i, err)
		}
		done.Choices = append(done.Choices, c)
	}
	return done, nil
}

func parseChoice(f fields, index int) (choice, error) {
	c := choice{Index: index, StopReason: f["stop_reason"], rest: f, message: fields{}}
	delete(f, "stop_reason")
	if err := f.take("index", &c.Index); err != nil {
		return c, err
	}
	c.FinishReason = f.str("finish_reason")
	if raw := f["message"]; !isNull(raw) {
		r := &jsonReader{b: raw}
		c.message = r.fields()
		if err := r.done(); err != nil {
			return c, fmt.Errorf("message: %w", err)
		}
	}
	delete(f, "message")
	m := c.message
	delete(m, "role")
	content, err := plainText(m["content"])
	if err != nil {
		return c, fmt.Errorf("message.content: %w", err)
	}
	delete(m, "content")
	c.Content = content
	older, newer := m.str("reasoning_content"), m.str("reasoning")
	if c.Reasoning = newer; newer == "" {
		c.Reasoning = older
	}
	var calls []struct {
		ID       string
		Function struct {
			Name      string
			Arguments json.RawMessage
		}
	}
	if err := m.take("tool_calls", &calls); err != nil {
		return c, err
	}
	for _, call := range calls {
		c.ToolCalls = append(c.ToolCalls, toolCall{
			ID:        call.ID,
			Name:      call.Function.Name,
			Arguments: argumentText(call.Function.Arguments),
		})
	}
	return c, nil
}

// argumentText returns the JSON text of a call's arguments. They are a string
// that holds JSON; some servers send the object itself.
func argumentText(raw json.RawMessage) string {
	var s string
	switch {
	case isNull(raw):
		return "{}"
	case json.Unmarshal(raw, &s) != nil:
		return string(raw)
	case strings.TrimSpace(s) == "" || strings.TrimSpace(s) == "null":
		return "{}"
	}
	return s
}

// plainText reads a message's content: null, a string, or parts of which the
// texts are joined.
func plainText(raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	var s string
	if raw[0] == '"' {
		err := json.Unmarshal(raw, &s)
		return s, err
	}
	var parts []struct{ Text string }
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", err
	}
	for _, p := range parts {
		s += p.Text
	}
	return s, nil
}
