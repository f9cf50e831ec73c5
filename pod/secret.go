package pod

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
)

// Secret is a key or a token. However it is printed, logged or encoded, its
// text does not come out; only [Secret.Reveal] gives it. (As the key of a map it
// would: package json writes such keys itself.)
type Secret string

const (
	redacted = "[redacted]"
	noSecret = "[none]"
)

// Reveal returns the text itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// Fingerprint tells two secrets apart without giving either away: the first 32
// bits of its SHA-256, in hex; empty for no secret. It is meant for keys of
// high entropy: a guessable password can be guessed from it.
func (s Secret) Fingerprint() string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// String says only whether there is a secret.
func (s Secret) String() string {
	if s == "" {
		return noSecret
	}
	return redacted
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Format implements fmt.Formatter, so that no verb (%x, %q, …) shows it.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, for JSON, YAML and others.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }
