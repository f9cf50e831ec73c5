package pathtable

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/x/dail/internal/fakevllm"
)

const tools = `[{"name":"Bash","description":"Run a command","input_schema":{"type":"object","properties":{"command":{"type":"string"},"timeout":{"type":"number"}},"required":["command"]}},` +
	`{"name":"Write","description":"Write a file","input_schema":{"type":"object","properties":{"file_path":{"type":"string"},"content":{"type":"string"}},"required":["file_path","content"]}}]`

const hi = `[{"role":"user","content":"hi"}]`

// body is a request with these messages, and two tools.
func (s *Stand) body(messages string) string {
	return `{"model":` + quote(s.Model) + `,"max_tokens":8192,"stream":true,"tools":` + tools + `,"messages":` + messages + `}`
}

func quote(s string) string { b, _ := json.Marshal(s); return string(b) } // a string always encodes

// say has the engine answer r, and asks for it.
func (s *Stand) say(ctx context.Context, r fakevllm.Reply, messages string) (*message, error) {
	s.Engine.Script(func(int, fakevllm.Request) fakevllm.Reply { return r })
	return s.ask(ctx, s.body(messages), nil)
}

// broken is the cell of an answer that came as no message.
func broken(m *message, err error) *Cell {
	var c Cell
	switch {
	case err != nil:
		c = lost("no answer: %v", err)
	case m.status != http.StatusOK || m.fault != "":
		c = hears(m)
	case !m.ended:
		c = lost("the stream ends without message_stop")
	default:
		return nil
	}
	return &c
}

func text(ctx context.Context, s *Stand) Cell {
	const said = "Hello <b> & \u2028 \"you\"\n\ttab, Köln, 日本, 🙂\n"
	m, err := s.say(ctx, fakevllm.Text(said), hi)
	if c := broken(m, err); c != nil {
		return *c
	}
	if m.of("text") != said {
		return lost("arrives as %q", m.of("text"))
	}
	return kept("in one piece, when the engine is done")
}

func thinking(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Completion("Four.", "Two and two.", "stop"), hi)
	if c := broken(m, err); c != nil {
		return *c
	}
	if m.of("thinking") != "Two and two." || m.of("text") != "Four." {
		return lost("arrives as %q beside the text %q", m.of("thinking"), m.of("text"))
	}
	m, err = s.say(ctx, fakevllm.Text("x"), `[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Two and two.","signature":"ZGFpbA=="},{"type":"text","text":"Four."}]},{"role":"user","content":"And?"}]`)
	if c := broken(m, err); c != nil {
		return *c
	}
	if !strings.Contains(s.lastBody(), "Two and two.") {
		return partly("shown, but the next turn does not hand it back to the engine")
	}
	return kept("")
}

// lastBody is what the engine was asked last.
func (s *Stand) lastBody() string {
	all := s.Engine.Requests()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Body
}

func call(n int, name, args string) fakevllm.Call {
	return fakevllm.Call{ID: fmt.Sprintf("chatcmpl-tool-%032d", n), Name: name, Arguments: args}
}

