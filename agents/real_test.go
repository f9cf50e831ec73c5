package agents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/dail/agents"
)

// call is a tool call that the scripted server asks for.
type call struct {
	tool  string
	input map[string]any
}

// scripted is a tiny Messages server: it answers a request whose history holds
// k assistant messages with turn k. A turn without calls is text.
type scripted struct {
	turns [][]call

	mu     sync.Mutex
	tokens []string // the Authorization headers seen
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/messages" {
		w.WriteHeader(http.StatusOK)
		return
	}
	s.mu.Lock()
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	s.mu.Unlock()
	var req struct {
		Model    string
		Messages []struct{ Role string }
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	k := 0
	for _, m := range req.Messages {
		if m.Role == "assistant" {
			k++
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(kind string, v map[string]any) {
		v["type"] = kind
		b, _ := json.Marshal(v)
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, b)
	}
	type m = map[string]any
	send("message_start", m{"message": m{
		"id": fmt.Sprintf("msg_%d_%d", time.Now().UnixNano(), k), "type": "message", "role": "assistant", "model": req.Model,
		"content": []any{}, "usage": m{"input_tokens": 100, "cache_read_input_tokens": 7, "output_tokens": 1},
	}})
	stop := "end_turn"
	if k < len(s.turns) {
		stop = "tool_use"
		for i, c := range s.turns[k] {
			input, _ := json.Marshal(c.input)
			send("content_block_start", m{"index": i, "content_block": m{"type": "tool_use", "id": fmt.Sprintf("toolu_%d_%d", k, i), "name": c.tool, "input": m{}}})
			send("content_block_delta", m{"index": i, "delta": m{"type": "input_json_delta", "partial_json": string(input)}})
			send("content_block_stop", m{"index": i})
		}
	} else {
		send("content_block_start", m{"index": 0, "content_block": m{"type": "text", "text": ""}})
		send("content_block_delta", m{"index": 0, "delta": m{"type": "text_delta", "text": "All done."}})
		send("content_block_stop", m{"index": 0})
	}
	send("message_delta", m{"delta": m{"stop_reason": stop}, "usage": m{"output_tokens": 20}})
	send("message_stop", m{})
}

// claude returns the real program's path, or skips the test and says why.
func claude(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DAIL_CLAUDE")
	if path == "" {
		t.Skip("needs the real Claude Code: set DAIL_CLAUDE to its path (make test does)")
	}
	return path
}

func TestRealClaudeCode(t *testing.T) {
	path := claude(t)
	t.Setenv("RUNPOD_API_KEY", "planted-secret")
	server := &scripted{turns: [][]call{
		{{"Write", map[string]any{"file_path": "hello.txt", "content": "PONG\n"}}},
		{{"Bash", map[string]any{"command": "env; cat hello.txt; ls /does/not/exist", "description": "look around"}}},
		{{"Bash", map[string]any{"command": "(setsid sleep 984 >/dev/null 2>&1 &); cat hello.txt", "description": "leave something"}}},
	}}
	ts := httptest.NewServer(server)
	defer ts.Close()
	dir := t.TempDir()
	var events []agents.Event
	fleet := agents.Fleet{
		N: 2, Agent: agents.ClaudeCode{Path: path}, Runner: agents.Local{Scratch: t.TempDir()}, Dir: dir, Name: "n2",
		Phases:  []agents.Phase{{ID: "only", Prompt: "-write a file", AllowedTools: []string{"Read", "Write", "Bash"}, MaxTurns: 9, Timeout: 2 * time.Minute}},
		BaseURL: ts.URL, Model: "qwen3-coder",
		Token:   func(agent int, phase string) string { return fmt.Sprintf("token-of-%d-%s", agent, phase) },
		Observe: func(e agents.Event) { events = append(events, e) },
	}
	results, err := fleet.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !r.OK || len(r.Phases) != 1 {
			t.Fatalf("agent %d: %+v", i, r)
		}
		p := r.Phases[0]
		if p.Turns != 4 || p.ToolCalls["Write"] != 1 || p.ToolCalls["Bash"] != 2 || p.ToolErrors != 1 {
			t.Errorf("agent %d: turns %d, calls %v, errors %d; want 4, Write 1 and Bash 2, 1", i, p.Turns, p.ToolCalls, p.ToolErrors)
		}
		if want := (agents.Tokens{Input: 400, CacheRead: 28, Output: 80}); p.Tokens != want {
			t.Errorf("agent %d: tokens %+v, want %+v", i, p.Tokens, want)
		}
		if p.Text != "All done." || p.ExitCode != 0 || p.AgentVersion == "" || p.SessionID == "" || p.Model != "qwen3-coder" {
			t.Errorf("agent %d: %+v", i, p)
		}
		if p.Leftovers != 1 {
			t.Errorf("agent %d: %d leftovers ended, want the one sleep", i, p.Leftovers)
		}
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("agent%d/workspace/hello.txt", i)))
		if err != nil || string(got) != "PONG\n" {
			t.Errorf("agent %d: hello.txt holds %q, %v", i, got, err)
		}
		transcript, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("agent%d/phases/only.jsonl", i)))
		if err != nil || !bytes.Contains(transcript, []byte(`ANTHROPIC_AUTH_TOKEN=[ANTHROPIC_AUTH_TOKEN]`)) {
			t.Errorf("agent %d: the transcript lacks the redacted token (%v)", i, err)
		}
		for _, secret := range []string{"token-of-", "planted-secret"} {
			if bytes.Contains(transcript, []byte(secret)) || strings.Contains(fmt.Sprintf("%+v", r), secret) {
				t.Errorf("agent %d: %q was written down", i, secret)
			}
		}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	seen := map[string]int{}
	for _, h := range server.tokens {
		seen[h]++
	}
	if seen["Bearer token-of-0-only"] != 4 || seen["Bearer token-of-1-only"] != 4 || len(seen) != 2 {
		t.Errorf("requests by token: %v", seen)
	}
	if n := len(events); n < 2*9 || events[n-1].Kind != agents.AgentEnd {
		t.Errorf("%d events, the last %+v", n, events[n-1])
	}
	nothingLeft(t, "sleep 984")
}

