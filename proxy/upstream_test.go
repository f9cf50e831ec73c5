package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/x/dail/proxy"
	"github.com/x/dail/trace"
)

// reply is what a scripted upstream answers.
type reply struct {
	status int // 0: 200
	body   string
	header http.Header
}

// upstream is a scripted model server: answer is called for each request to
// /v1/chat/completions.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string // of chat requests
	heads  []http.Header
}

func newUpstream(t testing.TB, answer func(n int, body string) reply) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(u.handler(answer))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) handler(answer func(n int, body string) reply) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		n := len(u.bodies)
		u.bodies = append(u.bodies, string(body))
		u.heads = append(u.heads, r.Header.Clone())
		u.mu.Unlock()
		write(w, answer(n, string(body)))
	})
	mux.HandleFunc("POST /tokenize", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"count":%d,"max_model_len":16384,"tokens":[]}`, len(body))
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model","created":1700000000,"owned_by":"vllm","max_model_len":16384}]}`)
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Odd", "kept")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"version":"0.30.0"}`)
	})
	return mux
}

func write(w http.ResponseWriter, r reply) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	io.WriteString(w, r.body)
}

func (u *upstream) seen() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.bodies...)
}

// say is a chat completion with this message and finish reason.
func say(message, finish string) reply {
	return reply{body: `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":` +
		message + `,"logprobs":null,"finish_reason":"` + finish + `","stop_reason":null}],"usage":{"prompt_tokens":120,"total_tokens":127,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":100}},"system_fingerprint":null}`}
}

// text is a completion that only says something.
func text(s string) reply {
	return say(`{"role":"assistant","content":`+quote(s)+`,"tool_calls":[]}`, "stop")
}

// called is a completion with tool calls, given as name and arguments in turn.
func called(content string, nameArgs ...string) reply {
	var calls []string
	for i := 0; i < len(nameArgs); i += 2 {
		calls = append(calls, fmt.Sprintf(`{"id":"chatcmpl-tool-%d","type":"function","function":{"name":%s,"arguments":%s}}`, i, quote(nameArgs[i]), quote(nameArgs[i+1])))
	}
	return say(`{"role":"assistant","content":`+quote(content)+`,"tool_calls":[`+strings.Join(calls, ",")+`]}`, "tool_calls")
}

func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// records collects traces.
type records struct {
	mu  sync.Mutex
	all []trace.Record
}

func (r *records) add(rec trace.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, rec)
}

func (r *records) list() []trace.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]trace.Record(nil), r.all...)
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// messagesOn serves a Messages gateway in front of u.
func messagesOn(t testing.TB, u *upstream, cfg proxy.Config) (*httptest.Server, *records) {
	rec := &records{}
	cfg.Upstream = mustURL(t, u.URL)
	cfg.Trace = rec.add
	srv := httptest.NewServer(proxy.NewMessages(cfg))
	t.Cleanup(srv.Close)
	return srv, rec
}

// post sends a body and returns status, header and body of the answer.
func post(t testing.TB, url, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}
