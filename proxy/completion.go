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
		size += len(k) + len(v) + 8
	}
	b := append(make([]byte, 0, size), '{')
	for i, k := range slices.Sorted(maps.Keys(f)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		if v := f[k]; len(v) > 0 {
			b = append(b, v...)
		} else {
			b = append(b, "null"...)
		}
	}
	return append(b, '}')
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
	Prompt, Output int
	// CachedRaw is what the server says that its prefix cache held.
	CachedRaw int
}

// cached is the part of the prompt that the prefix cache held. vLLM says it
// only with --enable-prompt-tokens-details, and never more than the prompt.
func (u usage) cached() int { return max(0, min(u.CachedRaw, u.Prompt)) }

// parseCompletion reads the body of a chat.completion. What is kept of it raw
// has no white space, so it can stand in a line of an event stream.
func parseCompletion(body []byte) (*completion, error) {
	done := &completion{rest: fields{}, raw: body}
	var choices []json.RawMessage
	r := &jsonReader{b: body}
	r.object(func(key []byte) {
		switch string(key) {
		case "id":
			done.ID = r.lenient()
		case "usage":
			if done.rawUsage = r.compact(); r.err == nil {
				r.err = done.Usage.read(done.rawUsage)
			}
		case "choices":
			r.array(func() { choices = append(choices, r.raw()) })
		default:
			done.rest[string(key)] = r.compact()
		}
	})
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if len(choices) == 0 {
		return nil, fmt.Errorf("it has no choices")
	}
	for i, raw := range choices {
		c, err := parseChoice(raw, i)
		if err != nil {
			return nil, fmt.Errorf("choices[%d]: %w", i, err)
		}
		done.Choices = append(done.Choices, c)
	}
	return done, nil
}

// read reads the numbers that are understood.
func (u *usage) read(raw json.RawMessage) *jsonError {
	r := &jsonReader{b: raw}
	r.object(func(key []byte) {
		switch string(key) {
		case "prompt_tokens":
			u.Prompt = r.integer()
		case "completion_tokens":
			u.Output = r.integer()
		case "prompt_tokens_details":
			r.object(func(key []byte) {
				if string(key) == "cached_tokens" {
					u.CachedRaw = r.integer()
				} else {
					r.skip()
				}
			})
		default:
			r.skip()
		}
	})
	return r.err
}

func parseChoice(raw json.RawMessage, index int) (choice, error) {
	c := choice{Index: index, message: fields{}, rest: fields{}}
	r := &jsonReader{b: raw}
	r.object(func(key []byte) {
		switch string(key) {
		case "index":
			if r.next() == 'n' {
				r.skip()
			} else {
				c.Index = r.integer()
			}
		case "finish_reason":
			c.FinishReason = r.lenient()
		case "stop_reason":
			c.StopReason = r.compact()
		case "message":
			r.choiceMessage(&c)
		default:
			c.rest[string(key)] = r.compact()
		}
	})
	return c, r.done()
}

// choiceMessage reads the message of a choice.
func (r *jsonReader) choiceMessage(c *choice) {
	var older, newer string
	r.object(func(key []byte) {
		switch string(key) {
		case "role":
			r.skip()
		case "content":
			c.Content = r.plainText()
		case "reasoning_content":
			older = r.lenient()
		case "reasoning":
			newer = r.lenient()
		case "tool_calls":
			r.array(func() { c.ToolCalls = append(c.ToolCalls, r.toolCall()) })
		default:
			c.message[string(key)] = r.compact()
		}
	})
	if c.Reasoning = newer; newer == "" {
		c.Reasoning = older
	}
}

func (r *jsonReader) toolCall() (call toolCall) {
	call.Arguments = "{}"
	r.object(func(key []byte) {
		switch string(key) {
		case "id":
			call.ID = r.str()
		case "function":
			r.object(func(key []byte) {
				switch string(key) {
				case "name":
					call.Name = r.str()
				case "arguments":
					call.Arguments = argumentText(r.compact())
				default:
					r.skip()
				}
			})
		default:
			r.skip()
		}
	})
	return call
}

// lenient reads a string; "" for a value of another type.
func (r *jsonReader) lenient() string {
	if r.next() == '"' {
		return r.str()
	}
	r.skip()
	return ""
}

// argumentText returns the JSON text of a call's arguments. They are a string
// that holds JSON; some servers send the object itself.
func argumentText(raw json.RawMessage) string {
	s := string(raw)
	if r := (&jsonReader{b: raw}); r.next() == '"' {
		s = r.str()
	}
	if t := strings.TrimSpace(s); t == "" || t == "null" {
		return "{}"
	}
	return s
}

// plainText reads a message's content: null, a string, or parts of which the
// texts are joined.
func (r *jsonReader) plainText() (s string) {
	if r.next() == '"' {
		return r.str()
	}
	r.array(func() {
		r.object(func(key []byte) {
			if string(key) == "text" {
				s += r.str()
			} else {
				r.skip()
			}
		})
	})
	return s
}
