package proxy

import (
	"slices"
	"strings"
)

// arguments are those of a call as they are read, in the order of the text: a
// template renders the call again in this order, and only so does the prefix
// cache know it again.
type arguments []argument

type argument struct {
	key   string
	value []byte
}

// maxArguments bounds the arguments of a call that is read from a text: no tool
// has as many, and each is compared with all before it.
const maxArguments = 256

// add takes one more, with the type that the schema allows. It refuses a key
// that is empty or has been there.
func (a *arguments) add(key, value string, schema toolSchema) bool {
	if key == "" || len(*a) == maxArguments || slices.ContainsFunc(*a, func(x argument) bool { return x.key == key }) {
		return false
	}
	*a = append(*a, argument{key, typedValue(value, schema[key])})
	return true
}

func (a arguments) call(name string) toolCall {
	b := []byte{'{'}
	for i, x := range a {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendString(b, x.key), ':'), x.value...)
	}
	return toolCall{Name: name, Arguments: string(append(b, '}'))}
}

// enclosed cuts what stands between open, at the text's beginning, and the
// first end behind it, in one line.
func enclosed(text, open, end string) (inner, rest string, ok bool) {
	if text, ok = strings.CutPrefix(text, open); !ok {
		return "", "", false
	}
	inner, rest, ok = strings.Cut(text, end)
	return inner, rest, ok && !strings.ContainsAny(inner, "<\n")
}

// valueUntil cuts a value off at the first end tag behind which the call goes
// on as a call does, so a file that holds the tag as text comes through whole.
// An empty string among next means the end of the text.
func valueUntil(text, end string, next ...string) (value, rest string, ok bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], end)
		if i < 0 {
			return "", "", false
		}
		i += from
		after := strings.TrimLeft(text[i+len(end):], " \t\r\n")
		for _, n := range next {
			if n == "" && after == "" || n != "" && strings.HasPrefix(after, n) {
				return text[:i], after, true
			}
		}
		from = i + len(end)
	}
}

// oneLineLess takes one line break off each side of a value: it belongs to the
// tags.
func oneLineLess(value string) string {
	return strings.TrimSuffix(strings.TrimPrefix(value, "\n"), "\n")
}
