package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/x/dail/internal/fakevllm"
	"github.com/x/dail/proxy"
)

func openaiClient(t *testing.T, url string, more ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(url + "/v1/"), option.WithAPIKey("t"), option.WithHeader("X-Request-Id", "abc"),
		option.WithHTTPClient(client(t)), option.WithMaxRetries(0),
	}, more...)...)
}

var chat = openai.ChatCompletionNewParams{
	Model:    "any-name",
	Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage("hi")},
	Tools: []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather", Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}}),
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "now"}),
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "write"}),
	},
}

// said is a completion, with the reasoning that the SDK has no field for.
type said struct {
	*openai.ChatCompletion
	reasoning string
}

var chatModes = []struct {
	name string
	ask  func(context.Context, openai.Client, openai.ChatCompletionNewParams) (said, error)
}{
	{"stream", func(ctx context.Context, c openai.Client, p openai.ChatCompletionNewParams) (said, error) {
		p.StreamOptions.IncludeUsage = openai.Bool(true)
		return drainChat(c.Chat.Completions.NewStreaming(ctx, p))
	}},
	{"whole", func(ctx context.Context, c openai.Client, p openai.ChatCompletionNewParams) (said, error) {
		done, err := c.Chat.Completions.New(ctx, p)
		if err != nil {
			return said{}, err
		}
		return said{done, text(done.Choices[0].Message.JSON.ExtraFields["reasoning"].Raw())}, nil
	}},
}

type chunks interface {
	Next() bool
	Current() openai.ChatCompletionChunk
	Err() error
	Close() error
}

// drainChat reads a stream to its end with the SDK's own accumulator.
func drainChat(s chunks) (said, error) {
	defer s.Close()
	acc := &openai.ChatCompletionAccumulator{}
	reasoning := ""
	for s.Next() {
		c := s.Current()
		if !acc.AddChunk(c) {
			return said{}, errors.New("the SDK refuses the chunk " + c.RawJSON())
		}
		for _, choice := range c.Choices {
			extra := choice.Delta.JSON.ExtraFields
			if text(extra["reasoning"].Raw()) != text(extra["reasoning_content"].Raw()) {
				return said{}, errors.New("reasoning has two texts: " + c.RawJSON())
			}
			reasoning += text(extra["reasoning"].Raw())
		}
	}
	return said{&acc.ChatCompletion, reasoning}, s.Err()
}

// text is a JSON string's value, "" for anything else.
func text(raw string) (s string) {
	if json.Unmarshal([]byte(raw), &s) != nil {
		return ""
	}
	return s
}

func TestOpenAIAnswers(t *testing.T) {
	for _, tc := range answers {
		for _, mode := range chatModes {
			t.Run(tc.name+"/"+mode.name, func(t *testing.T) {
				url, _ := stand(t, destream, always(tc.reply), nil)
				done, err := mode.ask(t.Context(), openaiClient(t, url), chat)
				if err != nil {
					t.Fatal(err)
				}
				checkCompletion(t, tc, done)
			})
		}
	}
}

func checkCompletion(t *testing.T, want answer, got said) {
	t.Helper()
	if len(got.Choices) != 1 {
		t.Fatalf("%d choices", len(got.Choices))
	}
	c := got.Choices[0]
	if c.Message.Content != want.text || got.reasoning != want.reasoning || c.FinishReason != want.finish || string(c.Message.Role) != "assistant" || got.ID == "" {
		t.Errorf("%+v, reasoning %q; want %q, %q, %q", c, got.reasoning, want.text, want.reasoning, want.finish)
	}
	if len(c.Message.ToolCalls) != len(want.calls) {
		t.Fatalf("%d calls, want %d", len(c.Message.ToolCalls), len(want.calls))
	}
	for i, call := range c.Message.ToolCalls {
		if got := (fakevllm.Call{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments}); got != want.calls[i] {
			t.Errorf("call %d: %+v, want %+v", i, got, want.calls[i])
		}
	}
	u := got.Usage
	if u.PromptTokens != fakevllm.PromptTokens || u.CompletionTokens != fakevllm.OutputTokens || u.TotalTokens != fakevllm.PromptTokens+fakevllm.OutputTokens || u.PromptTokensDetails.CachedTokens != fakevllm.CachedTokens {
		t.Errorf("usage: %+v", u)
	}
}

func TestOpenAINextTurn(t *testing.T) {
	for _, mode := range chatModes {
		t.Run(mode.name, func(t *testing.T) {
			three := answers[len(answers)-1]
			url, u := stand(t, destream, func(n int, _ fakevllm.Request) fakevllm.Reply {
				if n == 0 {
					return three.reply
				}
				return fakevllm.Text("done")
			}, nil)
			c := openaiClient(t, url)
			first, err := mode.ask(t.Context(), c, chat)
			if err != nil {
				t.Fatal(err)
			}
			assistant := first.Choices[0].Message.ToAssistantMessageParam()
			assistant.SetExtraFields(map[string]any{"reasoning": first.reasoning})
			next := chat
			next.Messages = append(append([]openai.ChatCompletionMessageParamUnion{}, chat.Messages...), openai.ChatCompletionMessageParamUnion{OfAssistant: &assistant})
			for _, call := range first.Choices[0].Message.ToolCalls {
				next.Messages = append(next.Messages, openai.ToolMessage("result of "+call.Function.Name, call.ID))
			}
			next.Messages = append(next.Messages, openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.TextContentPart("look"),
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64,iVBORw0KGgo="}),
			}))
			if done, err := mode.ask(t.Context(), c, next); err != nil || done.Choices[0].Message.Content != "done" {
				t.Fatalf("%+v, %v", done, err)
			}
			checkHistory(t, u.Requests()[1].Body, three)
		})
	}
}

