package sim

import (
	"container/list"
	"fmt"
	"sync"

	"github.com/tiktoken-go/tokenizer/codec"
)

// A Tokenizer turns text into tokens. It is the one source of token counts in
// a simulated run: prompts, answers, cache blocks, usage and /tokenize.
//
// It is o200k_base, the byte-pair encoding of OpenAI's newer models, from
// github.com/tiktoken-go/tokenizer, whose vocabulary is compiled in: no
// download, the same counts everywhere. Measured on one core of this project's
// build machine: 25 ms and 7 MB to load, 16 ms more for the first Text, 4-13 MB
// of text per second, 7 MB of program. It is not the vocabulary of the models
// that are simulated (their files are large and gated); English and code come
// out within about ten per cent of Qwen's and Llama's own counts, which is an
// estimate and nowhere corrected for.
//
// Encoded texts are kept, the least recently used given up first, because an
// agent sends its whole history with every request: only what is new is
// encoded. A Tokenizer is safe for concurrent use.
type Tokenizer struct {
	codec *codec.Codec

	mu    sync.Mutex
	texts map[string]*list.Element
	order *list.List // of *encoded, the most recently used first
	size  int        // bytes of text kept
	keep  int        // bytes of text kept at most
}

// keepBytes bounds the texts that a Tokenizer keeps; their tokens come to
// about as much again.
const keepBytes = 32 << 20

// encoded is a text and its tokens. Nobody changes it.
type encoded struct {
	text string
	ids  []uint32
	ends []uint32 // ends[i] is where token i ends in the text, in bytes
}

// NewTokenizer loads the vocabulary.
func NewTokenizer() *Tokenizer {
	return &Tokenizer{codec: codec.NewO200kBase(), texts: make(map[string]*list.Element), order: list.New(), keep: keepBytes}
}

// Encode returns the tokens of a text. The slice is shared: do not change it.
// Control tokens have no spelling in text: "<|im_end|>" is encoded as the
// characters that it is.
func (t *Tokenizer) Encode(text string) []uint32 { return t.encode(text).ids }

// Count returns the number of tokens of a text.
func (t *Tokenizer) Count(text string) int { return len(t.encode(text).ids) }

// Text returns the text of tokens, and an error for one that has none.
func (t *Tokenizer) Text(ids []uint32) (string, error) {
	wide := make([]uint, len(ids))
	for i, id := range ids {
		wide[i] = uint(id)
	}
	s, err := t.codec.Decode(wide)
	if err != nil {
		return "", fmt.Errorf("sim: decode tokens: %w", err)
	}
	return s, nil
}

func (t *Tokenizer) encode(text string) *encoded {
	if text == "" {
		return &encoded{}
	}
	t.mu.Lock()
	if el, ok := t.texts[text]; ok {
		t.order.MoveToFront(el)
		t.mu.Unlock()
		return el.Value.(*encoded)
	}
	t.mu.Unlock()

	enc := t.run(text) // unlocked: two may encode the same text, to the same result

	t.mu.Lock()
	defer t.mu.Unlock()
	if el, ok := t.texts[text]; ok {
		return el.Value.(*encoded)
	}
	t.texts[text] = t.order.PushFront(enc)
	t.size += len(text)
	for t.size > t.keep && t.order.Len() > 1 {
		oldest := t.order.Remove(t.order.Back()).(*encoded)
		delete(t.texts, oldest.text)
		t.size -= len(oldest.text)
	}
	return enc
}

func (t *Tokenizer) run(text string) *encoded {
	// The error is that of the splitting expression's time limit, which the
	// library does not set.
	ids, pieces, err := t.codec.Encode(text)
	enc := &encoded{text: text, ids: make([]uint32, len(ids)), ends: make([]uint32, len(ids))}
	end := 0
	for i, id := range ids {
		end += len(pieces[i])
		enc.ids[i], enc.ends[i] = uint32(id), uint32(min(end, len(text)))
	}
	if n := len(ids); n > 0 && (err != nil || end != len(text)) {
		// Invalid UTF-8 is re-spelled by the splitter, so that the ends
		// drift; nothing but the last one matters then.
		enc.ends[n-1] = uint32(len(text))
	}
	return enc
}
