package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/proxy"
)

// The benchmarks are of the gateway itself: a request of 75 kB in memory, a
// server in memory that has its answer at once. What a real connection adds is
// internal/cmd/benchproxy's to say. "x-copy" is the time as a multiple of that
// of a handler that copies bytes, in the same run.

func BenchmarkMessages(b *testing.B) {
	benchmark(b, "/v1/messages", benchMessages(), func(cfg proxy.Config) http.Handler { return proxy.NewMessages(cfg) })
}

func BenchmarkDestream(b *testing.B) {
	benchmark(b, "/v1/chat/completions", benchChat(b), func(cfg proxy.Config) http.Handler { return proxy.NewDestream(cfg) })
}

func BenchmarkCopy(b *testing.B) {
	benchmark(b, "/v1/chat/completions", benchMessages(), newCopy)
}

// benchAnswer is a turn of work: 2 kB with a tool call.
var benchAnswer = []byte(called("I write the file & run it.", "Write",
	quote(map[string]string{"file_path": "/w/a.go", "content": strings.Repeat("\tif a < b {\n\t\treturn \"x\"\n\t}\n", 50)})).body)

// benchMessages is a conversation in Claude Code's shape.
func benchMessages() []byte {
	// As JavaScript writes it.
	asJS := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace
	return []byte(asJS(benchConversation()))
}

func benchConversation() string {
	code := strings.Repeat("func (s *store) get(key string) (\"value\", error) {\n\tif v := s.m[key]; v != nil { // <fast>\n\t\treturn v, nil\n\t}\n}\n", 50)
	var tools, turns []string
	for i := range 12 {
		tools = append(tools, strings.Replace(strings.Replace(bashTool, "Bash", fmt.Sprintf("Tool%d", i), 1), "Run a command", strings.Repeat("Use it with care. ", 60), 1))
	}
	for i := range 6 {
		turns = append(turns, fmt.Sprintf(`{"role":"assistant","content":[{"type":"text","text":"Step."},{"type":"tool_use","id":"t%d","name":"Tool1","input":{"command":"ls -l"}}]},`+
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t%d","content":%s}]}`, i, i, quote(code)))
	}
	return `{"model":"claude-x","messages":[{"role":"user","content":"Go."},` + strings.Join(turns, ",") +
		`],"system":[{"type":"text","text":` + quote(strings.Repeat("Read before you write.\n", 500)) + `,"cache_control":{"type":"ephemeral"}}],"tools":[` +
		strings.Join(tools, ",") + `],"max_tokens":32000,"stream":true}`
}

func benchChat(tb testing.TB) []byte {
	body, err := proxy.MessagesToChat(benchMessages())
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Replace(body, []byte(`"stream":false`), []byte(`"stream":true`), 1)
}

// instant is a server in memory that reads a request and has its answer ready.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(benchAnswer)), Body: io.NopCloser(bytes.NewReader(benchAnswer)), Request: r,
	}, nil
}

func newCopy(cfg proxy.Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		io.ReadFull(r.Body, body)
		req, _ := http.NewRequestWithContext(r.Context(), r.Method, cfg.Upstream.String()+r.URL.Path, bytes.NewReader(body))
		res, err := cfg.Transport.RoundTrip(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		io.Copy(w, res.Body)
	})
}

// ready is a gateway with one known agent, whose requests are run by once.
func ready(tb testing.TB, path string, body []byte, make func(proxy.Config) http.Handler) (once func(n int)) {
	var tokens proxy.Tokens
	token := tokens.Issue(proxy.Caller{Level: "n1", Phase: "spec"})
	h := make(proxy.Config{Upstream: &url.URL{Scheme: "http", Host: "upstream"}, Model: "m", Transport: instant{}, Identify: tokens.Lookup})
	return func(n int) {
		for range n {
			r := httptest.NewRequest("POST", path, bytes.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusOK {
				tb.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	}
}

func benchmark(b *testing.B, path string, body []byte, make func(proxy.Config) http.Handler) {
	if !json.Valid(body) {
		b.Fatal("the request is no JSON")
	}
	once, copied := ready(b, path, body, make), ready(b, path, body, newCopy)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	once(1)
	for b.Loop() {
		once(1)
	}
	b.StopTimer()
	took := b.Elapsed()
	began := time.Now()
	copied(b.N)
	b.ReportMetric(float64(took)/float64(time.Since(began)), "x-copy")
}
