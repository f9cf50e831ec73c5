package proxy

import (
	"errors"
	"fmt"
)

// CountIDs makes the gateway number its ids, so that a golden file can hold
// them.
func (m *Messages) CountIDs() { m.core.newID = counter() }

// CountIDs makes the gateway number its ids.
func (d *Destream) CountIDs() { d.core.newID = counter() }

func counter() func(string) string {
	n := 0
	return func(prefix string) string { n++; return fmt.Sprintf("%s%d", prefix, n) }
}

// Sessions returns how many conversations the gateway remembers.
func (m *Messages) Sessions() int {
	s := &m.core.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byKey)
}

const MaxSessions = maxSessions

// ParseOverflow returns the numbers in a server's overflow message.
func ParseOverflow(message string) (limit, prompt int, exact, ok bool) {
	o := parseOverflow(message)
	if o == nil {
		return 0, 0, false, false
	}
	return o.limit, o.prompt, o.exact, true
}

// A Leak is what FindLeak found.
type Leak struct {
	Before string
	Calls  []LeakCall
	Names  []string
}

type LeakCall struct{ Name, Arguments string }

// FindLeak looks for leaked tool calls in text.
func FindLeak(text string, tools []byte) (Leak, bool) {
	l, ok := findLeak(text, toolset{raw: tools})
	out := Leak{Before: l.before, Names: l.names}
	for _, c := range l.calls {
		out.Calls = append(out.Calls, LeakCall{c.Name, c.Arguments})
	}
	return out, ok
}

// MessagesToChat translates a Messages request into the upstream's body.
func MessagesToChat(body []byte) ([]byte, error) {
	req, err := parseMessages(body)
	if err != nil {
		return nil, err
	}
	chat, err := req.chat("m")
	if err != nil {
		return nil, err
	}
	return chat.body(asAsked), nil
}

// ChatToChat translates a chat request into the upstream's body.
func ChatToChat(body []byte) ([]byte, error) {
	req, err := parseChat(body, "")
	if err != nil {
		return nil, err
	}
	return req.body(asAsked), nil
}

// StreamMessages and StreamChat write a server's answer as event streams.
func StreamMessages(answer []byte) ([]byte, error) {
	done, err := parseCompletion(answer)
	if err != nil {
		return nil, err
	}
	return (&anthropic{model: "m", newID: counter()}).stream(done), nil
}

func StreamChat(answer []byte) ([]byte, error) {
	done, err := parseCompletion(answer)
	if err != nil {
		return nil, err
	}
	return (&openAI{newID: counter(), includeUsage: true}).stream(done), nil
}

// ReadJSON reads one value of any kind, and returns it without white space.
func ReadJSON(body []byte) ([]byte, error) {
	r := &jsonReader{b: body}
	raw := r.compact()
	return raw, r.done()
}

// ReadString reads a string, decoded and as it is sent on.
func ReadString(body []byte) (decoded string, sent []byte, err error) {
	r, t := &jsonReader{b: body}, &jsonReader{b: body}
	decoded, sent = r.str(), t.text()
	return decoded, append(append([]byte{'"'}, sent...), '"'), errors.Join(r.done(), t.done())
}

// WriteString writes a string.
func WriteString(s string) []byte { return appendString(nil, s) }

// ReadFrontStream reads along in a stream, in pieces of size bytes, and returns
// what the record says then.
func ReadFrontStream(stream string, size int) (Trace, error) {
	var s frontStream
	for p := []byte(stream); len(p) > 0; {
		n := min(size, len(p))
		s.read(p[:n])
		p = p[n:]
		if len(s.line) > lineLimit {
			return Trace{}, errors.New("a line outgrew its limit")
		}
	}
	sp := &span{}
	s.note(sp)
	return sp.rec, nil
}

// Mended is a choice of an answer after its repair.
type Mended struct {
	Content, Reasoning, Finish string
	Calls                      []LeakCall
	Repairs                    []string
}

// Mend repairs a choice: a call is there where name is set.
func Mend(content, reasoning, finish, name, args string, tools []byte) Mended {
	c := &choice{Content: content, Reasoning: reasoning, FinishReason: finish}
	if name != "" {
		c.ToolCalls = []toolCall{{ID: "c", Name: name, Arguments: args}}
	}
	m := Mended{Repairs: repair(c, toolset{raw: tools}, counter())}
	m.Content, m.Reasoning, m.Finish = c.Content, c.Reasoning, c.FinishReason
	for _, call := range c.ToolCalls {
		m.Calls = append(m.Calls, LeakCall{call.Name, call.Arguments})
	}
	return m
}

// RepairNames are all that a repair can be called.
func RepairNames() []string {
	names := []string{"bad_arguments", "clamp:max_tokens", "leak:in_reasoning"}
	for _, f := range leakFormats() {
		names = append(names, "leak:"+f.name)
	}
	for _, tag := range reasoningTags() {
		names = append(names, "reasoning:"+tag)
	}
	for _, what := range []string{"double_encoded", "control_characters", "trailing", "unclosed", "closing_tags", "types"} {
		names = append(names, "arguments:"+what)
	}
	return append(names, "leak:llama_json")
}
