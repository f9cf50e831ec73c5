package agents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/x/dail/internal/plain"
)

// transcript reads Claude Code's stream-json. It takes any line: what is no
// JSON object, or of a type that it does not know, is passed over, because the
// client's events change with its versions and other programs write to the same
// stdout.
type transcript struct {
	r        PhaseResult
	messages map[string]bool // ids of model messages
	calls    map[string]bool // ids of tool calls
	failed   map[string]bool // ids of calls whose result is an error
	result   *resultEvent
}

func newTranscript() *transcript {
	return &transcript{messages: map[string]bool{}, calls: map[string]bool{}, failed: map[string]bool{}}
}

// synthetic is the model's name in a message that the client made up itself,
// to tell of an error.
const synthetic = "<synthetic>"

// event is the part of a stream-json line that is read. Fields whose shape
// varies are kept raw, so that one odd field does not lose the line.
type event struct {
	Type    string          `json:"type"`
	Subtype string          `json:"subtype"`
	Error   json.RawMessage `json:"error"` // a word, in assistant and api_retry events

	// system/init
	SessionID string          `json:"session_id"`
	Version   string          `json:"claude_code_version"`
	Model     string          `json:"model"`
	Tools     json.RawMessage `json:"tools"`

	// system/api_retry
	ErrorStatus json.RawMessage `json:"error_status"`

	Message json.RawMessage `json:"message"` // assistant, user
}

type message struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Content json.RawMessage `json:"content"` // a string, or blocks
}

type block struct {
	Type      string `json:"type"`
	Text      string `json:"text"`
	ID        string `json:"id"`
	Name      string `json:"name"`
	ToolUseID string `json:"tool_use_id"`
	IsError   bool   `json:"is_error"`
}

type resultEvent struct {
	Subtype        string                `json:"subtype"`
	IsError        bool                  `json:"is_error"`
	APIErrorStatus json.RawMessage       `json:"api_error_status"`
	TerminalReason string                `json:"terminal_reason"`
	Text           string                `json:"result"`
	Errors         []json.RawMessage     `json:"errors"`
	Usage          usage                 `json:"usage"`
	ModelUsage     map[string]modelUsage `json:"modelUsage"`
}

// usage is the main loop's. It lacks what subagents and compaction used.
type usage struct {
	Input         int `json:"input_tokens"`
	CacheCreation int `json:"cache_creation_input_tokens"`
	CacheRead     int `json:"cache_read_input_tokens"`
	Output        int `json:"output_tokens"`
}

type modelUsage struct {
	Input         int `json:"inputTokens"`
	CacheCreation int `json:"cacheCreationInputTokens"`
	CacheRead     int `json:"cacheReadInputTokens"`
	Output        int `json:"outputTokens"`
}

// Line implements [Reader].
func (t *transcript) Line(at time.Time, line []byte) []Event {
	if len(line) == 0 {
		return nil
	}
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		t.r.BadLines++
		return nil
	}
	switch e.Type {
	case "system":
		return t.system(e)
	case "assistant":
		return t.assistant(at, e)
	case "user":
		return t.user(e)
	case "result":
		var r resultEvent
		if err := json.Unmarshal(line, &r); err != nil {
			t.r.BadLines++
			return nil
		}
		t.result = &r
	}
	return nil
}

func (t *transcript) system(e event) []Event {
	switch e.Subtype {
	case "init":
		t.r.SessionID, t.r.AgentVersion, t.r.Model = e.SessionID, e.Version, e.Model
		var tools []string
		if json.Unmarshal(e.Tools, &tools) == nil {
			t.r.OfferedTools = tools
		}
	case "api_retry":
		t.r.Retries++
		return []Event{{Kind: Retry, Requests: t.r.Turns, Detail: strings.TrimSpace(word(e.Error) + " " + word(e.ErrorStatus))}}
	}
	return nil
}

func (t *transcript) assistant(at time.Time, e event) []Event {
	var m message
	if json.Unmarshal(e.Message, &m) != nil {
		t.r.BadLines++
		return nil
	}
	blocks, text := content(m.Content)
	if m.Model == synthetic {
		if name := word(e.Error); name != "" {
			t.apiError(name, text)
		}
		return nil
	}
	// One event comes per content block, all with the message's id.
	var events []Event
	if m.ID != "" && !t.messages[m.ID] {
		t.messages[m.ID] = true
		t.r.Turns++
		if t.r.FirstAnswer.IsZero() {
			t.r.FirstAnswer = at
		}
		t.r.LastAnswer = at
		events = append(events, Event{Kind: Request, Requests: t.r.Turns})
	}
	for _, b := range blocks {
		if b.Type != "tool_use" || t.calls[b.ID] {
			continue
		}
		t.calls[b.ID] = true
		if t.r.ToolCalls == nil {
			t.r.ToolCalls = map[string]int{}
		}
		t.r.ToolCalls[b.Name]++
		events = append(events, Event{Kind: Tool, Detail: b.Name, Requests: t.r.Turns})
	}
	return events
}

