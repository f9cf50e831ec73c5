package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonText is a text as it stands between the quotes of a JSON string, in the
// bytes of appendString; so the same text is always the same bytes, and what a
// client sends can be sent on without being decoded.
type jsonText []byte

// newText is a text of ours.
func newText(s string) jsonText {
	b := appendString(make([]byte, 0, len(s)+len(s)/8+2), s)
	return b[1 : len(b)-1]
}

// String decodes the text.
func (t jsonText) String() string { return unquote(append(append([]byte{'"'}, t...), '"')) }

// text reads a string. It is a piece of the input unless the client writes its
// strings in another way than we do.
func (r *jsonReader) text() jsonText {
	switch r.next() {
	case '"':
		raw, form := r.quoted()
		if r.err != nil {
			return nil
		}
		t := raw[1 : len(raw)-1 : len(raw)-1]
		if form&odd != 0 || form&high != 0 && (!utf8.Valid(t) || bytes.Contains(t, []byte("\xe2\x80"))) {
			return newText(unquote(raw)) // U+2028 is written as an escape
		}
		return jsonText(t)
	case 'n':
		r.literal("null")
	default:
		r.wrong()
	}
	return nil
}

// A form says what is in a string beside ASCII that stands for itself.
type form uint8

const (
	plain form = 0
	high  form = 1 << iota // bytes beyond ASCII, perhaps
	slash                  // escapes
	odd                    // escapes that appendString would not write, perhaps
)

// quoted reads a string and returns it with its quotes.
func (r *jsonReader) quoted() (raw []byte, f form) {
	b, start := r.b, r.at
	var seen uint64
	for i := start + 1; ; {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			seen |= w
			if m := stops(w); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			r.at = i
			r.bad("in a string")
			return nil, plain
		}
		switch c := b[i]; {
		case c == '"':
			if r.at = i + 1; seen&eight(0x80) != 0 {
				f |= high
			}
			return b[start:r.at], f
		case c == '\\':
			n := escape(b[i:])
			if n == 0 {
				r.at = i
				r.bad("in a string")
				return nil, plain
			}
			if f |= slash; n == 6 || b[i+1] == '/' {
				f |= odd
			}
			i += n
		case c < ' ':
			r.at = i
			r.bad("in a string")
			return nil, plain
		default: // among the last seven bytes
			seen |= uint64(c)
			i++
		}
	}
}

// escape returns the length of the escape at the beginning of b; 0 if it is
// none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// eight is c in each byte of a word.
func eight(c byte) uint64 { return uint64(c) * 0x0101010101010101 }

// stops marks the bytes of w (little endian) that end a run of plain text: the
// quote, the backslash, and what is below a space. The mark is the byte's
// highest bit; only the lowest mark is exact, since a subtraction may borrow
// from the bytes above it.
func stops(w uint64) uint64 {
	quote, slash := w^eight('"'), w^eight('\\')
	return ((quote-eight(1))&^quote | (slash-eight(1))&^slash | (w-eight(' '))&^w) & eight(0x80)
}

// unquote returns the text of a string that quoted has read.
func unquote(raw []byte) string {
	text := raw[1 : len(raw)-1]
	if !utf8.Valid(text) {
		var s string
		_ = json.Unmarshal(raw, &s) // it has been checked; what is no UTF-8 is replaced
		return s
	}
	var b strings.Builder
	b.Grow(len(text))
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			b.Write(text)
			return b.String()
		}
		b.Write(text[:i])
		c := text[i+1]
		switch c {
		case 'n':
			c = '\n'
		case 't':
			c = '\t'
		case 'r':
			c = '\r'
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'u':
			c, n := numbered(text[i:])
			b.WriteRune(c)
			text = text[i+n:]
			continue
		}
		b.WriteByte(c)
		text = text[i+2:]
	}
}

// numbered reads a \u escape, or two that make one rune together, and its
// length. Half of a pair alone is U+FFFD.
func numbered(b []byte) (r rune, n int) {
	hex := func(b []byte) rune {
		v, _ := strconv.ParseUint(string(b[2:6]), 16, 16) // it has been checked
		return rune(v)
	}
	r = hex(b)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex(b[6:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}
