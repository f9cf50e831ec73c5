package sim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

const tape = `
phases:
  - id: build
    turns:
      - text: "I look first."
        calls:
          - tool: Bash
            input: {command: "cat missing", n: 2, deep: {list: [1.5, true, null, "{{cwd}}"]}}
            expect: error
      - calls:
          - tool: Write
            input: {file_path: "{{cwd}}/a.ts", content: "x < y && \"z\"\n"}
          - tool: Read
            input: {file_path: "{{cwd}}/a.ts"}
      - text: |
          Built in {{cwd}}.
  - id: review
    turns:
      - text: Looks good.
`

var scenario = []compose.Phase{{ID: "build", Prompt: "Build the thing.\n"}, {ID: "review", Prompt: "Review the thing."}}

func loadTape(t testing.TB, content string, phases []compose.Phase) (*sim.Cassette, error) {
	t.Helper()
	return sim.LoadCassette(fstest.MapFS{"tape.yaml": {Data: []byte(content)}}, "tape.yaml", phases)
}

// conversation builds chat requests turn by turn, as an agent's gateway does.
type conversation struct {
	Model    string           `json:"model"`
	Messages []map[string]any `json:"messages"`
	Tools    []map[string]any `json:"tools"`
}

func newConversation(prompt string, tools ...string) *conversation {
	c := &conversation{Model: "m", Messages: []map[string]any{
		{"role": "system", "content": "You are an agent.\n - Primary working directory: /work/o'b \"q\"\n - Platform: linux"},
		{"role": "user", "content": []map[string]any{{"type": "text", "text": "<system-reminder>"}, {"type": "text", "text": prompt}}},
	}}
	for _, name := range tools {
		c.Tools = append(c.Tools, map[string]any{"type": "function", "function": map[string]any{"name": name, "parameters": map[string]any{}}})
	}
	return c
}

func (c *conversation) body() string {
	raw, _ := json.Marshal(c)
	return string(raw)
}

