package plain_test

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/x/dail/internal/plain"
)

func Example() {
	fmt.Printf("%q\n", plain.Text("\x1b[1;31m✗ red\x1b[0m\r\n\tnext"))
	// Output: "✗ red\n\tnext"
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain äöü 漢\n\tx":                            "plain äöü 漢\n\tx",
		"a\x1b]52;c;ZXZpbA==\x07b\x1b]0;title\x1b\\c": "abc",
		"up\x1b[2Aclear\x1b[2J\x1b[?25l\x1bc":         "upclear",
		"cut \x1b]52;c;never ends":                    "cut 52;c;never ends",
		"bell\a back\b return\r":                      "bell back return",
		"\u202eturned\u202c \u2066x\u2069":            "turned x",
		"c1 \u009b2J \u0085":                          "c1 2J ",
		"bad \xff\xfe utf":                            "bad  utf",
	} {
		if got := plain.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b]0;x\x07\x1b[1m")
	f.Fuzz(func(t *testing.T, s string) {
		got := plain.Text(s)
		if !utf8.ValidString(got) || plain.Text(got) != got {
			t.Errorf("%q: %q", s, got)
		}
		for _, r := range got {
			if r == 0x1b || r == 0x9b || r == '\r' {
				t.Errorf("%q: %q", s, got)
			}
		}
	})
}
