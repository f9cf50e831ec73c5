package runpod

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", maxEvent+100)
	for _, tc := range []struct{ name, text, want string }{
		{"CRLF", "data: {\"line\":\"a\"}\r\n\r\ndata: {\"line\":\"b\"}\r\n\r\n", "a|b"},
		{"no blank after the colon", "data:{\"line\":\"a\"}\n\n", "a"},
		{"data over two lines", "data: {\"line\":\ndata: \"a\"}\n\n", "a"},
		{"the document's example, whose blank line is missing", "id: 1\ndata: {\"line\":\"Model loaded.\"}\n", "Model loaded."},
		{"not JSON", "data: [DONE]\n\n", "[DONE]"},
		{"blank lines", "\n\n\n", ""},
		{"other fields", "event: log\nretry: 5\n:\nid\n\n", ""},
		{"too long a line", "data: " + long + "\n\ndata: {\"line\":\"a\"}\n\n", long[:maxEvent] + "|a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			if err := readEvents(strings.NewReader(tc.text), func(l LogLine) bool {
				got = append(got, l.Line)
				return true
			}); err != nil || strings.Join(got, "|") != tc.want {
				t.Errorf("got %.100q, %v", got, err)
			}
		})
	}
}

func TestRateLimitHeader(t *testing.T) {
	for _, tc := range []struct {
		header string
		left   int
		reset  time.Duration
		ok     bool
	}{
		{`"minute";r=0;t=12, "hour";r=2800;t=1812`, 0, 12 * time.Second, true},
		{`"hour";r=0;t=1812,"minute";r=176;t=3`, 176, 3 * time.Second, true},
		{`minute; r=5`, 5, 0, true},
		{`"hour";r=0;t=1812`, 0, 0, false},
		{`"minute";t=12`, 0, 0, false},
		{`"minute";r=many;t=12`, 0, 0, false},
		{``, 0, 0, false},
	} {
		left, reset, ok := minute(tc.header)
		if ok != tc.ok || (ok && (left != tc.left || reset != tc.reset)) {
			t.Errorf("%s: %d %v %v", tc.header, left, reset, ok)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"12": 12 * time.Second, " 0 ": 0, "-5": 0, "soon": 0, "": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
		"9223372036854775807": 365 * 24 * time.Hour,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestAKeyPrintsAsNothing(t *testing.T) {
	const secret = "rpa_PLANTED1234567890"
	k := Key(secret)
	c := &Client{Key: k}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "client", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "client", c)
	j, err := json.Marshal(map[string]any{"k": k, "s": struct{ K Key }{k}})
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(struct{ K Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String(), string(j), string(y), fmt.Sprint(k, c, &k), fmt.Sprint(struct{ c *Client }{c})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		texts = append(texts, fmt.Sprintf(verb, k), fmt.Sprintf(verb, c), fmt.Sprintf(verb, []Key{k}))
	}
	for _, text := range texts {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("the key is in %s", text)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("id: 1\ndata: {\"line\":\"a\"}\n\n")
	f.Add("data: x\r\ndata: y\r\n\r\n:c\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		if err := readEvents(strings.NewReader(text), func(l LogLine) bool {
			n++
			return n < 10
		}); err != nil || n > 10 || n > len(text) {
			t.Errorf("%d lines, %v", n, err)
		}
	})
}

// Whatever comes back, an error is one line, not long, and without the key.
func FuzzRefusal(f *testing.F) {
	f.Add("POST", 400, []byte(`{"title":"Bad Request","status":400,"detail":"no instances available","errors":["a"]}`), "12", "req-1")
	f.Add("GET", 403, []byte("error code: 1010"), "", "")
	f.Add("DELETE", 301, []byte("\x1b[31m\xff\n"), "Mon, 01 Jan 2029 00:00:00 GMT", "\r\n")
	f.Fuzz(func(t *testing.T, method string, status int, body []byte, wait, id string) {
		c := &Client{Key: "rpa_PLANTED1234567890"}
		if strings.Contains(string(body), string(c.Key)) || len(method) > 10 {
			t.Skip()
		}
		r := request{op: "create pod", method: method, path: []string{"pods"}}
		if e := c.prepare(&r); e != nil {
			t.Fatal(e)
		}
		resp := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {wait}, "X-Request-Id": {id}, "Location": {string(body)}}}
		e := c.refusal(&r, resp, append(body, c.Key...))
		text := e.Error()
		head := text[strings.Index(text, "/v2/pods"):]
		if strings.Contains(text, string(c.Key)) || strings.ContainsAny(head, "\n\r\x1b") || !utf8.ValidString(head) {
			t.Errorf("%q", text)
		}
		if len(e.Errors) == 0 && len(head) > 4*longest {
			t.Errorf("%d bytes", len(text))
		}
		_ = e.Kind.String()
		if e.Kind == Capacity && (method != "POST" || status != 400) {
			t.Errorf("%s %d is %v", method, status, e.Kind)
		}
		if status >= 500 && method == "POST" && e.Kind != Unclear {
			t.Errorf("%d is %v", status, e.Kind)
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"pods":[{"id":"a","createdAt":"2026-08-20 06:16:19.436 +0000 UTC"}],"pagination":{"nextCursor":"x","hasNextPage":true}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p podPage
		if json.Unmarshal(body, &p) != nil {
			return
		}
		for _, pod := range p.Pods {
			_ = pod.CreatedAt.UTC()
		}
	})
}
