package sdktest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/internal/fakevllm"
	"github.com/x/dail/proxy"
)

// Nothing that a test started may outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// always answers every request with r.
func always(r fakevllm.Reply) func(int, fakevllm.Request) fakevllm.Reply {
	return func(int, fakevllm.Request) fakevllm.Reply { return r }
}

// stand is a gateway in front of a scripted server. edit changes its Config.
func stand(t *testing.T, gateway func(proxy.Config) http.Handler, script func(int, fakevllm.Request) fakevllm.Reply, edit func(*proxy.Config)) (string, *fakevllm.Server) {
	t.Helper()
	u := fakevllm.New(script)
	at, err := url.Parse(u.URL)
	if err != nil {
		t.Fatal(err)
	}
	// A transport of its own: its idle connections end with the test.
	tr := &http.Transport{DisableCompression: true}
	cfg := proxy.Config{Upstream: at, Model: fakevllm.Model, Transport: tr}
	if edit != nil {
		edit(&cfg)
	}
	srv := httptest.NewServer(gateway(cfg))
	t.Cleanup(func() { srv.Close(); tr.CloseIdleConnections(); u.Close() })
	return srv.URL, u
}

func messages(cfg proxy.Config) http.Handler { return proxy.NewMessages(cfg) }
func destream(cfg proxy.Config) http.Handler { return proxy.NewDestream(cfg) }

// client is an HTTP client that ends its connections with the test.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// tap is an HTTP client that keeps what it read, and closes seen when it has
// read want as often as n.
type tap struct {
	http.RoundTripper
	want string
	n    int
	seen chan struct{}

	mu   sync.Mutex
	read bytes.Buffer
	done bool
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(res.Body, t), res.Body}
	}
	return res, err
}

func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read.Write(p)
	if !t.done && bytes.Count(t.read.Bytes(), []byte(t.want)) >= t.n {
		t.done = true
		close(t.seen)
	}
	return len(p), nil
}

// arrives fails the test where nothing comes; the bound is only for a test
// that has failed already.
func arrives(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: not within 30 s", what)
	}
}

const (
	weather = `{"city":"Köln \"am\" Rhein","days":3.50,"deep":{"a":[1,2.0,null]},"big":12345678901234567890,"html":"<b>&</b>"}`
	empty   = `{}`
	write   = `{"content":"line one\n\tline two\n","file_path":"/a b.md"}`
)

// answers are what the model may say, and what each client must read of it.
var answers = []struct {
	name      string
	reply     fakevllm.Reply
	text      string
	reasoning string
	calls     []fakevllm.Call
	stop      string // in Anthropic's words
	finish    string // in OpenAI's
}{
	{"text", fakevllm.Text("Hello <b> & \u2028 \"you\"\nbye"), "Hello <b> & \u2028 \"you\"\nbye", "", nil, "end_turn", "stop"},
	{"thinking", fakevllm.Completion("So: 4.", "Two and two.", "stop"), "So: 4.", "Two and two.", nil, "end_turn", "stop"},
	{"cut by the limit", fakevllm.Completion("half a sen", "", "length"), "half a sen", "", nil, "max_tokens", "length"},
	one("one tool call", "", "", call(1, "weather", weather)),
	one("text, then a call without arguments", "I look.", "", call(1, "now", empty)),
	one("thinking, text, three parallel calls", "All three.", "Hm.", call(1, "weather", weather), call(2, "now", empty), call(3, "write", write)),
}

func call(n int, name, args string) fakevllm.Call {
	return fakevllm.Call{ID: "chatcmpl-tool-" + string(rune('0'+n)), Name: name, Arguments: args}
}

type answer = struct {
	name      string
	reply     fakevllm.Reply
	text      string
	reasoning string
	calls     []fakevllm.Call
	stop      string
	finish    string
}

func one(name, text, reasoning string, calls ...fakevllm.Call) answer {
	return answer{name, fakevllm.Completion(text, reasoning, "tool_calls", calls...), text, reasoning, calls, "tool_use", "tool_calls"}
}

// faults are errors of the server; kind is Anthropic's word for each.
var faults = []struct {
	name         string
	reply        fakevllm.Reply
	status       int // as the Messages gateway passes it on
	kind         string
	message      string
	retryAfter   string
	plainMessage string // as the chat gateway passes it on, where it differs
}{
	{"bad request", fakevllm.Fault(400, "BadRequestError", "tool_choice is odd"), 400, "invalid_request_error", "tool_choice is odd", "", ""},
	{"prompt too long", fakevllm.Fault(400, "BadRequestError", overflow), 400, "invalid_request_error", "prompt is too long: 17000 tokens > 16384 maximum", "", overflow},
	{"no key", fakevllm.Fault(401, "AuthenticationError", "Unauthorized"), 401, "authentication_error", "Unauthorized", "", ""},
	{"no such model", fakevllm.Fault(404, "NotFoundError", "The model does not exist."), 404, "not_found_error", "The model does not exist.", "", ""},
	{"too large", fakevllm.Fault(413, "BadRequestError", "too large"), 413, "request_too_large", "too large", "", ""},
	{"rate limit", patient(fakevllm.Fault(429, "RateLimitError", "slow down"), "7"), 429, "rate_limit_error", "slow down", "7", ""},
	{"overloaded", fakevllm.Fault(529, "OverloadedError", "busy"), 529, "overloaded_error", "busy", "", ""},
	{"engine dead", fakevllm.Fault(500, "InternalServerError", "EngineDeadError"), 500, "api_error", "EngineDeadError", "", ""},
}

const overflow = "This model's maximum context length is 16384 tokens. However, you requested 49000 tokens (17000 in the messages, 32000 in the completion). Please reduce the length of the messages or completion."

func patient(r fakevllm.Reply, seconds string) fakevllm.Reply {
	r.Header = http.Header{"Retry-After": {seconds}}
	return r
}