type chatReply struct {
	Choices []struct {
		Message struct {
			Content   *string
			ToolCalls []struct {
				ID       string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		PromptTokens        int `json:"prompt_tokens"`
		CompletionTokens    int `json:"completion_tokens"`
		PromptTokensDetails *struct {
			CachedTokens int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
}

// say sends the conversation and takes the answer into it, with a result for
// each call in turn.
func (c *conversation) say(t *testing.T, s *sim.Server, results ...string) chatReply {
	t.Helper()
	w := do(s, "POST", "/v1/chat/completions", c.body())
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var r chatReply
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Choices []struct{ Message map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &raw); err != nil {
		t.Fatal(err)
	}
	m := raw.Choices[0].Message
	c.Messages = append(c.Messages, map[string]any{"role": "assistant", "content": m["content"], "tool_calls": m["tool_calls"]})
	calls := r.Choices[0].Message.ToolCalls
	if len(calls) != len(results) {
		t.Fatalf("%d calls, want %d: %s", len(calls), len(results), w.Body)
	}
	for i, result := range results {
		c.Messages = append(c.Messages, map[string]any{"role": "tool", "tool_call_id": calls[i].ID, "content": result})
	}
	return r
}

func TestCassettePlays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tape, err := loadTape(t, tape, scenario)
		if err != nil {
			t.Fatal(err)
		}
		s := newServer(t, fixed, tape)
		defer s.Close()
		c := newConversation("Build the thing.", "Bash", "Read", "Write")

		first := c.say(t, s, "Exit code 1\ncat: missing: No such file or directory")
		m := first.Choices[0].Message
		if got := *m.Content; got != "I look first." {
			t.Errorf("text %q", got)
		}
		want := `{"command":"cat missing","deep":{"list":[1.5,true,null,"/work/o'b \"q\""]},"n":2}`
		if diff := cmp.Diff(want, m.ToolCalls[0].Function.Arguments); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
		if got := first.Choices[0].FinishReason; got != "tool_calls" {
			t.Errorf("finish_reason %q, want tool_calls", got)
		}

		second := c.say(t, s, "File created", "     1\tx < y")
		if second.Choices[0].Message.Content != nil {
			t.Errorf("a turn without text has content %q, want null", *second.Choices[0].Message.Content)
		}
		var write struct {
			Path    string `json:"file_path"`
			Content string
		}
		if err := json.Unmarshal([]byte(second.Choices[0].Message.ToolCalls[0].Function.Arguments), &write); err != nil {
			t.Fatal(err)
		}
		if write.Path != `/work/o'b "q"/a.ts` || write.Content != "x < y && \"z\"\n" {
			t.Errorf("wrote %+v", write)
		}

		third := c.say(t, s)
		if got, want := *third.Choices[0].Message.Content, `Built in /work/o'b "q".`; got != want {
			t.Errorf("text %q, want %q", got, want)
		}
		if got := third.Choices[0].FinishReason; got != "stop" {
			t.Errorf("finish_reason %q, want stop", got)
		}

		// The history, the answers in it included, is in the prefix cache up
		// to the last whole block.
		d := third.Usage.PromptTokensDetails
		if d == nil || d.CachedTokens < second.Usage.PromptTokens+second.Usage.CompletionTokens-17 {
			t.Errorf("cached %+v of %d, after a turn with %d prompt and %d output tokens", d, third.Usage.PromptTokens, second.Usage.PromptTokens, second.Usage.CompletionTokens)
		}

		// A new session in another phase.
		review := newConversation("Please: Review the thing.")
		if got := *review.say(t, s).Choices[0].Message.Content; got != "Looks good." {
			t.Errorf("review says %q", got)
		}
		// The ids of the calls: different in every turn, the same when asked again.
		again := newConversation("Build the thing.", "Bash", "Read", "Write")
		if got, want := again.say(t, s, "Exit code 1").Choices[0].Message.ToolCalls[0].ID, m.ToolCalls[0].ID; got != want {
			t.Errorf("the same request got the call id %s, first %s", got, want)
		}
		ids := map[string]bool{}
		for _, call := range append(m.ToolCalls, second.Choices[0].Message.ToolCalls...) {
			ids[call.ID] = true
		}
		if len(ids) != 3 {
			t.Errorf("3 calls have the ids %v", ids)
		}
	})
}

// TestCassetteMismatch: a client that does not follow is refused and counted.
func TestCassetteMismatch(t *testing.T) {
	tape, err := loadTape(t, tape, scenario)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(c *conversation)
		want   string
	}{
		"wrong status":   {func(c *conversation) { c.Messages[3]["content"] = "all fine" }, `ended with ok, expected error`},
		"missing result": {func(c *conversation) { c.Messages = c.Messages[:3] }, "has no tool result"},
		"other result":   {func(c *conversation) { c.Messages[3]["tool_call_id"] = "x" }, "has no tool result"},
		"lost call":      {func(c *conversation) { delete(c.Messages[2], "tool_calls") }, "repeats 0 tool calls"},
		"unknown tool":   {func(c *conversation) { c.Tools = c.Tools[:2] }, `"Write" is not among`},
		"no directory":   {func(c *conversation) { c.Messages[0]["content"] = "You are an agent." }, "working directory"},
		"too many turns": {func(c *conversation) {
			for range 2 {
				c.Messages = append(c.Messages, map[string]any{"role": "assistant", "content": "more"})
			}
		}, "only 3 turns"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, fixed, tape)
				defer s.Close()
				c := newConversation("Build the thing.", "Bash", "Read", "Write")
				c.say(t, s, "Exit code 1")
				tc.change(c)
				w := do(s, "POST", "/v1/chat/completions", c.body())
				var e struct {
					Error struct{ Message, Type string }
				}
				if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
					t.Fatal(err)
				}
				if w.Code != 400 || e.Error.Type != "BadRequestError" || !strings.HasPrefix(e.Error.Message, `dail-sim: cassette mismatch: phase "build", turn `) || !strings.Contains(e.Error.Message, tc.want) {
					t.Errorf("status %d, %s: want 400 with %q", w.Code, w.Body, tc.want)
				}
				page := do(s, "GET", "/metrics", "").Body.String()
				for _, line := range []string{`dail_cassette_mismatches_total{phase="build"} 1`, `dail_cassette_mismatches_total{phase="review"} 0`} {
					if !strings.Contains(page, line+"\n") {
						t.Errorf("/metrics lacks %q", line)
					}
				}
			})
		})
	}
}

func TestStatusOf(t *testing.T) {
	for text, want := range map[string]sim.Status{
		"": sim.OK, "done": sim.OK, "exit code 1": sim.OK, "no Error here": sim.OK,
		"Exit code 2\nboom": sim.Error, "Error: nope": sim.Error, "x <tool_use_error>bad</tool_use_error>": sim.Error,
	} {
		if got := sim.StatusOf(text); got != want {
			t.Errorf("StatusOf(%q) = %s, want %s", text, got, want)
		}
	}
}

