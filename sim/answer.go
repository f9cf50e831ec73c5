package sim

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// answer is an assistant message laid out as the tokens that the engine will
// produce, and cut to the length that was asked for.
type answer struct {
	parts  []part
	calls  []toolCall // with ids
	ids    []uint32   // all tokens, the one that ends the answer included
	finish string     // the engine's reason: stop or length
	forced string     // the request's tool_choice, where it left no choice: required or named
}

// newAnswer lays out text and calls. limit is the most tokens there may be;
// key, the hash of what was asked, makes the ids of the calls.
func newAnswer(tok *Tokenizer, text string, calls []toolCall, limit int, key uint64) *answer {
	a := &answer{parts: answerParts(tok, text, calls), finish: "stop"}
	for i, c := range calls {
		c.ID = callID(key, i)
		c.Arguments = canonicalJSON([]byte(c.Arguments)) // streamed or not, the same text
		a.calls = append(a.calls, c)
	}
	for _, p := range a.parts {
		if p.before != 0 {
			a.ids = append(a.ids, p.before)
		}
		a.ids = append(a.ids, p.enc.ids...)
	}
	a.ids = append(a.ids, tokenEnd)
	if len(a.ids) > limit {
		a.ids, a.finish = a.ids[:limit], "length"
	}
	return a
}

// newFiller lays out exactly n tokens of plain text.
func newFiller(tok *Tokenizer, n int, key uint64) *answer {
	enc := tok.run(filler(n, key)) // not kept: nobody sends it back
	return &answer{parts: []part{{enc: enc}}, ids: enc.ids, finish: "length"}
}

// callID names a tool call. The same request gets the same ids again; other
// requests, and other turns of a conversation, get others, since their prompts
// differ.
func callID(key uint64, index int) string {
	hi := hashBlock(key, []uint32{uint32(index)})
	return fmt.Sprintf("chatcmpl-tool-%016x%016x", hi, hashBlock(hi, []uint32{uint32(index)}))
}

// A delta is what became visible with some tokens: a piece of text, of a
// call's name or of its arguments.
type delta struct {
	kind partKind
	call int
	text string
}

// deltas calls visit for what the tokens from have to till make visible.
// Characters of several tokens appear with their last one.
func (a *answer) deltas(from, till int, visit func(delta)) {
	at := 0
	for _, p := range a.parts {
		if p.before != 0 {
			if p.kind == partCallEnd && from <= at && at < till {
				visit(delta{kind: p.kind, call: p.call})
			}
			at++
		}
		n := len(p.enc.ids)
		lo, hi := min(max(from-at, 0), n), min(max(till-at, 0), n)
		if hi > lo {
			if text := p.enc.text[p.enc.cut(lo):p.enc.cut(hi)]; text != "" {
				visit(delta{kind: p.kind, call: p.call, text: text})
			}
		}
		at += n
	}
}

// cut returns where the first n tokens end in the text, moved back to the
// beginning of a character.
func (e *encoded) cut(n int) int {
	if n == 0 {
		return 0
	}
	end := int(e.ends[n-1])
	for end > 0 && end < len(e.text) && !utf8.RuneStart(e.text[end]) {
		end--
	}
	return end
}

// reply is an answer as far as it got: its text, and the calls that are whole.
type reply struct {
	text   string
	calls  []toolCall
	finish string // tool_calls, stop or length
}

func (a *answer) reply() reply {
	r := reply{finish: a.finish}
	a.deltas(0, len(a.ids), func(d delta) {
		switch d.kind {
		case partText:
			r.text += d.text
		case partCallEnd:
			r.calls = append(r.calls, a.calls[d.call])
		}
	})
	if len(r.calls) > 0 { // also where max_tokens cut what follows, as vLLM does
		r.finish = "tool_calls"
		if a.forced == "named" { // of a call that was named vLLM says no more than that it ended
			r.finish = a.finish
		}
	}
	return r
}

// fillerWords are single tokens, each with its space, so that n of them are n
// tokens.
var fillerWords = [...]string{" time", " year", " people", " way", " day", " man", " thing", " world", " life", " hand",
	" part", " child", " place", " case", " point", " work", " week", " system", " number", " group", " fact"}

// filler returns text of exactly n tokens, other text for another key.
func filler(n int, key uint64) string {
	var text []byte
	for i := range n {
		key = hashBlock(key, []uint32{uint32(i)})
		text = append(text, fillerWords[key%uint64(len(fillerWords))]...)
	}
	return string(text)
}

// canned is what the engine says where no cassette tells it more.
const canned = "This is dail-sim, a simulated engine. No phase of a cassette holds this request, so there is nothing to say."

// freeAnswer is the answer to a request that is in no phase: filler of exactly
// limit tokens where the end of the answer is ignored, else the canned
// sentence, lengthened to minTokens.
func freeAnswer(tok *Tokenizer, p *sampling, limit int, key uint64) *answer {
	if p.IgnoreEOS {
		return newFiller(tok, limit, key)
	}
	text := canned
	if missing := min(p.MinTokens, limit) - tok.Count(canned) - 1; missing > 0 {
		text += filler(missing, key)
	}
	return newAnswer(tok, text, nil, limit, key)
}

// promptKey is the hash of a prompt.
func promptKey(prompt []uint32) uint64 {
	var key uint64
	for block := range slices.Chunk(prompt, 16) {
		key = hashBlock(key, block)
	}
	return key
}
