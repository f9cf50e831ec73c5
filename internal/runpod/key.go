package runpod

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Key is an API key. Whatever prints it, prints [redacted] in its place;
// string(key) is the key itself.
type Key string

const redacted = "[redacted]"

// String implements [fmt.Stringer].
func (Key) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (Key) GoString() string { return redacted }

// Format implements [fmt.Formatter], because a verb that is not for strings
// would print the value.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], for JSON and YAML.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// cut replaces the key in a text that came from outside.
func (k Key) cut(text string) string {
	if len(k) < 8 { // no key, or a word that may stand anywhere
		return text
	}
	return strings.ReplaceAll(text, string(k), redacted)
}
