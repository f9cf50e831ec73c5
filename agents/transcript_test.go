package agents_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/x/dail/agents"
)

// read feeds a transcript to Claude Code's reader.
func read(end agents.End, lines ...string) (agents.PhaseResult, bool) {
	r := agents.ClaudeCode{}.Reader()
	for i, l := range lines {
		r.Line(time.Unix(int64(i), 0), []byte(l))
	}
	return r.Result(end)
}

func TestTranscriptCounts(t *testing.T) {
	got, _ := read(agents.End{}, initLine, retry, textLine, callLine, callLine, okLine, badCall, badLine, badLine, lastLine, success)
	want := agents.PhaseResult{
		SessionID: "s-1", AgentVersion: "9.9.9", Model: "qwen", OfferedTools: []string{"Bash", "Write"},
		Turns: 3, ToolCalls: map[string]int{"Write": 1, "Bash": 1}, ToolErrors: 1,
		// modelUsage, not usage: both models, cache creation as input.
		Tokens:  agents.Tokens{Input: 330, CacheRead: 50, Output: 72},
		Retries: 1, Subtype: "success", Text: "All done.",
		FirstAnswer: time.Unix(2, 0), LastAnswer: time.Unix(9, 0), OK: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTranscriptOfAnOlderClient(t *testing.T) {
	got, _ := read(agents.End{}, `{"type":"result","subtype":"success","result":"x","usage":{"input_tokens":5,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4}}`)
	if want := (agents.Tokens{Input: 7, CacheRead: 3, Output: 4}); got.Tokens != want {
		t.Errorf("tokens without modelUsage: %+v, want %+v", got.Tokens, want)
	}
}

func TestTranscriptEvents(t *testing.T) {
	r := agents.ClaudeCode{}.Reader()
	var got []string
	for _, l := range []string{initLine, retry, textLine, callLine, okLine, badCall, badLine, apiError, lastLine, success} {
		for _, e := range r.Line(time.Time{}, []byte(l)) {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %d %s", e.Kind, e.Requests, e.Detail)))
		}
	}
	want := []string{"retry 0 overloaded 529", "request 1", "tool 1 Write", "request 2", "tool 2 Bash", "tool-error 2", "request 3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSuccess is the rule of success: everything must agree.
func TestSuccess(t *testing.T) {
	empty := strings.Replace(success, `"result":"All done."`, `"result":" \n"`, 1)
	noSubtype := strings.Replace(success, `"subtype":"success",`, "", 1)
	tests := []struct {
		name   string
		lines  []string
		end    agents.End
		reason string // a part of it; "" for success
		fatal  bool
	}{
		{name: "all agree", lines: []string{initLine, lastLine, success}},
		{name: "events after the result", lines: []string{initLine, success, lastLine, retry}},
		{name: "exit status alone", lines: []string{initLine, success}, end: agents.End{Exit: agents.Exit{Code: 1}}, reason: "exit status is 1"},
		{name: "a signal", lines: []string{initLine, success}, end: agents.End{Exit: agents.Exit{Code: -1, Signal: "SIGKILL"}}, reason: "ended by SIGKILL"},
		{name: "no result", lines: []string{initLine, lastLine}, reason: "gave no result", fatal: true},
		{name: "nothing at all", reason: "gave no result", fatal: true},
		{name: "an empty answer", lines: []string{empty}, reason: "final answer is empty"},
		{name: "no subtype", lines: []string{noSubtype}, reason: "without a subtype"},
		{name: "max turns", lines: []string{initLine, maxTurns}, end: agents.End{Exit: agents.Exit{Code: 1}}, reason: "error_max_turns, an error (Reached maximum number of turns (8))"},
		{name: "an API error calls itself success", lines: []string{apiError, apiEnd}, end: agents.End{Exit: agents.Exit{Code: 1}}, reason: "success, an error (server_error: API Error: 529 overloaded)", fatal: true},
		{name: "an API error without the synthetic message", lines: []string{apiEnd}, reason: "unknown: API Error: 529", fatal: true},
		{name: "an API error after which it went on", lines: []string{apiError, success}},
		{name: "an error that would write to the terminal", lines: []string{strings.Replace(maxTurns, "Reached", `\u001b]52;c;eA==\u0007Reached`, 1)}, reason: "an error (Reached"},
		{name: "cancelled", lines: []string{initLine}, end: agents.End{Stopped: errors.New("interrupted")}, reason: "interrupted", fatal: true},
		{name: "cancelled with a result", lines: []string{success}, end: agents.End{Stopped: errors.New("interrupted")}, reason: "interrupted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, fatal := read(tt.end, tt.lines...)
			if got.OK != (tt.reason == "") || !strings.Contains(got.Reason, tt.reason) || fatal != tt.fatal {
				t.Errorf("OK %v, reason %q, fatal %v; want %q, %v", got.OK, got.Reason, fatal, tt.reason, tt.fatal)
			}
		})
	}
}

// A line of nothing but blocks is not held as a million of them.
func TestManyBlocks(t *testing.T) {
	line := []byte(`{"type":"assistant","message":{"id":"a","content":[` + strings.Repeat(`{"type":"tool_use","id":"t"},`, 1<<20) + `{"type":"tool_use","id":"last","name":"Last"}]}}`)
	var before, after runtime.MemStats
	r := agents.ClaudeCode{}.Reader()
	runtime.ReadMemStats(&before)
	r.Line(time.Now(), line)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(line)) {
		t.Errorf("%d MB for a line of %d MB", used>>20, len(line)>>20)
	}
}

func TestRecordedTranscripts(t *testing.T) {
	for name, check := range map[string]func(agents.PhaseResult) bool{
		"testdata/2.1.330-ok.jsonl": func(r agents.PhaseResult) bool {
			return r.OK && r.Turns == 3 && r.ToolErrors == 1 && r.Tokens == agents.Tokens{Input: 300, CacheRead: 21, Output: 60} && r.AgentVersion == "2.1.330"
		},
		"testdata/2.1.330-api-error.jsonl": func(r agents.PhaseResult) bool {
			return !r.OK && r.Turns == 0 && len(r.APIErrors) == 1 && strings.HasPrefix(r.APIErrors[0], "authentication_failed: ")
		},
	} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := read(agents.End{}, strings.Split(string(b), "\n")...); !check(r) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// FuzzTranscript: a transcript may hold anything; the counts stay sound, and
// nothing but a result makes a success.
func FuzzTranscript(f *testing.F) {
	for _, s := range []string{
		initLine, textLine + "\n" + callLine, badLine, success, maxTurns, apiError + "\n" + apiEnd, retry, "{", `{"type":"assistant","message":{"content":"x"}}`,
		`{"type":"assistant","message":{"id":"a","content":[{"type":"tool_use"},7,null]}}`, `{"type":"user","message":{"content":[{"type":"tool_result","is_error":true}]}}`,
		`{"type":"result","subtype":"success","result":"x","modelUsage":{"m":{"inputTokens":-1}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := agents.ClaudeCode{}.Reader()
		lines := bytes.Split(b, []byte("\n"))
		requests := 0
		for _, l := range lines {
			for _, e := range r.Line(time.Unix(1, 0), l) {
				if e.Kind == agents.Request {
					requests++
				}
			}
		}
		got, _ := r.Result(agents.End{})
		if got.Turns != requests || got.Turns > len(lines) {
			t.Errorf("%d turns, %d request events, %d lines", got.Turns, requests, len(lines))
		}
		if got.OK != (got.Reason == "") || got.OK && (!r.Done() || strings.TrimSpace(got.Text) == "" || got.Subtype != "success") {
			t.Errorf("OK %v for %+v", got.OK, got)
		}
	})
}