func TestOpenAIErrors(t *testing.T) {
	for _, tc := range faults {
		for _, mode := range chatModes {
			t.Run(tc.name+"/"+mode.name, func(t *testing.T) {
				message := tc.message
				if tc.plainMessage != "" {
					message = tc.plainMessage
				}
				url, _ := stand(t, destream, always(tc.reply), nil)
				_, err := mode.ask(t.Context(), openaiClient(t, url), chat)
				e := checkOpenAIError(t, err, tc.status, message)
				if got := e.Response.Header.Get("Retry-After"); got != tc.retryAfter {
					t.Errorf("Retry-After %q, want %q", got, tc.retryAfter)
				}
			})
		}
	}
}

func TestOpenAIRefusals(t *testing.T) {
	nobody := func(string) (proxy.Caller, bool) { return proxy.Caller{}, false }
	for _, tc := range []struct {
		name    string
		edit    func(*proxy.Config)
		status  int
		message string
	}{
		{"unknown token", func(c *proxy.Config) { c.Identify = nobody }, 401, "the token is absent, unknown or revoked"},
		{"body too long", func(c *proxy.Config) { c.BodyLimit = 10 }, 413, "longer than 10 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, u := stand(t, destream, always(fakevllm.Text("never")), tc.edit)
			for _, mode := range chatModes {
				_, err := mode.ask(t.Context(), openaiClient(t, url), chat)
				checkOpenAIError(t, err, tc.status, tc.message)
			}
			if n := len(u.Requests()); n != 0 {
				t.Errorf("%d requests reached the server", n)
			}
		})
	}
}

func checkOpenAIError(t *testing.T, err error, status int, message string) *openai.Error {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v is no *openai.Error", err, err)
	}
	if e.StatusCode != status || !strings.Contains(e.Message, message) || e.Type == "" || e.Code == "" {
		t.Errorf("%d %s %s %q; want %d %q", e.StatusCode, e.Type, e.Code, e.Message, status, message)
	}
	if id := e.Response.Header.Get("X-Request-Id"); id != "abc" {
		t.Errorf("request id %q", id)
	}
	return e
}

func TestOpenAIErrorInTheStream(t *testing.T) {
	for _, tc := range []struct {
		name, message string
		reply         fakevllm.Reply
	}{
		{"engine full", "the engine is full", fakevllm.Fault(503, "ServiceUnavailable", "the engine is full")},
		{"connection cut", "broke off", fakevllm.Reply{Body: fakevllm.Text("x").Body, BreakOff: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hold := make(chan struct{})
			tc.reply.Hold = hold
			url, _ := stand(t, destream, always(tc.reply), func(c *proxy.Config) { c.HeaderWait = -1 })
			c := openaiClient(t, url)
			s := c.Chat.Completions.NewStreaming(t.Context(), chat)
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
			close(hold)
			if _, err := drainChat(s); err == nil || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("the client heard %v, want %q", err, tc.message)
			}
		})
	}
}

func TestOpenAIIgnoresComments(t *testing.T) {
	ear := &tap{RoundTripper: client(t).Transport, want: ": keep-alive\n", n: 3, seen: make(chan struct{})}
	reply := answers[len(answers)-1].reply
	reply.Hold = ear.seen
	url, _ := stand(t, destream, always(reply), func(c *proxy.Config) { c.HeaderWait, c.KeepAlive = -1, time.Millisecond })
	done, err := chatModes[0].ask(t.Context(), openaiClient(t, url, option.WithHTTPClient(&http.Client{Transport: ear})), chat)
	if err != nil {
		t.Fatal(err)
	}
	checkCompletion(t, answers[len(answers)-1], done)
}

func TestOpenAICancellation(t *testing.T) {
	for _, tc := range []struct {
		name string
		wait time.Duration
		mode int
	}{{"stream, before the header", time.Hour, 0}, {"stream, after it", -1, 0}, {"whole", 0, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			reply := fakevllm.Text("never")
			reply.Hold = make(chan struct{})
			url, u := stand(t, destream, always(reply), func(c *proxy.Config) { c.HeaderWait = tc.wait })
			ctx, cancel := context.WithCancel(t.Context())
			c := openaiClient(t, url)
			failed := make(chan error, 1)
			go func() { _, err := chatModes[tc.mode].ask(ctx, c, chat); failed <- err }()
			arrives(t, "the request at the server", u.Asked())
			cancel()
			arrives(t, "the client's leaving at the server", u.Gone())
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("the client heard %v", err)
			}
		})
	}
}

// TestOpenAIModels passes through the gateway to the server.
func TestOpenAIModels(t *testing.T) {
	url, _ := stand(t, destream, nil, nil)
	c := openaiClient(t, url)
	list, err := c.Models.List(t.Context())
	if err != nil || len(list.Data) != 1 || list.Data[0].ID != fakevllm.Model {
		t.Errorf("%+v, %v", list, err)
	}
}
