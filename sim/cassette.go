package sim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// A Cassette is what the simulated model says in a benchmark: for every phase
// the assistant's turns, text and tool calls, with which a real agent really
// does the work. It is matched by the phase's prompt and the number of
// assistant messages that a request holds after it; there is no state, so a
// request that is sent again gets the same answer again.
//
// A request that does not follow the recording (a tool result with the other
// status, a missing result, a tool that is not there, a turn too many) is a
// [*Mismatch]: the engine refuses it instead of playing on over a broken
// client.
type Cassette struct {
	name   string
	phases []CassettePhase
}

// CassettePhase is the recording of one phase.
type CassettePhase struct {
	ID     string
	Prompt string // the scenario's prompt; a request is in the phase whose prompt it holds
	Turns  []Turn
}

// Turn is one assistant message. A turn without calls ends its phase.
type Turn struct {
	Text  string // may hold {{cwd}}
	Calls []Call
}

// Call is one tool call of a turn.
type Call struct {
	Tool   string
	Input  json.RawMessage // an object; keys in the file's order; strings may hold {{cwd}}
	Expect Status          // what the tool result must say
}

// Status is what became of a tool call.
type Status string

const (
	OK    Status = "ok"
	Error Status = "error"
)

// cwdMark stands for the agent's working directory in a cassette.
const cwdMark = "{{cwd}}"

// Arguments returns the call's input as JSON, with the working directory in
// place.
func (c Call) Arguments(cwd string) string {
	quoted := marshal(cwd)
	return strings.ReplaceAll(string(c.Input), cwdMark, quoted[1:len(quoted)-1])
}

// Name returns the name that the cassette was loaded under.
func (c *Cassette) Name() string { return c.name }

// Phases returns the recording. It is shared: do not change it.
func (c *Cassette) Phases() []CassettePhase { return c.phases }

// Mismatch is a request that does not follow the cassette.
type Mismatch struct {
	Phase string
	Turn  int // the turn that was asked for, from 0
	Why   string
}

func (m *Mismatch) Error() string {
	return fmt.Sprintf("dail-sim: cassette mismatch: phase %q, turn %d: %s", m.Phase, m.Turn, m.Why)
}

// StatusOf tells what a tool result says, from its text alone: an OpenAI chat
// request has no other place for it. Claude Code's failed commands begin with
// "Exit code ", its refused calls hold <tool_use_error>, and dail's gateway
// begins every other failed result with "Error".
func StatusOf(result string) Status {
	if strings.HasPrefix(result, "Exit code ") || strings.HasPrefix(result, "Error") || strings.Contains(result, "<tool_use_error>") {
		return Error
	}
	return OK
}

// played is the turn that answers a request.
type played struct {
	phase string
	turn  int
	text  string
	calls []toolCall // without ids
}

// play returns the turn that answers the messages; nil where they belong to
// no phase, and a *Mismatch where they do not follow the recording.
func (c *Cassette) play(messages []message, tools map[string]bool) (*played, error) {
	if c == nil {
		return nil, nil
	}
	phase, start := c.find(messages)
	if phase == nil {
		return nil, nil
	}
	turn := 0
	mismatch := func(format string, args ...any) error {
		return &Mismatch{Phase: phase.ID, Turn: turn, Why: fmt.Sprintf(format, args...)}
	}

	var said []message
	results := map[string]string{}
	for _, m := range messages[start+1:] {
		switch m.Role {
		case "assistant":
			said = append(said, m)
		case "tool":
			results[m.ToolCallID] = m.Text
		}
	}
	turn = len(said)
	if turn >= len(phase.Turns) {
		return nil, mismatch("the recording has only %d turns", len(phase.Turns))
	}
	for k, m := range said {
		if err := phase.Turns[k].follows(m, results, k == turn-1); err != nil {
			return nil, mismatch("after turn %d: %v", k, err)
		}
	}

	t := phase.Turns[turn]
	out := &played{phase: phase.ID, turn: turn, text: t.Text}
	cwd, known := "", false
	if t.needsCWD() {
		if cwd, known = workingDirectory(messages); !known {
			return nil, mismatch(`the request does not say its working directory (looked for "Working directory: /…" in system and user messages)`)
		}
		out.text = strings.ReplaceAll(t.Text, cwdMark, cwd)
	}
	for _, call := range t.Calls {
		if !tools[call.Tool] {
			return nil, mismatch("the tool %q is not among the request's tools", call.Tool)
		}
		out.calls = append(out.calls, toolCall{Name: call.Tool, Arguments: call.Arguments(cwd)})
	}
	return out, nil
}

// find returns the phase that the messages are in, and where its prompt is:
// the last user message that holds a prompt, and of several prompts in it the
// longest.
func (c *Cassette) find(messages []message) (*CassettePhase, int) {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role != "user" {
			continue
		}
		var found *CassettePhase
		for j := range c.phases {
			p := &c.phases[j]
			if strings.Contains(messages[i].Text, p.Prompt) && (found == nil || len(p.Prompt) > len(found.Prompt)) {
				found = p
			}
		}
		if found != nil {
			return found, i
		}
	}
	return nil, 0
}

// follows checks what the client says it was told in this turn, and what came
// of it. The status is checked of the latest turn only: a client may shorten
// older results, it must not lose them.
func (t Turn) follows(m message, results map[string]string, latest bool) error {
	if len(m.Calls) != len(t.Calls) {
		return fmt.Errorf("the request repeats %d tool calls, the recording has %d", len(m.Calls), len(t.Calls))
	}
	for i, want := range t.Calls {
		got := m.Calls[i]
		if got.Name != want.Tool {
			return fmt.Errorf("call %d is %q in the request, %q in the recording", i, got.Name, want.Tool)
		}
		text, ok := results[got.ID]
		if !ok {
			return fmt.Errorf("call %d (%s) has no tool result", i, want.Tool)
		}
		if status := StatusOf(text); latest && status != want.Expect {
			return fmt.Errorf("call %d (%s) ended with %s, expected %s: %q", i, want.Tool, status, want.Expect, head(text, 300))
		}
	}
	return nil
}

func (t Turn) needsCWD() bool {
	if strings.Contains(t.Text, cwdMark) {
		return true
	}
	for _, c := range t.Calls {
		if strings.Contains(string(c.Input), cwdMark) {
			return true
		}
	}
	return false
}

// cwdLine is how Claude Code tells the model where it is: " - Primary working
// directory: /x" in 2.1.197 and 2.1.330, in the system prompt, in a system
// message between the others or, with --exclude-dynamic-system-prompt-sections
// in 2.1.197, in the first user message. Older ones wrote "Working directory:".
var cwdLine = regexp.MustCompile(`(?m)[Ww]orking directory: *(/[^\r\n]*?)[ \t]*$`)

func workingDirectory(messages []message) (string, bool) {
	for _, role := range []string{"system", "developer", "user"} {
		for _, m := range messages {
			if m.Role != role {
				continue
			}
			if found := cwdLine.FindStringSubmatch(m.Text); found != nil {
				return found[1], true
			}
		}
	}
	return "", false
}

// head returns the beginning of a text, cut between characters.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
