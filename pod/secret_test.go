package pod_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/x/dail/pod"
)

// However a key is printed, it does not come out. Each of these shows a plain
// string, so each of them can fail.
func TestSecretHidesItself(t *testing.T) {
	const text = "rpa_PLANTED"
	forms := map[string]func(v any) string{
		"yaml": func(v any) string { b, _ := yaml.Marshal(v); return string(b) },
		"json": func(v any) string { b, _ := json.Marshal(v); return string(b) },
		"slog": func(v any) string {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
			return b.String()
		},
		"text": func(v any) string {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
			return b.String()
		},
		"error": func(v any) string { return fmt.Errorf("a: %w: %v", fmt.Errorf("%s", v), v).Error() },
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s"} {
		forms[verb] = func(v any) string { return fmt.Sprintf(verb, v) }
	}
	hex := fmt.Sprintf("%x", text)
	shows := func(s string) bool {
		return strings.Contains(s, "rpa") || strings.Contains(strings.ToLower(s), hex[:6])
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			if !shows(form(text)) && name != "%d" {
				t.Errorf("control: a plain string is not seen in %q", form(text))
			}
			secret := pod.Secret(text)
			for _, v := range []any{secret, &secret, struct{ Key pod.Secret }{secret}, []pod.Secret{secret}, map[string]pod.Secret{"k": secret}} {
				if got := form(v); shows(got) {
					t.Errorf("%T comes out as %s", v, got)
				}
			}
		})
	}
}

func TestSecretRevealsItselfOnlyWhenAsked(t *testing.T) {
	s := pod.Secret("key")
	if s.Reveal() != "key" {
		t.Error("the text is lost")
	}
	if s.String() == pod.Secret("").String() {
		t.Error("a secret and none look the same")
	}
	if a, b := s.Fingerprint(), pod.Secret("kez").Fingerprint(); a == b || len(a) != 8 {
		t.Errorf("fingerprints %q and %q", a, b)
	}
	if pod.Secret("").Fingerprint() != "" {
		t.Error("no secret has a fingerprint")
	}
	var decoded struct{ Key pod.Secret }
	if err := json.Unmarshal([]byte(`{"Key":"abc"}`), &decoded); err != nil || decoded.Key.Reveal() != "abc" {
		t.Errorf("a key cannot be read from JSON: %q, %v", decoded.Key.Reveal(), err)
	}
}