func (t *transcript) user(e event) []Event {
	var m message
	if json.Unmarshal(e.Message, &m) != nil {
		t.r.BadLines++
		return nil
	}
	var events []Event
	blocks, _ := content(m.Content)
	for _, b := range blocks {
		if b.Type == "tool_result" && b.IsError && !t.failed[b.ToolUseID] {
			t.failed[b.ToolUseID] = true
			t.r.ToolErrors++
			events = append(events, Event{Kind: ToolError, Requests: t.r.Turns})
		}
	}
	return events
}

// apiError keeps an error that the client gave up on.
func (t *transcript) apiError(name, text string) {
	if text = clip(text, 500); text != "" {
		name += ": " + text
	}
	t.r.APIErrors = append(t.r.APIErrors, name)
}

// Done implements [Reader].
func (t *transcript) Done() bool { return t.result != nil }

// Result implements [Reader].
func (t *transcript) Result(end End) (PhaseResult, bool) {
	r := t.r
	r.ExitCode, r.Signal, r.Leftovers = end.Exit.Code, end.Exit.Signal, end.Exit.Leftovers
	r.Lingered = errors.Is(end.Stopped, errLingered)
	r.TimedOut = errors.Is(end.Stopped, errTimeout)
	r.ToolCalls = maps.Clone(t.r.ToolCalls)
	if res := t.result; res != nil {
		r.Subtype, r.Text = res.Subtype, res.Text
		r.Tokens = res.tokens()
		if res.IsError && len(r.APIErrors) == 0 && res.apiError() {
			r.APIErrors = append(r.APIErrors, "unknown: "+clip(res.Text, 500))
		}
	}
	r.Reason = judge(t.result, r, end)
	r.OK = r.Reason == ""
	// After an API error, or from a client that ends without a result, nothing
	// that follows would be the work that was to be measured.
	fatal := !r.OK && (len(r.APIErrors) > 0 || t.result == nil && !r.TimedOut)
	return r, fatal
}

// judge says why a phase failed, and "" only where exit status, result event,
// is_error, subtype and text agree that it did not: each of them alone was seen
// to claim success for a run that had failed.
func judge(res *resultEvent, r PhaseResult, end End) string {
	var why []string
	switch {
	case end.Stopped != nil && !r.Lingered:
		why = append(why, end.Stopped.Error())
	case r.Lingered: // the exit is ours, not the client's
	case r.Signal != "":
		why = append(why, "the client was ended by "+r.Signal)
	case r.ExitCode != 0:
		why = append(why, fmt.Sprintf("the client's exit status is %d", r.ExitCode))
	}
	switch {
	case res == nil:
		why = append(why, "it gave no result")
	case res.IsError || res.Subtype != "success":
		s := "its result is " + or(res.Subtype, "without a subtype")
		if res.IsError {
			s += ", an error"
		}
		switch {
		case len(r.APIErrors) > 0:
			s += " (" + strings.Join(r.APIErrors, "; ") + ")"
		case len(res.Errors) > 0:
			s += " (" + clip(word(res.Errors[0]), 500) + ")"
		case res.IsError && res.Text != "":
			s += " (" + clip(res.Text, 500) + ")"
		}
		why = append(why, s)
	case strings.TrimSpace(res.Text) == "":
		why = append(why, "its final answer is empty")
	}
	return strings.Join(why, "; ")
}

// apiError reports whether the result tells of an API error.
func (r *resultEvent) apiError() bool {
	return r.Subtype == "success" || r.TerminalReason == "api_error" || word(r.APIErrorStatus) != ""
}

// tokens sums over the models; usage serves where a version has no modelUsage.
func (r *resultEvent) tokens() Tokens {
	if len(r.ModelUsage) == 0 {
		return Tokens{Input: r.Usage.Input + r.Usage.CacheCreation, CacheRead: r.Usage.CacheRead, Output: r.Usage.Output}
	}
	var t Tokens
	for _, u := range r.ModelUsage {
		t.Input += u.Input + u.CacheCreation
		t.CacheRead += u.CacheRead
		t.Output += u.Output
	}
	return t
}

// maxBlocks is how many blocks of a message are read. Claude Code tells of one in
// each event.
const maxBlocks = 1 << 10

// content returns a message's blocks and its text. Content is a list of
// blocks, or a plain string.
func content(raw json.RawMessage) ([]block, string) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return nil, s
	}
	// One by one: a line of nothing but empty blocks is a thousand times as large
	// in memory as on the wire.
	list := json.NewDecoder(bytes.NewReader(raw))
	if open, err := list.Token(); err != nil || open != json.Delim('[') {
		return nil, ""
	}
	var blocks []block
	var text strings.Builder
	for list.More() && len(blocks) < maxBlocks {
		var item json.RawMessage
		if list.Decode(&item) != nil {
			break
		}
		var b block
		if json.Unmarshal(item, &b) != nil {
			continue
		}
		blocks = append(blocks, b)
		if b.Type == "text" {
			text.WriteString(b.Text)
		}
	}
	return blocks, text.String()
}

// word renders a JSON value as a short text: a string as it is, null as "".
func word(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	return string(raw)
}

// clip cuts s, which may be a model's text, to n bytes, at a character's edge.
func clip(s string, n int) string {
	s = strings.TrimSpace(plain.Text(s))
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