func parallelTools(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Completion("Three.", "", "tool_calls",
		call(1, "Bash", `{"command":"one"}`), call(2, "Write", `{"file_path":"/two","content":""}`), call(3, "Bash", `{"command":"three"}`)), hi)
	if c := broken(m, err); c != nil {
		return *c
	}
	calls := m.calls()
	if len(calls) != 3 || m.stop != "tool_use" || calls[0].name != "Bash" || calls[1].name != "Write" || calls[2].text != `{"command":"three"}` {
		return lost("arrive as %v, stop_reason %s", calls, m.stop)
	}
	if calls[0].id == calls[1].id || calls[1].id == calls[2].id || calls[0].id == calls[2].id || calls[0].id == "" {
		return lost("their ids are not distinct: %s %s %s", calls[0].id, calls[1].id, calls[2].id)
	}
	// The results come in the order in which the tools ended.
	m, err = s.say(ctx, fakevllm.Text("x"), history(calls, "result of 3", "result of 1", "result of 2"))
	if c := broken(m, err); c != nil {
		return *c
	}
	var req struct {
		Messages []struct {
			Role       string
			ToolCallID string `json:"tool_call_id"`
			ToolCalls  []struct {
				ID       string
				Function struct{ Arguments string }
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal([]byte(s.lastBody()), &req); err != nil {
		return lost("the engine's request is no JSON: %v", err)
	}
	var made, answered []string
	for _, m := range req.Messages {
		for _, c := range m.ToolCalls {
			made = append(made, c.ID)
		}
		if m.Role == "tool" {
			answered = append(answered, m.ToolCallID)
		}
	}
	switch a, b := strings.Join(made, " "), strings.Join(answered, " "); {
	case len(made) != 3 || len(answered) != 3:
		return lost("of 3 calls and results the engine is told %d and %d", len(made), len(answered))
	case a != b && sameSet(made, answered):
		return partly("results reach the engine in the order in which they ended, which templates without ids (Qwen's) show under the wrong call")
	case a != b:
		return lost("calls %s are answered as %s", a, b)
	}
	return kept("")
}

func sameSet(a, b []string) bool {
	seen := map[string]int{}
	for i := range a {
		seen[a[i]]++
		seen[b[i]]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

// history is a conversation with these three calls, and their results in the
// order third, first, second.
func history(calls []block, results ...string) string {
	var made, done []string
	for i, c := range calls {
		made = append(made, `{"type":"tool_use","id":`+quote(c.id)+`,"name":`+quote(c.name)+`,"input":`+c.text+`}`)
		if i < len(results) {
			done = append(done, `{"type":"tool_result","tool_use_id":`+quote(calls[(i+2)%3].id)+`,"content":`+quote(results[i])+`}`)
		}
	}
	user := `{"role":"user","content":"go on"}`
	if len(done) > 0 {
		user = `{"role":"user","content":[` + strings.Join(done, ",") + `]}`
	}
	return `[{"role":"user","content":"hi"},{"role":"assistant","content":[` + strings.Join(made, ",") + `]},` + user + `]`
}

// odd are arguments that every parser but a careful one rewrites.
const odd = `{"timeout": 3.50, "command":"a < b && \"c\" > \u00fc\t日本","deep":{"z":1,"a":[1e3,12345678901234567890,null]}}`

func arguments(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Completion("", "", "tool_calls", call(1, "Bash", odd)), hi)
	if c := broken(m, err); c != nil {
		return *c
	}
	calls := m.calls()
	if len(calls) != 1 {
		return lost("%d calls arrive, not 1", len(calls))
	}
	if calls[0].text != odd {
		if !sameJSON(calls[0].text, odd) {
			return lost("arrive as %s", calls[0].text)
		}
		return partly("same values, other bytes")
	}
	// What the client then hands back: compact, as JSON.stringify writes it.
	compact := `{"command":"a < b && \"c\" > ü","timeout":3.5}`
	calls[0].text = compact
	if m, err = s.say(ctx, fakevllm.Text("x"), history(calls)); err != nil || m.status != http.StatusOK {
		return *broken(m, err)
	}
	switch back := s.lastArguments(); {
	case back == compact:
		return kept("both ways")
	case sameJSON(back, compact):
		return partly("to the client, yes; handed back, the engine reads the same values in other bytes")
	default:
		return lost("handed back, the engine reads %.120s", back)
	}
}

// lastArguments are those of the first tool call in the engine's last request.
func (s *Stand) lastArguments() string {
	var req struct {
		Messages []struct {
			ToolCalls []struct {
				Function struct{ Arguments string }
			} `json:"tool_calls"`
		}
	}
	if json.Unmarshal([]byte(s.lastBody()), &req) != nil {
		return ""
	}
	for _, m := range req.Messages {
		for _, c := range m.ToolCalls {
			return c.Function.Arguments
		}
	}
	return ""
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, err1 := json.Marshal(x)
	q, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && string(p) == string(q)
}

func leaks(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Text("I write it.\n\n<tool_call>\n<function=Write>\n<parameter=file_path>\n/tmp/a.md\n</parameter>\n<parameter=content>\n# <b> & \"c\"\n</parameter>\n</function>\n</tool_call>"), hi)
	if c := broken(m, err); c != nil {
		return *c
	}
	calls := m.calls()
	if len(calls) != 1 || calls[0].name != "Write" || !sameJSON(calls[0].text, `{"file_path":"/tmp/a.md","content":"# <b> & \"c\""}`) || m.stop != "tool_use" {
		return lost("%d calls arrive; the text is %q", len(calls), m.of("text"))
	}
	if strings.Contains(m.of("text"), "tool_call") {
		return partly("the call arrives, and its text too")
	}
	return kept("become tool calls again")
}

func usage(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Text("x"), hi)
	if c := broken(m, err); c != nil {
		return *c
	}
	want := tokens{fakevllm.PromptTokens - fakevllm.CachedTokens, fakevllm.CachedTokens, fakevllm.OutputTokens}
	switch {
	case m.usage == want:
		return kept("")
	case m.usage.Output == want.Output && m.usage.Input == fakevllm.PromptTokens && m.usage.CacheRead == 0:
		return partly("real numbers, without the cached tokens")
	case m.usage.Output == want.Output && m.usage.Input == fakevllm.PromptTokens:
		return partly("the cached tokens are counted twice")
	}
	return lost("%+v where the engine said %+v", m.usage, want)
}

func prefix(ctx context.Context, s *Stand) Cell {
	var seen [2]string
	for i, v := range []string{"abc", "xyz"} {
		system := `"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.` + v + `; cc_entrypoint=sdk-cli;"},{"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral"}}],`
		s.Engine.Script(func(int, fakevllm.Request) fakevllm.Reply { return fakevllm.Text("x") })
		m, err := s.ask(ctx, strings.Replace(s.body(hi), `"tools":`, system+`"tools":`, 1), nil)
		if c := broken(m, err); c != nil {
			return *c
		}
		seen[i] = s.lastBody()
	}
	var req [2]struct{ Messages, Tools json.RawMessage }
	for i := range seen {
		if err := json.Unmarshal([]byte(seen[i]), &req[i]); err != nil {
			return lost("the engine's request is no JSON: %v", err)
		}
	}
	if string(req[0].Messages) != string(req[1].Messages) || string(req[0].Tools) != string(req[1].Tools) {
		return lost("it stands first in every prompt, so agents share no prefix cache; set CLAUDE_CODE_ATTRIBUTION_HEADER=0")
	}
	return kept("")
}

func countTokens(ctx context.Context, s *Stand) Cell {
	return s.count(ctx, func(n int) Cell {
		if n == fakevllm.Count {
			return kept("")
		}
		return partly("an estimate with another tokenizer")
	})
}

// count asks for the length of a prompt, and judges it.
func (s *Stand) count(ctx context.Context, judge func(int) Cell) Cell {
	res, err := s.post(ctx, "/v1/messages/count_tokens", `{"model":`+quote(s.Model)+`,"tools":`+tools+`,"messages":`+hi+`}`)
	if err != nil {
		return lost("no answer: %v", err)
	}
	defer res.Body.Close()
	var n struct {
		Input int `json:"input_tokens"`
	}
	if err := json.NewDecoder(res.Body).Decode(&n); err != nil || res.StatusCode != http.StatusOK || n.Input <= 0 {
		return lost("answered %d", res.StatusCode)
	}
	return judge(n.Input)
}
