package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/x/dail/proxy"
)

func errorBody(message, kind string, code int) string {
	return fmt.Sprintf(`{"error":{"message":%s,"type":%q,"param":null,"code":%d}}`, quote(message), kind, code)
}

func TestServerFaultsInTheClientsWords(t *testing.T) {
	for _, tc := range []struct {
		name       string
		answer     reply
		status     int
		kind, text string
		header     string // "Name: value" that must be there
	}{
		{"bad request", reply{status: 400, body: errorBody("tool_choice is odd", "BadRequestError", 400)}, 400, "invalid_request_error", "tool_choice is odd", ""},
		{"unprocessable", reply{status: 422, body: `{"detail":"bad field"}`}, 400, "invalid_request_error", "bad field", ""},
		{"no key", reply{status: 401, body: `{"error":"Unauthorized"}`}, 401, "authentication_error", "Unauthorized", "X-Should-Retry: false"},
		{"no model", reply{status: 404, body: `{"object":"error","message":"The model does not exist.","code":404}`}, 404, "not_found_error", "The model does not exist.", "X-Should-Retry: false"},
		{"rate limit", reply{status: 429, header: http.Header{"Retry-After": {"7"}}, body: errorBody("slow", "RateLimitError", 429)}, 429, "rate_limit_error", "slow", "Retry-After: 7"},
		{"rate limit beyond patience", reply{status: 429, header: http.Header{"Retry-After": {"3600"}}, body: errorBody("slow", "RateLimitError", 429)}, 429, "rate_limit_error", "slow", "Retry-After: 60"},
		{"queue full", reply{status: 503, body: errorBody("full", "ServiceUnavailable", 503)}, 529, "overloaded_error", "full", ""},
		{"overloaded", reply{status: 529, body: "busy"}, 529, "overloaded_error", "busy", ""},
		{"engine dead", reply{status: 500, body: errorBody("EngineDeadError", "InternalServerError", 500)}, 500, "api_error", "EngineDeadError", ""},
		{"gateway timeout", reply{status: 504, body: ""}, 504, "timeout_error", "Gateway Timeout", ""},
		{"redirect", reply{status: 302, body: "elsewhere"}, 502, "api_error", "elsewhere", ""},
		{"error with 200", reply{body: errorBody("engine failed", "InternalServerError", 500)}, 500, "api_error", "engine failed", ""},
		{"no JSON", reply{body: "<html>"}, 502, "api_error", "no chat completion", ""},
		{"no choices", reply{body: `{"id":"x","choices":[]}`}, 502, "api_error", "no choices", ""},
		{"odd content", reply{body: `{"choices":[{"message":{"content":5}}]}`}, 502, "api_error", "choices[0]: message.content", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, rec := messagesOn(t, newUpstream(t, func(int, string) reply { return tc.answer }), proxy.Config{Model: "m"})
			status, header, body := post(t, srv.URL+"/v1/messages", ask(hi), "X-Request-Id", "abc")
			var e struct {
				Type      string
				Error     struct{ Type, Message string }
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if status != tc.status || e.Type != "error" || e.Error.Type != tc.kind || !strings.Contains(e.Error.Message, tc.text) || e.RequestID != "abc" {
				t.Errorf("%d %s; want %d, %s, %q", status, body, tc.status, tc.kind, tc.text)
			}
			if header.Get("X-Request-Id") != "abc" || header.Get("Request-Id") != "abc" {
				t.Errorf("request ids: %v", header)
			}
			if k, v, ok := strings.Cut(tc.header, ": "); ok && header.Get(k) != v {
				t.Errorf("header %s = %q, want %q", k, header.Get(k), v)
			}
			srv.Close()
			if r := rec.list()[0]; r.Status != tc.status || r.OK() || r.Error == "" {
				t.Errorf("record: %+v", r)
			}
		})
	}
}

func TestServerNotThere(t *testing.T) {
	u := newUpstream(t, nil)
	u.Close()
	srv, _ := messagesOn(t, u, proxy.Config{})
	status, _, body := post(t, srv.URL+"/v1/messages", ask(hi))
	if status != 502 || !strings.Contains(body, u.URL) || !strings.Contains(body, "see that it runs") {
		t.Errorf("%d %s", status, body)
	}
	none := httptest.NewServer(proxy.NewMessages(proxy.Config{}))
	defer none.Close()
	if status, _, body := post(t, none.URL+"/v1/messages", ask(hi)); status != 502 || !strings.Contains(body, "Config.Upstream is nil") {
		t.Errorf("%d %s", status, body)
	}
}

