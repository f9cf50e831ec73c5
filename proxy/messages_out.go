package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
)

// anthropic is the Messages dialect of one request.
type anthropic struct {
	// model is the name the client used; it is echoed.
	model string
	newID func(string) string
}

// messageOut is a message of the assistant.
type messageOut struct {
	ID           string     `json:"id"`
	Type         string     `json:"type"`
	Role         string     `json:"role"`
	Model        string     `json:"model"`
	Content      []blockOut `json:"content"`
	StopReason   *string    `json:"stop_reason"`
	StopSequence *string    `json:"stop_sequence"`
	Usage        usageOut   `json:"usage"`
}

type usageOut struct {
	Input         int `json:"input_tokens"`
	CacheCreation int `json:"cache_creation_input_tokens"`
	CacheRead     int `json:"cache_read_input_tokens"`
	Output        int `json:"output_tokens"`
}

// blockOut is a content block: pointers, so that an empty string is written
// where the type has the key, and no key where it has none.
type blockOut struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"`
	Signature *string         `json:"signature,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
}

// thinkingSignature stands where Anthropic signs its thinking blocks. Clients
// want one and hand it back; nobody checks it here.
const thinkingSignature = "ZGFpbA=="

// message builds the client's message from the first choice; a Messages
// request has only one.
func (d *anthropic) message(done *completion) messageOut {
	c := &done.Choices[0]
	out := messageOut{ID: d.newID("msg_"), Type: "message", Role: "assistant", Model: d.model, Content: []blockOut{}}
	if strings.TrimSpace(c.Reasoning) != "" {
		signature := thinkingSignature
		out.Content = append(out.Content, blockOut{Type: "thinking", Thinking: &c.Reasoning, Signature: &signature})
	}
	// A text block must hold more than white space: the client keeps it, and
	// strict servers refuse the conversation ever after.
	if strings.TrimSpace(c.Content) != "" {
		out.Content = append(out.Content, blockOut{Type: "text", Text: &c.Content})
	}
	for _, call := range c.ToolCalls {
		out.Content = append(out.Content, blockOut{
			Type: "tool_use", ID: d.newID("toolu_"), Name: call.Name, Input: json.RawMessage(call.Arguments),
		})
	}
	reason, sequence := anthropicStop(c)
	out.StopReason = &reason
	if sequence != "" {
		out.StopSequence = &sequence
	}
	cached := done.Usage.cached()
	out.Usage = usageOut{
		Input:     done.Usage.Prompt - cached,
		CacheRead: cached,
		Output:    done.Usage.Output,
	}
	return out
}

// anthropicStop translates the reason why the answer ended. Wherever there is
// a tool call the client must hear tool_use, whatever the server said: it says
// stop for a tool that was asked for by name, and length for a call that came
// to its end just before the limit.
func anthropicStop(c *choice) (reason, sequence string) {
	if len(c.ToolCalls) > 0 {
		return "tool_use", ""
	}
	switch c.FinishReason {
	case "length":
		return "max_tokens", ""
	case "content_filter":
		return "refusal", ""
	}
	if json.Unmarshal(c.StopReason, &sequence) == nil && sequence != "" {
		return "stop_sequence", sequence
	}
	return "end_turn", ""
}

func (d *anthropic) stopReason(done *completion) string {
	reason, _ := anthropicStop(&done.Choices[0])
	return reason
}

func (d *anthropic) fault(w http.ResponseWriter, f *fault) int {
	g := *f
	g.status = anthropicStatus(f.status)
	anthropicError(w, &g)
	return g.status
}

func (d *anthropic) lateFault(f *fault) []byte {
	g := *f
	g.status = anthropicStatus(f.status)
	var s sse
	s.event("error", anthropicErrorOf(&g, ""))
	return s.bytes()
}

// keepAlive is a ping. It may stand anywhere in the stream, also before
// message_start, and is sent there on purpose: as long as no message has begun
// Claude Code repeats a failed stream as a stream.
func (d *anthropic) keepAlive() []byte {
	return []byte("event: ping\ndata: {\"type\":\"ping\"}\n\n")
}

// whole is the answer to a request without stream. A tool's input must be an
// object there, so arguments that are none become an empty one.
func (d *anthropic) whole(done *completion) []byte {
	m := d.message(done)
	for i, b := range m.Content {
		if b.Type == "tool_use" && !isObject(b.Input) {
			m.Content[i].Input = json.RawMessage("{}")
		}
	}
	return marshal(m)
}

// stream is the answer as events, in the order that the SDKs enforce:
// message_start, each block's start, deltas and stop, message_delta,
// message_stop.
func (d *anthropic) stream(done *completion) []byte {
	m := d.message(done)
	var s sse
	start := m
	start.Content, start.StopReason, start.StopSequence = []blockOut{}, nil, nil
	start.Usage.Output = 0
	s.event("message_start", struct {
		Type    string     `json:"type"`
		Message messageOut `json:"message"`
	}{"message_start", start})
	for i, b := range m.Content {
		streamBlock(&s, i, b)
	}
	type end struct {
		StopReason   *string `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	s.event("message_delta", struct {
		Type  string   `json:"type"`
		Delta end      `json:"delta"`
		Usage usageOut `json:"usage"`
	}{"message_delta", end{m.StopReason, m.StopSequence}, m.Usage})
	s.event("message_stop", struct {
		Type string `json:"type"`
	}{"message_stop"})
	return s.bytes()
}

// streamBlock writes one block's events. They are put together by hand, since
// this is where an answer's text goes through.
func streamBlock(s *sse, index int, b blockOut) {
	var object []byte
	switch b.Type {
	case "text":
		s.block("content_block_start", index, "content_block", `{"type":"text","text":""}`)
		object = appendString([]byte(`{"type":"text_delta","text":`), *b.Text)
	case "thinking":
		s.block("content_block_start", index, "content_block", `{"type":"thinking","thinking":"","signature":""}`)
		object = appendString([]byte(`{"type":"thinking_delta","thinking":`), *b.Thinking)
		s.block("content_block_delta", index, "delta", string(append(object, '}')))
		object = appendString([]byte(`{"type":"signature_delta","signature":`), *b.Signature)
	case "tool_use":
		object = appendString([]byte(`{"type":"tool_use","id":`), b.ID)
		object = appendString(append(object, `,"name":`...), b.Name)
		s.block("content_block_start", index, "content_block", string(append(object, `,"input":{}}`...)))
		// Arguments that are no JSON are passed on as they are: the client
		// hands the model an error, and the model tries again.
		object = appendString([]byte(`{"type":"input_json_delta","partial_json":`), string(b.Input))
	}
	s.block("content_block_delta", index, "delta", string(append(object, '}')))
	s.event("content_block_stop", struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}{"content_block_stop", index})
}

// block appends an event of a content block, with object under key.
func (s *sse) block(name string, index int, key, object string) {
	for _, part := range []string{"event: ", name, "\ndata: {\"type\":\"", name, `","index":`, itoa(index), `,"`, key, `":`, object, "}\n\n"} {
		s.buf.WriteString(part)
	}
}

// isObject reports whether raw is a JSON object.
func isObject(raw []byte) bool {
	r := &jsonReader{b: raw}
	object := r.next() == '{'
	r.skip()
	return object && r.done() == nil
}
