package vllmcontract_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// fault is vLLM's form of an error.
type fault struct {
	Message, Type string
	Param         *string
	Code          int
}

// refused reads an error of the given status.
func refused(r reply, status int) (*fault, error) {
	var e struct{ Error *fault }
	if r.err != nil || r.status != status {
		return nil, fmt.Errorf("want status %d, got %v", status, r)
	}
	if err := json.Unmarshal(r.body, &e); err != nil || e.Error == nil || e.Error.Message == "" || e.Error.Code != status {
		return nil, fmt.Errorf("want a nested error with code %d, got %v", status, r)
	}
	return e.Error, nil
}

// refusal is a term of a request that is refused; param is "" for none.
func refusal(name, path, body string, status int, kind, param, message string) term {
	return term{name: name, test: func(ctx context.Context, s *server) error {
		e, err := refused(s.do(ctx, "POST", path, strings.ReplaceAll(body, "MODEL", s.model), nil), status)
		if err != nil {
			return err
		}
		got := ""
		if e.Param != nil {
			got = *e.Param
		}
		if e.Type != kind || got != param || !regexp.MustCompile(message).MatchString(e.Message) {
			return fmt.Errorf("want %s, param %q, message %s; got %s, param %q, message %s", kind, param, message, e.Type, got, e.Message)
		}
		return nil
	}}
}