func TestBadRequestsNeverReachTheServer(t *testing.T) {
	u := newUpstream(t, func(int, string) reply { return text("x") })
	srv, rec := messagesOn(t, u, proxy.Config{BodyLimit: 2000})
	for _, tc := range []struct {
		body   string
		status int
		text   string
	}{
		{`{"messages":`, 400, "not JSON"},
		{`{}`, 400, "messages: at least one"},
		{`{"messages":[{"role":"robot","content":"x"}]}`, 400, `messages[0].role: \"robot\"`},
		{`{"messages":[{"role":"user","content":7}]}`, 400, "messages[0].content"},
		{`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":7}]}]}`, 400, "tool_result t1"},
		{`{"messages":"x"}`, 400, "messages: cannot be a string"},
		{`{"system":3,"messages":[{"role":"user","content":"x"}]}`, 400, "system:"},
		{`{"x":"` + strings.Repeat("y", 2000) + `"}`, 413, "longer than 2000 bytes"},
	} {
		status, _, body := post(t, srv.URL+"/v1/messages", tc.body)
		if status != tc.status || !strings.Contains(body, tc.text) {
			t.Errorf("%.80s: %d %s", tc.body, status, body)
		}
	}
	if n := len(u.seen()); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
	srv.Close()
	if n := len(rec.list()); n != 8 {
		t.Errorf("%d records, want 8", n)
	}
}

func TestTokensNameTheCaller(t *testing.T) {
	var tokens proxy.Tokens
	mine := tokens.Issue(proxy.Caller{Level: "n4", Agent: 2, Phase: "spec"})
	old := tokens.Issue(proxy.Caller{Agent: 3})
	tokens.Revoke(old)
	tokens.Revoke("never issued")
	u := newUpstream(t, func(int, string) reply { return text("x") })
	srv, rec := messagesOn(t, u, proxy.Config{Identify: tokens.Lookup})
	for _, tc := range []struct {
		name   string
		header []string
		status int
	}{
		{"none", nil, 401},
		{"unknown", []string{"Authorization", "Bearer dail-x"}, 401},
		{"revoked", []string{"Authorization", "Bearer " + old}, 401},
		{"bearer", []string{"Authorization", "Bearer " + mine}, 200},
		{"api key", []string{"X-Api-Key", mine}, 200},
	} {
		for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
			status, header, body := post(t, srv.URL+path, ask(hi), tc.header...)
			if status != tc.status {
				t.Errorf("%s %s: %d %s", tc.name, path, status, body)
			}
			if status == 401 && (header.Get("X-Should-Retry") != "false" || !strings.Contains(body, "authentication_error")) {
				t.Errorf("%s: %v %s", tc.name, header, body)
			}
		}
	}
	srv.Close()
	for _, r := range rec.list() {
		if r.Status == 200 && (r.Agent != 2 || r.Phase != "spec" || r.Level != "n4") || r.Status == 401 && r.Agent != -1 {
			t.Errorf("record: %+v", r)
		}
		if s := fmt.Sprintf("%+v", r); strings.Contains(s, mine) || strings.Contains(s, old) {
			t.Errorf("the record holds a token: %s", s)
		}
	}
	for _, h := range u.heads {
		if h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" {
			t.Errorf("the agent's token went to the server: %v", h)
		}
	}
}

func TestOverflow(t *testing.T) {
	const (
		old     = "This model's maximum context length is 16384 tokens. However, you requested 42000 tokens (10000 in the messages, 32000 in the completion). Please reduce the length of the messages or completion."
		tooBig  = "This model's maximum context length is 16384 tokens. However, you requested 49000 tokens (17000 in the messages, 32000 in the completion). Please reduce the length of the messages or completion."
		atLeast = "This model's maximum context length is 16384 tokens. However, you requested 8192 output tokens and your prompt contains at least 8193 input tokens, for a total of at least 16385 tokens."
		nothing = "max_tokens=32000 cannot be greater than max_model_len=16384"
		noLimit = "the prompt exceeds the maximum context length of this model"
	)
	refuse := func(m string) reply {
		return reply{status: 400, body: errorBody(m, "BadRequestError", 400)}
	}
	counted := len(`{"model":"m","add_generation_prompt":true,"messages":[{"role":"user","content":"hi"}]}`)
	body := `{"model":"x","max_tokens":32000,"messages":` + hi + `}`
	for _, tc := range []struct {
		name    string
		answers []reply
		max     string // of the second request; "" for none made
		status  int
		text    string
	}{
		{"clamped by its numbers", []reply{refuse(old), text("fits")}, `"max_tokens":6384,`, 200, "fits"},
		{"prompt alone too long", []reply{refuse(tooBig)}, "", 400, "prompt is too long: 17000 tokens > 16384 maximum"},
		{"counted where the number is a bound", []reply{refuse(atLeast), text("fits")}, fmt.Sprintf(`"max_tokens":%d,`, 16384-counted), 200, "fits"},
		{"counted where there is no number", []reply{refuse(nothing), text("fits")}, fmt.Sprintf(`"max_tokens":%d,`, 16384-counted), 200, "fits"},
		{"limit asked for", []reply{refuse(noLimit), text("fits")}, fmt.Sprintf(`"max_tokens":%d,`, 16384-counted), 200, "fits"},
		{"only once", []reply{refuse(old), refuse(tooBig), text("never")}, `"max_tokens":6384,`, 400, "prompt is too long: 17000 tokens > 16384 maximum"},
		{"second answer is another fault", []reply{refuse(old), {status: 503, body: "busy"}}, `"max_tokens":6384,`, 529, "busy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := newUpstream(t, func(n int, _ string) reply { return tc.answers[n] })
			srv, rec := messagesOn(t, u, proxy.Config{Model: "m"})
			status, _, got := post(t, srv.URL+"/v1/messages", body)
			if status != tc.status || !strings.Contains(got, tc.text) {
				t.Errorf("%d %s", status, got)
			}
			seen := u.seen()
			if tc.max == "" {
				if len(seen) != 1 {
					t.Errorf("asked %d times", len(seen))
				}
				return
			}
			if len(seen) != 2 || !strings.Contains(seen[1], tc.max) {
				t.Fatalf("asked %q, want a second time with %s", seen, tc.max)
			}
			srv.Close()
			if r := rec.list()[0]; tc.status == 200 && (len(r.Repairs) != 1 || r.Repairs[0] != "clamp:max_tokens") {
				t.Errorf("repairs: %v", r.Repairs)
			}
		})
	}
}

// TestOverflowWithoutTokenize leaves the limit to the server where nobody can
// count.
func TestOverflowWithoutTokenize(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if asked = append(asked, r.URL.Path+" "+string(b)); len(asked) < 3 {
			write(w, reply{status: 400, body: errorBody("max_tokens=32000 cannot be greater than max_model_len=16384", "BadRequestError", 400)})
			return
		}
		write(w, text("fits"))
	}))
	defer srv.Close()
	gateway := httptest.NewServer(proxy.NewMessages(proxy.Config{Upstream: mustURL(t, srv.URL)}))
	defer gateway.Close()
	status, _, got := post(t, gateway.URL+"/v1/messages", `{"model":"x","max_tokens":32000,"messages":`+hi+`}`)
	if status != 200 || len(asked) != 3 || strings.Contains(asked[2], "max_tokens") {
		t.Errorf("%d %s\n%q", status, got, asked)
	}
}

func TestCountTokens(t *testing.T) {
	u := newUpstream(t, nil)
	srv, rec := messagesOn(t, u, proxy.Config{Model: "m"})
	want := len(`{"model":"m","add_generation_prompt":true,"messages":[{"role":"user","content":"hi"}]}`)
	if status, _, body := post(t, srv.URL+"/v1/messages/count_tokens", `{"model":"x","messages":`+hi+`}`); status != 200 || body != fmt.Sprintf("{\"input_tokens\":%d}\n", want) {
		t.Errorf("%d %s, want %d", status, body, want)
	}
	if status, _, body := post(t, srv.URL+"/v1/messages/count_tokens", `{}`); status != 400 {
		t.Errorf("%d %s", status, body)
	}
	u.Close()
	// [{"role":"user","content":"hi"}] is 32 bytes, 8 tokens of 3.6.
	if status, _, body := post(t, srv.URL+"/v1/messages/count_tokens", `{"model":"x","messages":`+hi+`}`); status != 200 || body != "{\"input_tokens\":8}\n" {
		t.Errorf("estimate: %d %s", status, body)
	}
	srv.Close()
	if n := len(rec.list()); n != 0 {
		t.Errorf("%d records: counting is no inference", n)
	}
}

func TestOtherPaths(t *testing.T) {
	srv, _ := messagesOn(t, newUpstream(t, nil), proxy.Config{})
	for _, tc := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"HEAD", "/", 200, ""},
		{"GET", "/", 200, "dail"},
		{"HEAD", "/api/hello", 200, ""},
		{"GET", "/api/hello", 200, "dail"},
		{"GET", "/v1/models", 200, `"data":[{"type":"model","id":"m","display_name":"m","created_at":"2023-11-14T22:13:20Z"}],"has_more":false,"first_id":"m"`},
		{"GET", "/v1/messages", 404, "not_found_error"},
		{"POST", "/api/event_logging/batch", 404, "is not served here"},
	} {
		req, err := http.NewRequest(tc.method, srv.URL+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tc.status || !strings.Contains(string(b), tc.text) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, res.StatusCode, b)
		}
	}
}

// TestTurnIsPrefixOfTheNext holds what the server's prefix cache lives on: the
// body of a turn, without its closing brackets, begins the body of the next,
// although the client moves cache_control about and writes the same content
// once as a string and once as blocks.
func TestTurnIsPrefixOfTheNext(t *testing.T) {
	turns := []string{
		`{"role":"user","content":[{"type":"text","text":"build","cache_control":{"type":"ephemeral"}}]}`,
		`{"role":"assistant","content":[{"type":"text","text":"ok"},{"type":"tool_use","id":"a","name":"Bash","input":{"command":"x"}},{"type":"tool_use","id":"b","name":"Bash","input":{"command":"y"}}]}`,
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"2"}],"cache_control":{"type":"ephemeral"}},{"type":"tool_result","tool_use_id":"a","content":"1"}]}`,
		`{"role":"system","content":[{"type":"text","text":"note"}]}`,
		`{"role":"assistant","content":"fine"}`,
		`{"role":"user","content":"go on"}`,
	}
	// What the client does to a turn once it is history.
	history := strings.NewReplacer(
		`,"cache_control":{"type":"ephemeral"}`, "",
		`[{"type":"text","text":"build"}]`, `"build"`,
		`[{"type":"text","text":"2"}]`, `"2"`,
		`[{"type":"text","text":"note"}]`, `"note"`)
	var last string
	for n := 1; n <= len(turns); n++ {
		messages := append([]string{}, turns[:n]...)
		for i := range messages[:n-1] {
			messages[i] = history.Replace(history.Replace(messages[i]))
		}
		got, err := proxy.MessagesToChat([]byte(ask("[" + strings.Join(messages, ",") + "]")))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(got), last) {
			t.Errorf("turn %d:\n%s\ndoes not begin with\n%s", n, got, last)
		}
		last = strings.TrimSuffix(string(got), "]}")
	}
}

func TestSessionsAreForgotten(t *testing.T) {
	gateway := proxy.NewMessages(proxy.Config{Upstream: mustURL(t, "http://upstream"), Transport: canned(text("x").body)})
	for i := range proxy.MaxSessions + 50 {
		req := httptest.NewRequest("POST", "/v1/messages", strings.NewReader(ask(hi)))
		req.Header.Set("X-Claude-Code-Session-Id", fmt.Sprint(i))
		gateway.ServeHTTP(httptest.NewRecorder(), req)
	}
	if n := gateway.Sessions(); n != proxy.MaxSessions {
		t.Errorf("%d sessions remembered, want %d", n, proxy.MaxSessions)
	}
	if gateway.InFlight() != 0 {
		t.Errorf("%d in flight", gateway.InFlight())
	}
}

// canned is a transport that answers each request with the same body.
type canned string

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(c))), ContentLength: int64(len(c)), Request: r}, nil
}

// vLLM repeats the whole request in the errors of its validation. The client
// may read what it sent; a record and a log may not.
func TestNoPromptIsWrittenDown(t *testing.T) {
	message := "1 validation error:\n  {'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, tool_choice is odd', 'input': {'messages': [{'content': 'the secret is xyzzy'}]}}"
	var log strings.Builder
	srv, rec := messagesOn(t, newUpstream(t, func(int, string) reply {
		return reply{status: 400, body: errorBody(message, "Bad Request", 400)}
	}), proxy.Config{Model: "m", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	status, _, body := post(t, srv.URL+"/v1/messages", ask(hi))
	srv.Close()
	if status != 400 || !strings.Contains(body, "tool_choice is odd") || !strings.Contains(rec.list()[0].Error, "tool_choice is odd") || !strings.Contains(log.String(), "tool_choice is odd") {
		t.Errorf("%d %s\n%s\n%s", status, body, rec.list()[0].Error, log.String())
	}
	if strings.Contains(rec.list()[0].Error+log.String(), "xyzzy") {
		t.Errorf("the prompt was written down:\n%s\n%s", rec.list()[0].Error, log.String())
	}
}
