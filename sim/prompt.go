package sim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Control tokens, outside o200k_base's own numbers (which end at 200018). They
// frame messages as the <|im_start|> and <|im_end|> of the chat templates do.
const (
	tokenStart uint32 = 200_100 + iota
	tokenEnd          // also ends an answer, and is counted in it
	tokenCall         // opens a tool call
	tokenCallEnd
)

// message is a chat message as far as the engine cares.
type message struct {
	Role       string
	Text       string
	Calls      []toolCall // of an assistant
	ToolCallID string     // of a tool result
}

type toolCall struct {
	ID        string
	Name      string
	Arguments string // JSON
}

// renderer lays a request out as tokens: tools, then the messages in order
// (the system's first, since it is the first message), as chat templates do.
// Each part is encoded by itself, so a part that was there in an earlier
// request costs nothing and gets the same tokens.
type renderer struct {
	tok *Tokenizer
	ids []uint32
}

func (r *renderer) text(s string)         { r.ids = append(r.ids, r.tok.Encode(s)...) }
func (r *renderer) control(ids ...uint32) { r.ids = append(r.ids, ids...) }

// renderChat returns the prompt of a chat request, up to where the answer
// begins.
func renderChat(tok *Tokenizer, tools []json.RawMessage, messages []message) []uint32 {
	r := &renderer{tok: tok}
	if len(tools) > 0 {
		r.control(tokenStart)
		r.text("tools\n")
		for _, t := range tools {
			r.text(canonicalJSON(t) + "\n")
		}
		r.control(tokenEnd)
	}
	for _, m := range messages {
		r.control(tokenStart)
		r.text(m.Role + "\n")
		if m.Role == "assistant" {
			for _, p := range answerParts(tok, m.Text, m.Calls) {
				if p.before != 0 {
					r.control(p.before)
				}
				r.ids = append(r.ids, p.enc.ids...)
			}
		} else {
			r.text(m.Text)
		}
		r.control(tokenEnd)
	}
	r.control(tokenStart)
	r.text("assistant\n")
	// Cut the spare capacity, so that nobody appends into a shared prompt.
	return slices.Clip(r.ids)
}

// A part is a piece of an assistant message: text, or a half of a tool call.
type part struct {
	before uint32 // control token that comes first; 0: none
	enc    *encoded
	kind   partKind
	call   int // index of the call, for the call kinds
}

type partKind uint8

const (
	partText partKind = iota
	partName          // of a tool call
	partArguments
	partCallEnd
)

// answerParts lays out an assistant message. The same layout serves what the
// engine says and what it reads back in the next request, so that the blocks
// of an answer are found in the prefix cache. Ids of calls are not rendered,
// and arguments are brought into one form, since a client may re-encode them.
func answerParts(tok *Tokenizer, text string, calls []toolCall) []part {
	var parts []part
	if text != "" {
		parts = append(parts, part{enc: tok.encode(text)})
	}
	for i, c := range calls {
		parts = append(parts,
			part{before: tokenCall, enc: tok.encode(c.Name + "\n"), kind: partName, call: i},
			part{enc: tok.encode(canonicalJSON([]byte(c.Arguments))), kind: partArguments, call: i},
			part{before: tokenCallEnd, enc: &encoded{}, kind: partCallEnd, call: i})
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.before == 0 && len(p.enc.ids) == 0 })
}

// canonicalJSON spells a JSON value with sorted keys and no spaces; what is
// not JSON is returned as it is.
func canonicalJSON(raw []byte) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return string(raw)
	}
	return marshal(v)
}

// marshal encodes without HTML escapes, as Python's json does.
func marshal(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only values of our own making and decoded JSON come here; both
		// can be encoded.
		return "null"
	}
	return strings.TrimSuffix(b.String(), "\n")
}