// TestCassetteFaults: each fault names the file, the line and what to do.
func TestCassetteFaults(t *testing.T) {
	phases := scenario[1:] // review
	const ok = "phases:\n- id: review\n  turns:\n  - text: a\n"
	for name, c := range map[string]struct {
		yaml   string
		phases []compose.Phase
		want   string
	}{
		"not YAML":        {"phases: [", phases, "tape.yaml: yaml"},
		"empty":           {"", phases, "tape.yaml: EOF"},
		"a list":          {"- id: review\n", phases, "tape.yaml:1: a cassette must be a mapping"},
		"no phases":       {"{}", phases, `tape.yaml:1: a cassette needs the list "phases:"`},
		"unknown key":     {ok + "name: x\n", phases, `tape.yaml:5: a cassette has an unknown key "name"; the keys are phases`},
		"key twice":       {"phases:\n- id: review\n  id: b\n  turns: [{text: a}]", phases, `tape.yaml:3: a phase has the key "id" twice`},
		"no id":           {"phases:\n- turns: [{text: a}]\n", phases, "tape.yaml:2: a phase needs an id"},
		"no turns":        {"phases:\n- id: review\n", phases, `tape.yaml:2: phase "review" needs turns`},
		"turns no list":   {"phases:\n- id: review\n  turns: {}\n", phases, "tape.yaml:3: turns must be a list"},
		"empty turn":      {"phases:\n- id: review\n  turns:\n  - {}\n", phases, "tape.yaml:4: a turn needs text, calls or both"},
		"number as text":  {"phases:\n- id: review\n  turns:\n  - text: 7\n", phases, "tape.yaml:4: a turn's text must be text"},
		"no tool":         {"phases:\n- id: review\n  turns:\n  - calls:\n    - input: {}\n  - text: a\n", phases, "tape.yaml:5: a call needs a tool"},
		"input a list":    {"phases:\n- id: review\n  turns:\n  - calls:\n    - tool: X\n      input: []\n  - text: a\n", phases, "tape.yaml:6: a call's input must be a mapping"},
		"expect":          {"phases:\n- id: review\n  turns:\n  - calls:\n    - tool: X\n      expect: fail\n  - text: a\n", phases, `tape.yaml:6: expect is "fail"; it is ok or error`},
		"alias":           {"phases:\n- id: review\n  turns:\n  - calls:\n    - tool: X\n      input: {a: &x 1, b: *x}\n  - text: a\n", phases, "tape.yaml:6: anchors and aliases"},
		"infinity":        {"phases:\n- id: review\n  turns:\n  - calls:\n    - tool: X\n      input: {a: .inf}\n  - text: a\n", phases, `tape.yaml:6: ".inf" cannot be written as JSON`},
		"number as key":   {"phases:\n- id: review\n  turns:\n  - calls:\n    - tool: X\n      input: {1: a}\n  - text: a\n", phases, "tape.yaml:6: a key of an input must be text"},
		"never ends":      {"phases:\n- id: review\n  turns:\n  - calls:\n    - tool: X\n", phases, `tape.yaml:4: the last turn of phase "review" has calls`},
		"ends early":      {"phases:\n- id: review\n  turns:\n  - text: a\n  - text: b\n", phases, `tape.yaml:4: turn 0 of phase "review" has no calls`},
		"recorded twice":  {ok + "- id: review\n  turns: [{text: b}]\n", phases, `tape.yaml:5: phase "review" is recorded twice`},
		"not in scenario": {ok + "- id: other\n  turns: [{text: b}]\n", phases, `tape.yaml:5: phase "other" is not in the scenario, which has review`},
		"not recorded":    {ok, scenario, `the scenario's phase "build" is not recorded`},
		"same prompts":    {ok, []compose.Phase{{ID: "review", Prompt: "x"}, {ID: "b", Prompt: "x "}}, "have the same prompt"},
		"empty prompt":    {ok, []compose.Phase{{ID: "review"}}, "has an empty prompt"},
		"two documents":   {ok + "---\n{}\n", phases, "a second document"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadTape(t, c.yaml, c.phases)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v\nwant one with %q", err, c.want)
			}
		})
	}
	if _, err := sim.LoadCassette(fstest.MapFS{}, "none.yaml", nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file gives %v", err)
	}
}

// FuzzLoadCassette: whatever the file, loading returns, and what loads can be
// played from the beginning.
func FuzzLoadCassette(f *testing.F) {
	f.Add(tape)
	f.Add("phases:\n- id: review\n  turns: [{text: a}]\n")
	f.Add("phases: &a [*a]")
	f.Add("phases:\n- id: build\n  turns:\n  - calls: [{tool: X, input: {a: 0x1f, b: 2024-01-01, c: !!binary aGk=}}]\n  - text: x")
	f.Fuzz(func(t *testing.T, content string) {
		c, err := loadTape(t, content, scenario)
		if err != nil {
			return
		}
		for _, p := range c.Phases() {
			for _, turn := range p.Turns {
				for _, call := range turn.Calls {
					if args := call.Arguments("/a\"b\\c\n"); !json.Valid([]byte(args)) {
						t.Errorf("arguments are not JSON: %s", args)
					}
				}
			}
		}
	})
}

func ExampleLoadCassette() {
	files := fstest.MapFS{"cassette.yaml": {Data: []byte(`
phases:
  - id: implement
    turns:
      - text: I write the file.
        calls:
          - tool: Write
            input: {file_path: "{{cwd}}/hello.txt", content: PONG}
      - text: Done.
`)}}
	tape, err := sim.LoadCassette(files, "cassette.yaml", []compose.Phase{{ID: "implement", Prompt: "Write PONG into hello.txt."}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, phase := range tape.Phases() {
		for _, turn := range phase.Turns {
			fmt.Println(turn.Text)
			for _, call := range turn.Calls {
				fmt.Println(call.Tool, call.Arguments("/home/ada/work"), call.Expect)
			}
		}
	}
	// Output:
	// I write the file.
	// Write {"file_path":"/home/ada/work/hello.txt","content":"PONG"} ok
	// Done.
}
