package proxy

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// A jsonReader reads JSON in one pass, where encoding/json makes one to check
// and one to decode at each level of raw messages. Nearly all of a coding
// agent's request is text in strings, so strings are what it is made for: it
// looks at eight bytes at a time. It takes and refuses what encoding/json does,
// save that keys must be spelled as they are.
//
// Each method reads one value. null reads as the zero value everywhere. After
// the first error nothing more is read, and the methods return zeros.
type jsonReader struct {
	b   []byte
	at  int
	err *jsonError
	// depth counts the objects and arrays that are open.
	depth int
	// spaced is set once white space has been met.
	spaced bool
}

// A jsonError says what was wrong, and under which path of keys.
type jsonError struct {
	path, text string
	syntax     bool
}

func (e *jsonError) Error() string {
	if e.syntax || e.path == "" {
		return e.text
	}
	return strings.TrimPrefix(e.path, ".") + ": " + e.text
}

// maxDepth is encoding/json's own limit.
const maxDepth = 10_000

// done returns the first error; a second value behind the first is one.
func (r *jsonReader) done() error {
	if r.next(); r.err == nil && r.at < len(r.b) {
		r.bad("after the end of the value")
	}
	if r.err == nil {
		return nil // not a nil *jsonError
	}
	return r.err
}

func (r *jsonReader) fail(e jsonError) {
	if r.err == nil {
		r.err = &e
	}
	r.at = len(r.b) // nothing more is read
}

// bad is a fault of syntax.
func (r *jsonReader) bad(where string) {
	if r.err != nil {
		return
	}
	what := "unexpected end"
	if r.at < len(r.b) {
		what = "unexpected " + strconv.QuoteToASCII(string(r.b[r.at]))
	}
	r.fail(jsonError{syntax: true, text: "the body is not JSON: " + what + " " + where + " at byte " + itoa(r.at)})
}

// wrong is a value of another type than wanted.
func (r *jsonReader) wrong() {
	kind := ""
	switch c := r.next(); {
	case c == '"':
		kind = "string"
	case c == '{':
		kind = "object"
	case c == '[':
		kind = "array"
	case c == 't' || c == 'f':
		kind = "bool"
	case c == '-' || isDigit(c):
		kind = "number"
	default:
		r.bad("where a value begins")
		return
	}
	r.fail(jsonError{text: "cannot be a " + kind})
}

// next returns the byte at which the next token begins; 0 at the end.
func (r *jsonReader) next() byte {
	for r.at < len(r.b) {
		switch c := r.b[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.at++
			r.spaced = true
		default:
			return c
		}
	}
	return 0
}

// enter opens an object or array; false where there is nothing in it.
func (r *jsonReader) enter(open, end byte) bool {
	switch r.next() {
	case open:
	case 'n':
		r.literal("null")
		return false
	default:
		r.wrong()
		return false
	}
	if r.depth++; r.depth > maxDepth {
		r.fail(jsonError{syntax: true, text: "the body is not JSON: it is nested too deeply"})
		return false
	}
	r.at++
	if r.next() == end {
		r.at++
		r.depth--
		return false
	}
	return true
}

// again goes on to the next element; false at the end.
func (r *jsonReader) again(end byte) bool {
	switch r.next() {
	case ',':
		r.at++
		return true
	case end:
		r.at++
		r.depth--
	default:
		r.bad("behind a value")
	}
	return false
}

// object calls each for every key; it must read the key's value.
func (r *jsonReader) object(each func(key []byte)) {
	for more := r.enter('{', '}'); more && r.err == nil; more = r.again('}') {
		if r.next() != '"' {
			r.bad("where a key begins")
			return
		}
		key := r.key()
		if r.next() != ':' {
			r.bad("behind a key")
			return
		}
		r.at++
		each(key)
		if r.err != nil {
			r.err.path = "." + string(key) + r.err.path
		}
	}
}

// array calls each for every element; it must read the element.
func (r *jsonReader) array(each func()) {
	i := 0
	for more := r.enter('[', ']'); more && r.err == nil; more = r.again(']') {
		each()
		if r.err != nil {
			r.err.path = "[" + itoa(i) + "]" + r.err.path
		}
		i++
	}
}

// key reads a key, without a copy where it holds nothing odd.
func (r *jsonReader) key() []byte {
	raw, form := r.quoted()
	switch {
	case r.err != nil:
		return nil
	case form == plain:
		return raw[1 : len(raw)-1]
	}
	return []byte(unquote(raw))
}

// str reads a string.
func (r *jsonReader) str() string {
	switch r.next() {
	case '"':
		raw, form := r.quoted()
		switch {
		case r.err != nil:
			return ""
		case form == plain:
			return string(raw[1 : len(raw)-1])
		}
		return unquote(raw)
	case 'n':
		r.literal("null")
	default:
		r.wrong()
	}
	return ""
}

// boolean reads true or false.
func (r *jsonReader) boolean() bool {
	switch r.next() {
	case 't':
		r.literal("true")
		return r.err == nil
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.wrong()
	}
	return false
}

// integer reads a whole number.
func (r *jsonReader) integer() int {
	switch c := r.next(); {
	case c == '-' || isDigit(c):
		raw := r.raw()
		n, err := strconv.Atoi(string(raw))
		if err != nil && r.err == nil {
			r.fail(jsonError{text: "cannot be the number " + string(raw)})
		}
		return n
	case c == 'n':
		r.literal("null")
	default:
		r.wrong()
	}
	return 0
}

// raw reads any value, and returns the bytes of the input that hold it.
func (r *jsonReader) raw() json.RawMessage {
	r.next()
	start := r.at
	r.skip()
	if r.err != nil {
		return nil
	}
	return json.RawMessage(r.b[start:r.at:r.at])
}

// compact is raw without the white space between tokens.
func (r *jsonReader) compact() json.RawMessage {
	r.next()
	before := r.spaced
	r.spaced = false
	raw := r.raw()
	if r.spaced && r.err == nil {
		var b bytes.Buffer
		if json.Compact(&b, raw) == nil { // it has been checked already
			raw = b.Bytes()
		}
	}
	r.spaced = r.spaced || before
	return raw
}

// skip reads any value.
func (r *jsonReader) skip() {
	switch c := r.next(); {
	case c == '"':
		r.quoted()
	case c == '{':
		r.object(func([]byte) { r.skip() })
	case c == '[':
		r.array(func() { r.skip() })
	case c == 't':
		r.literal("true")
	case c == 'f':
		r.literal("false")
	case c == 'n':
		r.literal("null")
	case c == '-' || isDigit(c):
		r.number()
	default:
		r.bad("where a value begins")
	}
}

func (r *jsonReader) literal(word string) {
	if !bytes.HasPrefix(r.b[r.at:], []byte(word)) {
		r.bad("where " + word + " was begun")
		return
	}
	r.at += len(word)
}

// number reads a number by the grammar of RFC 8259, section 6.
func (r *jsonReader) number() {
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else {
		r.digits()
	}
	if r.peek() == '.' {
		r.at++
		r.digits()
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		r.digits()
	}
}

func (r *jsonReader) peek() byte {
	if r.at < len(r.b) {
		return r.b[r.at]
	}
	return 0
}

// digits reads one digit or more.
func (r *jsonReader) digits() {
	if !isDigit(r.peek()) {
		r.bad("in a number")
		return
	}
	for isDigit(r.peek()) {
		r.at++
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
