package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/x/dail/proxy"
)

// checkJSON holds our reader and writer against encoding/json's.
func checkJSON(t *testing.T, body []byte) {
	t.Helper()
	got, err := proxy.ReadJSON(body)
	if valid := json.Valid(body); valid != (err == nil) {
		t.Fatalf("%q: valid is %v, our reader says %v", body, valid, err)
	}
	if err == nil {
		var want bytes.Buffer
		if err := json.Compact(&want, body); err != nil || want.String() != string(got) {
			t.Fatalf("%q became %q, want %q (%v)", body, got, &want, err)
		}
	}
	var want string
	if json.Unmarshal(body, &want) == nil {
		got, sent, err := proxy.ReadString(body)
		if err != nil || got != want {
			t.Fatalf("%q is %q, want %q (%v)", body, got, want, err)
		}
		if plain := bytes.TrimSpace(plainJSON(t, want)); string(plain) != string(sent) {
			t.Fatalf("%q is sent as %q, want %q", body, sent, plain)
		}
	}
	if plain := bytes.TrimSpace(plainJSON(t, string(body))); string(plain) != string(proxy.WriteString(string(body))) {
		t.Fatalf("%q is written %q, want %q", body, proxy.WriteString(string(body)), plain)
	}
}

func jsonSamples() []string {
	samples := []string{
		``, ` `, `null`, `nul`, `true`, `truex`, `false`, `[]`, `{}`, `[ ]`, `{ }`, `[1,]`, `{"a":1,}`, `{,}`, `[,1]`, `{"a"}`, `{"a":}`, `{1:2}`,
		`0`, `-0`, `01`, `-`, `1.`, `.5`, `1.5e+3`, `1e`, `1E-`, `+1`, `1 2`, `{}{}`, ` [ 1 , {"a" : [ true , null ] } ] `, "\x00", "\ufeff1", `[1}`, `{"a":1]`,
		`"`, `""`, `"a`, `"\`, `"\x"`, `"\u00e"`, `"\u00eg"`, `"\u00e9\u2028\ud83d\ude00\ud83d\ud83d x\ude00"`, `"\/\"\\\b\f\n\r\t"`, "\"\n\"", "\"\x1f\"", "\"\x7f\"",
		"\"\u2028é😀\"", "\"\xff\xfe\"", "\"a\xe2\x80\"", `"12345678"`, `"1234567\n89abcdefgh\"ij"`, `"\\u0041"`, `{"\u0061":"<>&"}`, `{"a":"\ud800"}`, `"\ud800\n"`, `"\ud800\u0041"`,
	}
	// A stop at each place of a word, and each byte by itself.
	for i := range 20 {
		for _, s := range []string{`\n`, `"`, `\`, "\n", "é", "\xff", "\u2029"} {
			samples = append(samples, `"`+strings.Repeat("a", i)+s+`bcd"`)
		}
	}
	for c := range 256 {
		samples = append(samples, string([]byte{'"', 'a', byte(c), 'b', '"'}), string([]byte{byte(c)}), fmt.Sprintf(`"\u00%02x"`, c))
	}
	for _, depth := range []int{10_000, 10_001} {
		samples = append(samples, strings.Repeat("[", depth)+strings.Repeat("]", depth))
	}
	return samples
}

func TestJSONIsReadAndWrittenAsEncodingJSONDoes(t *testing.T) {
	for _, s := range jsonSamples() {
		checkJSON(t, []byte(s))
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range jsonSamples() {
		f.Add([]byte(s))
	}
	f.Fuzz(checkJSON)
}

// The prompt that the server is asked says what the client's does, however the
// client writes its strings.
func TestTextsAreSentOnUnchanged(t *testing.T) {
	for _, s := range []string{"plain", "a\nb\t\"c\" \\n \\\\", "\x1b[31mred\x1b[0m\x00", "é 😀 日本", "\u2028\u2029", "<b> & </b>", strings.Repeat("long line\n", 5000)} {
		var spelled strings.Builder // every rune as an escape
		for _, r := range s {
			if r < utf8.RuneSelf || r == '\u2028' {
				fmt.Fprintf(&spelled, `\u%04x`, r)
			} else {
				spelled.WriteRune(r)
			}
		}
		for _, written := range []string{quote(s), strings.TrimSpace(string(plainJSON(t, s))), `"` + spelled.String() + `"`} {
			body := `{"system":` + written + `,"messages":[{"role":"user","content":[{"type":"text","text":` + written + `},{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":` + written + `}]}]}]}`
			got, err := proxy.MessagesToChat([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSpace(string(plainJSON(t, s)))
			if n := strings.Count(string(got), `"content":`+want); n != 3 {
				t.Errorf("%.60q stands %d times in the prompt as %.60s, want 3 times:\n%.300s", s, n, want, got)
			}
		}
	}
}