const (
	chatPath = "/v1/chat/completions"
	pixel    = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

var errorTerms = []term{
	refusal("an unknown model is 404", chatPath, `{"model":"other","messages":[{"role":"user","content":"hi"}]}`,
		http.StatusNotFound, "NotFoundError", "model", "^The model `other` does not exist.$"),
	// What is wrong with the request's form has the status' name as its type.
	refusal("broken JSON is 400", chatPath, `{"model":"MODEL","mess`,
		http.StatusBadRequest, "Bad Request", "", `^1 validation error:(?s).*JSON`),
	refusal("a wrong type is 400", chatPath, `{"model":"MODEL","messages":"hi"}`,
		http.StatusBadRequest, "Bad Request", "", `^1 validation error:\s.*messages.*list`),
	refusal("missing messages are 400", chatPath, `{"model":"MODEL"}`,
		http.StatusBadRequest, "Bad Request", "", `^1 validation error:\s.*messages`),
	refusal("stream_options need a stream", chatPath, `{"model":"MODEL","stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`,
		http.StatusBadRequest, "Bad Request", "stream_options", "Stream options can only be defined when `stream=True`."),
	refusal("tool_choice needs tools", chatPath, `{"model":"MODEL","tool_choice":"required","messages":[{"role":"user","content":"hi"}]}`,
		http.StatusBadRequest, "Bad Request", "tool_choice", "When using `tool_choice`, `tools` must be set."),
	refusal("tool_choice names a tool of the request", chatPath, weather.with("model", "MODEL", "tool_choice", named("other")).json(),
		http.StatusBadRequest, "Bad Request", "tool_choice", "The tool specified in `tool_choice` does not match any of the specified `tools`"),
	refusal("a text model refuses an image", chatPath, `{"model":"MODEL","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"`+pixel+`"}}]}]}`,
		http.StatusBadRequest, "BadRequestError", "", "^tiny is not a multimodal model$"),
	{name: "an unknown path is FastAPI's 404", test: func(ctx context.Context, s *server) error {
		if r := s.do(ctx, "GET", "/v1/nothing", "", nil); r.status != http.StatusNotFound || string(r.body) != `{"detail":"Not Found"}` {
			return fmt.Errorf("%v", r)
		}
		return nil
	}},
	{name: "a wrong method is FastAPI's 405", test: func(ctx context.Context, s *server) error {
		if r := s.do(ctx, "GET", chatPath, "", nil); r.status != http.StatusMethodNotAllowed || string(r.body) != `{"detail":"Method Not Allowed"}` {
			return fmt.Errorf("%v", r)
		}
		return nil
	}},
	// vLLM's message repeats the whole request, prompt and all.
	{name: "the gateway writes down no prompt that an error repeats", test: func(ctx context.Context, s *server) error {
		return s.messages(func(g *gateway) error {
			r := g.post(ctx, "/v1/messages", object{
				"max_tokens": 8, "messages": user("the secret is xyzzy"),
				"tools": []object{{"name": "a", "input_schema": object{"type": "object"}}}, "tool_choice": object{"type": "tool", "name": "b"},
			})
			if r.err != nil || r.status != http.StatusBadRequest || !strings.Contains(string(r.body), "does not match any of the specified `tools`") || strings.Contains(string(r.body), "xyzzy") {
				return fmt.Errorf("%v", r)
			}
			records, log := g.seen()
			if len(records) != 1 || records[0].Error == "" || strings.Contains(records[0].Error, "xyzzy") || strings.Contains(log, "xyzzy") {
				return fmt.Errorf("it wrote down %+v\n%s", records, log)
			}
			return nil
		})
	}},
}

// long is n words, each a token or more.
func long(n int) []object { return user(strings.Repeat("word ", n)) }

// overflowTerm is a request that does not fit; its message must be vLLM's.
func overflowTerm(name string, body object, param, message string) term {
	return term{name: name, test: func(ctx context.Context, s *server) error {
		e, err := refused(s.chat(ctx, body), http.StatusBadRequest)
		if err != nil {
			return err
		}
		if e.Type != "BadRequestError" || e.Param == nil || *e.Param != param || !regexp.MustCompile("^"+message+"$").MatchString(e.Message) {
			return fmt.Errorf("got %s\nwant %s", e.Message, message)
		}
		return nil
	}}
}

// clampTerm is a request through the gateway for more than fits beside its
// prompt: it is answered. The answer ends at its first e, or what is random
// would not end.
func clampTerm(name string, maxTokens int, messages []object) term {
	return term{name: name, test: func(ctx context.Context, s *server) error {
		return s.messages(func(g *gateway) error {
			r := g.post(ctx, "/v1/messages", object{"max_tokens": maxTokens, "stop_sequences": []string{"e"}, "messages": messages})
			var m struct {
				Type       string
				StopReason string `json:"stop_reason"`
				Usage      struct {
					Output int `json:"output_tokens"`
				}
			}
			if r.err != nil || r.status != http.StatusOK || json.Unmarshal(r.body, &m) != nil || m.Type != "message" || m.StopReason == "" || m.Usage.Output < 1 {
				return fmt.Errorf("%v", r)
			}
			if records, _ := g.seen(); len(records) != 1 || len(records[0].Repairs) != 1 || !strings.Contains(records[0].Repairs[0], "max_tokens") {
				return fmt.Errorf("no clamp in %+v", records)
			}
			return nil
		})
	}}
}

const tail = ` Please reduce the length of the input prompt or the number of requested output tokens\.`

var overflowTerms = []term{
	overflowTerm("an overflow by the prompt says where it stopped counting", object{"messages": long(60_000), "max_tokens": 4}, "input_tokens",
		`This model's maximum context length is 40960 tokens\. However, you requested 4 output tokens and your prompt contains at least 40957 input tokens, for a total of at least 40961 tokens\.`+tail+` \(parameter=input_tokens, value=40957\)`),
	overflowTerm("an overflow without max_tokens wants nothing", object{"messages": long(60_000)}, "input_tokens",
		`This model's maximum context length is 40960 tokens\. However, you requested 0 output tokens and your prompt contains at least 40961 input tokens, for a total of at least 40961 tokens\.`+tail+` \(parameter=input_tokens, value=40961\)`),
	overflowTerm("an overflow by max_tokens says the same", object{"messages": long(40), "max_tokens": 40_950}, "input_tokens",
		`This model's maximum context length is 40960 tokens\. However, you requested 40950 output tokens and your prompt contains at least 11 input tokens, for a total of at least 40961 tokens\.`+tail+` \(parameter=input_tokens, value=11\)`),
	overflowTerm("a max_tokens of the whole context counts characters", object{"messages": user("hi"), "max_tokens": 40_960}, "input_text",
		`This model's maximum context length is 40960 tokens\. However, you requested 40960 output tokens and your prompt contains \d+ characters \(more than 0 characters, which is the upper bound for 0 input tokens\)\.`+tail+` \(parameter=input_text, value=\d+\)`),
	overflowTerm("a max_tokens beyond the context is refused for itself", object{"messages": user("hi"), "max_tokens": 400_000}, "max_tokens",
		`max_tokens=400000 cannot be greater than max_model_len=max_total_tokens=40960\. Please request fewer output tokens\. \(parameter=max_tokens, value=400000\)`),
	clampTerm("the gateway clamps a max_tokens that leaves the prompt no room", 40_950, long(40)),
	clampTerm("the gateway clamps a max_tokens of the whole context", 40_960, user("hi")),
	clampTerm("the gateway clamps a max_tokens beyond the context", 400_000, user("hi")),
	{name: "the gateway says how long a prompt is that is too long", test: func(ctx context.Context, s *server) error {
		want, err := s.count(ctx, long(60_000))
		if err != nil {
			return err
		}
		return s.messages(func(g *gateway) error {
			for _, stream := range []bool{false, true} {
				r := g.post(ctx, "/v1/messages", object{"max_tokens": 4096, "stream": stream, "messages": long(60_000)})
				var e struct {
					Error struct{ Type, Message string }
				}
				message := fmt.Sprintf("prompt is too long: %d tokens > %d maximum", want, s.context)
				if r.status != http.StatusBadRequest || json.Unmarshal(r.body, &e) != nil || e.Error.Type != "invalid_request_error" || e.Error.Message != message {
					return fmt.Errorf("want %s, got %v", message, r)
				}
			}
			return nil
		})
	}},
	{name: "the gateway counts as the server does", test: func(ctx context.Context, s *server) error {
		want, err := s.count(ctx, user("How many?"))
		if err != nil {
			return err
		}
		return s.messages(func(g *gateway) error {
			var n struct {
				Input int `json:"input_tokens"`
			}
			r := g.post(ctx, "/v1/messages/count_tokens", object{"messages": user("How many?")})
			if r.status != http.StatusOK || json.Unmarshal(r.body, &n) != nil || n.Input != want {
				return fmt.Errorf("want %d, got %v", want, r)
			}
			return nil
		})
	}},
}