func TestRealClaudeCodeCancelledMidBash(t *testing.T) {
	path := claude(t)
	server := &scripted{turns: [][]call{{{"Bash", map[string]any{
		"command":     "(setsid sleep 986 >/dev/null 2>&1 &); touch started; for i in 1 2 3 4 5 6 7 8 9; do sleep 985; done",
		"description": "wait", "timeout": 600000,
	}}}}}
	ts := httptest.NewServer(server)
	defer ts.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	fleet := agents.Fleet{
		N: 1, Agent: agents.ClaudeCode{Path: path}, Runner: agents.Local{Scratch: t.TempDir()}, Dir: dir,
		Phases:  []agents.Phase{{ID: "only", Prompt: "wait", AllowedTools: []string{"Bash"}, MaxTurns: 9}},
		BaseURL: ts.URL, Model: "qwen3-coder",
	}
	go func() {
		waitFor(t, "the agent's command to start", func() bool {
			_, err := os.Stat(filepath.Join(dir, "agent0/workspace/started"))
			return err == nil
		})
		cancel()
	}()
	results, err := fleet.Run(ctx)
	if err == nil || len(results) != 1 || len(results[0].Phases) != 1 {
		t.Fatalf("%v, %+v", err, results)
	}
	if p := results[0].Phases[0]; p.OK || !strings.Contains(p.Reason, "canceled") || p.ToolCalls["Bash"] != 1 {
		t.Errorf("%+v", p)
	}
	nothingLeft(t, "sleep 986")
	nothingLeft(t, "sleep 985")
}
