package sim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/x/dail/sim"
)

func TestTokenizer(t *testing.T) {
	tok := sim.NewTokenizer()
	for _, text := range []string{
		"", "hello world", "func main() {\n\tfmt.Println(\"hi\")\n}\n", "Ünïcödé 漢字 🙂🇩🇪", "<|im_start|>user<|im_end|>",
		strings.Repeat(" ", 5000), strings.Repeat("a", 5000), "line\r\nline\n\n\n", "\x00\x01",
	} {
		ids := tok.Encode(text)
		if got := tok.Count(text); got != len(ids) {
			t.Errorf("%.20q: Count %d, Encode %d", text, got, len(ids))
		}
		back, err := tok.Text(ids)
		if err != nil || back != text {
			t.Errorf("%.20q comes back as %.20q, %v", text, back, err)
		}
	}
	if _, err := tok.Text([]uint32{1 << 30}); err == nil {
		t.Error("a token that does not exist has a text")
	}
	// Known counts of o200k_base.
	for text, want := range map[string]int{"hello world": 2, "tiktoken is great!": 6, "antidisestablishmentarianism": 6} {
		if got := tok.Count(text); got != want {
			t.Errorf("%q: %d tokens, want %d", text, got, want)
		}
	}
}

func BenchmarkNewTokenizer(b *testing.B) {
	for b.Loop() {
		sim.NewTokenizer()
	}
}

func BenchmarkEncodeNew(b *testing.B) {
	tok := sim.NewTokenizer()
	text := strings.Repeat("The quick brown fox jumps over the lazy dog.\nfunc f(x int) error { return nil }\n", 700)
	b.SetBytes(int64(len(text)))
	for i := 0; b.Loop(); i++ {
		tok.Encode(fmt.Sprint(i) + text)
	}
}

func ExampleTokenizer() {
	tok := sim.NewTokenizer()
	fmt.Println(tok.Count("How many tokens is this?"))
	// Output: 6
}
