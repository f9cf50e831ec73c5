package machine

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                nil,
		"bash -c 'echo hi; sleep 1'":      {"bash", "-c", "echo hi; sleep 1"},
		`a "b c" d\ e ''`:                 {"a", "b c", "d e", ""},
		`"a\"b\$c\d"`:                     {`a"b$c\d`},
		"a\\\nb":                          {"ab"},
		"  many   blanks\tand\nlines  ":   {"many", "blanks", "and", "lines"},
		`mixed'one'"two"three`:            {"mixedonetwothree"},
		`'single "quotes" \ keep $all'`:   {`single "quotes" \ keep $all`},
		"python -u /start.py --port=8000": {"python", "-u", "/start.py", "--port=8000"},
	} {
		if got, err := Words(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"open`, `'open`, `end\`} {
		if got, err := Words(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// What is quoted comes back as it was.
func FuzzWords(f *testing.F) {
	f.Add("a b", `c"d`)
	f.Add("", "it's")
	f.Fuzz(func(t *testing.T, one, two string) {
		if !validUTF8(one) || !validUTF8(two) {
			t.Skip()
		}
		quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
		got, err := Words(quote(one) + " " + quote(two))
		if err != nil || !slices.Equal(got, []string{one, two}) {
			t.Fatalf("%q, %q: %q %v", one, two, got, err)
		}
		if words, err := Words(one); err == nil {
			for _, w := range words {
				if len(w) > len(one) {
					t.Fatalf("%q grew to %q", one, words)
				}
			}
		}
	})
}

func validUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }
