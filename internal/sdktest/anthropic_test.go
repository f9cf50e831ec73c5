package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/x/dail/internal/fakevllm"
	"github.com/x/dail/proxy"
)

func anthropicClient(t *testing.T, url string, more ...option.RequestOption) anthropic.Client {
	return anthropic.NewClient(append([]option.RequestOption{
		option.WithoutEnvironmentDefaults(), option.WithBaseURL(url), option.WithAuthToken("t"),
		option.WithHTTPClient(client(t)), option.WithMaxRetries(0),
	}, more...)...)
}

var turn = anthropic.MessageNewParams{
	Model: "any-name", MaxTokens: 1000,
	System:   []anthropic.TextBlockParam{{Text: "Be brief."}},
	Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
	Tools: []anthropic.ToolUnionParam{
		anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{Properties: map[string]any{"city": map[string]any{"type": "string"}}}, "weather"),
		anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{}, "now"),
		anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{}, "write"),
	},
}

// modes are the two ways to ask; both must give the same message.
var modes = []struct {
	name string
	ask  func(context.Context, anthropic.Client, anthropic.MessageNewParams) (*anthropic.Message, error)
}{
	{"stream", func(ctx context.Context, c anthropic.Client, p anthropic.MessageNewParams) (*anthropic.Message, error) {
		return drain(c.Messages.NewStreaming(ctx, p))
	}},
	{"whole", func(ctx context.Context, c anthropic.Client, p anthropic.MessageNewParams) (*anthropic.Message, error) {
		return c.Messages.New(ctx, p)
	}},
}

type events interface {
	Next() bool
	Current() anthropic.MessageStreamEventUnion
	Err() error
	Close() error
}

// drain reads a stream to its end with the SDK's own accumulator.
func drain(s events) (*anthropic.Message, error) {
	defer s.Close()
	var m anthropic.Message
	ended := false
	for s.Next() {
		e := s.Current()
		if err := m.Accumulate(e); err != nil {
			return nil, err
		}
		ended = ended || e.Type == "message_stop"
	}
	if err := s.Err(); err != nil {
		return &m, err
	}
	if !ended {
		return &m, errors.New("the stream ended without message_stop")
	}
	return &m, nil
}

func TestAnthropicAnswers(t *testing.T) {
	for _, tc := range answers {
		for _, mode := range modes {
			t.Run(tc.name+"/"+mode.name, func(t *testing.T) {
				url, _ := stand(t, messages, always(tc.reply), nil)
				m, err := mode.ask(t.Context(), anthropicClient(t, url), turn)
				if err != nil {
					t.Fatal(err)
				}
				checkMessage(t, tc, m)
			})
		}
	}
}

func checkMessage(t *testing.T, want answer, m *anthropic.Message) {
	t.Helper()
	var text, thinking string
	var calls []fakevllm.Call
	for i, b := range m.Content {
		switch b := b.AsAny().(type) {
		case anthropic.ThinkingBlock:
			if i != 0 || b.Signature == "" {
				t.Errorf("block %d is thinking, signature %q: it must come first, and signed", i, b.Signature)
			}
			thinking += b.Thinking
		case anthropic.TextBlock:
			text += b.Text
		case anthropic.ToolUseBlock:
			calls = append(calls, fakevllm.Call{ID: b.ID, Name: b.Name, Arguments: string(b.Input)})
		default:
			t.Errorf("block %d is a %T", i, b)
		}
	}
	if text != want.text || thinking != want.reasoning || string(m.StopReason) != want.stop || m.Model != "any-name" || m.Role != "assistant" || m.ID == "" {
		t.Errorf("text %q, thinking %q, stop %q; want %q, %q, %q\n%s", text, thinking, m.StopReason, want.text, want.reasoning, want.stop, m.RawJSON())
	}
	ids := map[string]bool{}
	if len(calls) != len(want.calls) {
		t.Fatalf("%d calls, want %d", len(calls), len(want.calls))
	}
	for i, c := range calls {
		if c.Name != want.calls[i].Name || c.Arguments != want.calls[i].Arguments || ids[c.ID] || !strings.HasPrefix(c.ID, "toolu_") {
			t.Errorf("call %d: %+v, want %+v with an id of its own", i, c, want.calls[i])
		}
		ids[c.ID] = true
	}
	u := m.Usage
	if u.InputTokens != fakevllm.PromptTokens-fakevllm.CachedTokens || u.CacheReadInputTokens != fakevllm.CachedTokens || u.CacheCreationInputTokens != 0 || u.OutputTokens != fakevllm.OutputTokens {
		t.Errorf("usage: %s", u.RawJSON())
	}
}

// TestAnthropicNextTurn hands the model's message back with the results, as an
// agent does, and looks at what the server is then asked.
func TestAnthropicNextTurn(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			three := answers[len(answers)-1]
			url, u := stand(t, messages, func(n int, _ fakevllm.Request) fakevllm.Reply {
				if n == 0 {
					return three.reply
				}
				return fakevllm.Text("done")
			}, nil)
			c := anthropicClient(t, url)
			m, err := mode.ask(t.Context(), c, turn)
			if err != nil {
				t.Fatal(err)
			}
			var results []anthropic.ContentBlockParamUnion
			for _, b := range m.Content {
				if call, ok := b.AsAny().(anthropic.ToolUseBlock); ok {
					// In the order in which they ended: the last one first.
					results = append([]anthropic.ContentBlockParamUnion{anthropic.NewToolResultBlock(call.ID, "result of "+call.Name, call.Name == "now")}, results...)
				}
			}
			next := turn
			next.Messages = append(append([]anthropic.MessageParam{}, turn.Messages...), m.ToParam(),
				anthropic.NewUserMessage(append(results, anthropic.NewImageBlockBase64("image/png", "iVBORw0KGgo="))...))
			if m, err = mode.ask(t.Context(), c, next); err != nil || m.Content[0].Text != "done" {
				t.Fatalf("%+v, %v", m, err)
			}
			seen := u.Requests()
			if len(seen) != 2 || !strings.HasPrefix(seen[1].Body, strings.TrimSuffix(seen[0].Body, "]}")) {
				t.Errorf("the second request does not begin with the first:\n%s\n%s", seen[0].Body, seen[1].Body)
			}
			checkHistory(t, seen[1].Body, three)
		})
	}
}

// checkHistory reads the server's request: the calls as the model made them,
// one result for each in the order of the calls, and the image.
func checkHistory(t *testing.T, body string, want answer) {
	t.Helper()
	var req struct {
		Messages []struct {
			Role       string
			Content    any
			ToolCallID string `json:"tool_call_id"`
			Reasoning  string
			ToolCalls  []struct {
				ID       string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal([]byte(body), &req); err != nil {
		t.Fatal(err)
	}
	for i, m := range req.Messages {
		if m.Role != "assistant" {
			continue
		}
		if m.Content != want.text || m.Reasoning != want.reasoning || len(m.ToolCalls) != len(want.calls) {
			t.Fatalf("the model's own message came back as %+v", m)
		}
		for k, call := range m.ToolCalls {
			// Go's JSON writes < as \u003c: the SDK's own doing, not the gateway's.
			arguments := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(call.Function.Arguments)
			if call.Function.Name != want.calls[k].Name || arguments != want.calls[k].Arguments {
				t.Errorf("call %d came back as %+v, want %+v", k, call, want.calls[k])
			}
			r := req.Messages[i+1+k]
			if text, _ := r.Content.(string); r.Role != "tool" || r.ToolCallID != call.ID || !strings.HasSuffix(text, "result of "+call.Function.Name) {
				t.Errorf("result %d is %+v, want that of %s", k, r, call.ID)
			}
		}
		if !strings.Contains(body, `"url":"data:image/png;base64,iVBORw0KGgo="`) {
			t.Errorf("the image is missing:\n%s", body)
		}
		return
	}
	t.Errorf("no message of the assistant:\n%s", body)
}

func TestAnthropicErrors(t *testing.T) {
	for _, tc := range faults {
		for _, mode := range modes {
			t.Run(tc.name+"/"+mode.name, func(t *testing.T) {
				url, _ := stand(t, messages, always(tc.reply), nil)
				_, err := mode.ask(t.Context(), anthropicClient(t, url), turn)
				checkAnthropicError(t, err, tc.status, tc.kind, tc.message)
				var e *anthropic.Error
				if errors.As(err, &e) && e.Response.Header.Get("Retry-After") != tc.retryAfter {
					t.Errorf("Retry-After %q, want %q", e.Response.Header.Get("Retry-After"), tc.retryAfter)
				}
			})
		}
	}
}

// TestAnthropicRefusals are the gateway's own errors.
func TestAnthropicRefusals(t *testing.T) {
	nobody := func(string) (proxy.Caller, bool) { return proxy.Caller{}, false }
	for _, tc := range []struct {
		name    string
		edit    func(*proxy.Config)
		status  int
		kind    string
		message string
	}{
		{"unknown token", func(c *proxy.Config) { c.Identify = nobody }, 401, "authentication_error", "the token is absent, unknown or revoked"},
		{"body too long", func(c *proxy.Config) { c.BodyLimit = 10 }, 413, "request_too_large", "longer than 10 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, u := stand(t, messages, always(fakevllm.Text("never")), tc.edit)
			c := anthropicClient(t, url)
			for _, mode := range modes {
				_, err := mode.ask(t.Context(), c, turn)
				checkAnthropicError(t, err, tc.status, tc.kind, tc.message)
			}
			_, err := c.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "x", Messages: turn.Messages})
			checkAnthropicError(t, err, tc.status, tc.kind, tc.message)
			if n := len(u.Requests()); n != 0 {
				t.Errorf("%d requests reached the server", n)
			}
		})
	}
	url, _ := stand(t, messages, always(fakevllm.Text("never")), nil)
	c := anthropicClient(t, url)
	_, err := c.Beta.Files.List(t.Context(), anthropic.BetaFileListParams{})
	checkAnthropicError(t, err, 404, "not_found_error", "is not served here")
}

func checkAnthropicError(t *testing.T, err error, status int, kind, message string) {
	t.Helper()
	var e *anthropic.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v is no *anthropic.Error", err, err)
	}
	if e.StatusCode != status || string(e.Type()) != kind || !strings.Contains(e.RawJSON(), message) {
		t.Errorf("%d %s %s; want %d %s %q", e.StatusCode, e.Type(), e.RawJSON(), status, kind, message)
	}
	if e.RequestID == "" || !strings.Contains(e.Error(), e.RequestID) {
		t.Errorf("no request id: %v", e)
	}
}

// TestAnthropicErrorInTheStream: the header has been sent, then the server fails.
func TestAnthropicErrorInTheStream(t *testing.T) {
	for _, tc := range []struct {
		name, kind, message string
		reply               fakevllm.Reply
	}{
		{"engine full", "overloaded_error", "the engine is full", fakevllm.Fault(503, "ServiceUnavailable", "the engine is full")},
		{"engine dead", "api_error", "EngineDeadError", fakevllm.Fault(500, "InternalServerError", "EngineDeadError")},
		{"connection cut", "api_error", "broke off", fakevllm.Reply{Body: fakevllm.Text("x").Body, BreakOff: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hold := make(chan struct{})
			tc.reply.Hold = hold
			url, _ := stand(t, messages, always(tc.reply), func(c *proxy.Config) { c.HeaderWait = -1 })
			c := anthropicClient(t, url)
			s := c.Messages.NewStreaming(t.Context(), turn)
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
			close(hold)
			_, err := drain(s)
			checkAnthropicError(t, err, 200, tc.kind, tc.message)
		})
	}
}

func TestAnthropicIgnoresPings(t *testing.T) {
	ear := &tap{RoundTripper: client(t).Transport, want: "event: ping\n", n: 3, seen: make(chan struct{})}
	reply := answers[len(answers)-1].reply
	reply.Hold = ear.seen
	url, _ := stand(t, messages, always(reply), func(c *proxy.Config) { c.HeaderWait, c.KeepAlive = -1, time.Millisecond })
	c := anthropicClient(t, url, option.WithHTTPClient(&http.Client{Transport: ear}))
	m, err := drain(c.Messages.NewStreaming(t.Context(), turn))
	if err != nil {
		t.Fatal(err)
	}
	checkMessage(t, answers[len(answers)-1], m)
}

func TestAnthropicCancellation(t *testing.T) {
	for _, tc := range []struct {
		name string
		wait time.Duration
		mode int
	}{{"stream, before the header", time.Hour, 0}, {"stream, after it", -1, 0}, {"whole", 0, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			reply := fakevllm.Text("never")
			reply.Hold = make(chan struct{})
			url, u := stand(t, messages, always(reply), func(c *proxy.Config) { c.HeaderWait = tc.wait })
			ctx, cancel := context.WithCancel(t.Context())
			c := anthropicClient(t, url)
			failed := make(chan error, 1)
			go func() { _, err := modes[tc.mode].ask(ctx, c, turn); failed <- err }()
			arrives(t, "the request at the server", u.Asked())
			cancel()
			arrives(t, "the client's leaving at the server", u.Gone())
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("the client heard %v", err)
			}
		})
	}
}

func TestAnthropicCountTokensAndModels(t *testing.T) {
	url, _ := stand(t, messages, nil, nil)
	c := anthropicClient(t, url)
	n, err := c.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "x", Messages: turn.Messages})
	if err != nil || n.InputTokens != fakevllm.Count {
		t.Errorf("%+v, %v; want the server's %d", n, err, fakevllm.Count)
	}
	list, err := c.Models.List(t.Context(), anthropic.ModelListParams{})
	if err != nil || len(list.Data) != 1 || list.Data[0].ID != fakevllm.Model || list.Data[0].CreatedAt.Unix() != 1700000000 {
		t.Errorf("%+v, %v", list, err)
	}
}
