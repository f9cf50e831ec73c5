package agents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/x/dail/agents"
)

// fake returns a fleet of fake agents whose phases play the scripts.
func fake(t *testing.T, n int, scripts ...string) agents.Fleet {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := agents.Fleet{
		N: n, Dir: t.TempDir(), Name: "test", BaseURL: "http://gateway.invalid", Model: "qwen",
		Agent:  agents.ClaudeCode{Path: self, Env: map[string]string{"DAIL_TEST_CLAUDE": "1"}},
		Runner: agents.Local{Scratch: t.TempDir(), Grace: 200 * time.Millisecond},
		Token:  func(agent int, phase string) string { return fmt.Sprintf("tok-%s-agent%d", phase, agent) },
	}
	for i, s := range scripts {
		f.Phases = append(f.Phases, agents.Phase{ID: fmt.Sprintf("p%d", i+1), Prompt: s})
	}
	return f
}

// one runs a fleet of one phase and returns the first agent's.
func one(t *testing.T, f agents.Fleet) agents.PhaseResult {
	t.Helper()
	results, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(results[0].Phases) == 0 {
		t.Fatalf("%+v", results[0])
	}
	return results[0].Phases[0]
}

func TestFleetRunsAllPhasesOfAllAgents(t *testing.T) {
	f := fake(t, 3, "ok", "note", "note")
	f.Seed = fstest.MapFS{"docs/readme.md": {Data: []byte("hello")}}
	var inside atomic.Int32
	kinds := map[int][]string{}
	f.Observe = func(e agents.Event) {
		if inside.Add(1) != 1 {
			t.Error("Observe was called by two at once")
		}
		defer inside.Add(-1)
		if e.Time.IsZero() {
			t.Errorf("an event without a time: %+v", e)
		}
		kinds[e.Agent] = append(kinds[e.Agent], strings.TrimSuffix(string(e.Kind)+" "+e.Phase, " "))
	}
	results, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"agent-start", "phase-start p1", "request p1", "tool p1", "request p1", "tool p1", "tool-error p1", "request p1", "phase-end p1",
		"phase-start p2", "request p2", "phase-end p2", "phase-start p3", "request p3", "phase-end p3", "agent-end",
	}
	for i, r := range results {
		if r.Agent != i || !r.OK || len(r.Phases) != 3 || r.End.Before(r.Start) {
			t.Errorf("agent %d: %+v", i, r)
		}
		if !slices.Equal(kinds[i], want) {
			t.Errorf("agent %d: events\n%q, want\n%q", i, kinds[i], want)
		}
		for _, name := range []string{"docs/readme.md", "second"} { // the seed; what phase 3 finds of phase 2
			if _, err := os.Stat(filepath.Join(r.Workspace, name)); err != nil {
				t.Error(err)
			}
		}
		for _, p := range r.Phases {
			if p.WallTime <= 0 || p.FirstAnswer.Before(p.Start) || p.LastAnswer.After(p.End) {
				t.Errorf("times of %s: %+v", p.Phase, p)
			}
		}
	}
}

// While there is not enough, agents that have done their work do it again, in a
// fresh workspace; what is under way at the end of it is cut off, the first
// round of the slowest one is not.
func TestFleetKeepsItsAgentsAtWork(t *testing.T) {
	f := fake(t, 3, "note", "only agent1:crash")
	enough := make(chan struct{})
	f.Enough = enough
	var once sync.Once
	again, ended := map[int]int{}, map[int]int{}
	f.Observe = func(e agents.Event) {
		switch e.Kind {
		case agents.AgentAgain:
			again[e.Agent]++
			if again[0] >= 2 && again[1] >= 2 && again[2] >= 2 {
				once.Do(func() { close(enough) })
			}
		case agents.AgentEnd:
			ended[e.Agent]++
		}
	}
	results, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	workspaces := map[string]bool{}
	for i, r := range results {
		if r.OK != (i != 1) || len(r.Phases) == 0 || len(r.Later) != again[i] || again[i] < 2 || ended[i] != 1 {
			t.Errorf("agent %d: OK %v (%s), %d later rounds, began again %d times, ended %d times", i, r.OK, r.Reason, len(r.Later), again[i], ended[i])
		}
		for _, round := range append([]agents.Result{r}, r.Later...) {
			if round.Workspace != "" && workspaces[round.Workspace] {
				t.Errorf("%s was used twice", round.Workspace)
			}
			workspaces[round.Workspace] = true
			if _, err := os.Stat(filepath.Join(round.Workspace, "second")); err == nil {
				t.Errorf("%s is not fresh", round.Workspace)
			}
			if round.Agent != i || round.End.Before(round.Start) {
				t.Errorf("%+v", round)
			}
		}
		if last := r.Later[len(r.Later)-1]; i != 1 && !last.OK && !strings.Contains(last.Reason, "enough was measured") {
			t.Errorf("the last round of %d ended with %q", i, last.Reason)
		}
		// Of a later round the transcripts stay, and the workspace only where it
		// failed; agent 1 fails each time, until it is cut off.
		for k, later := range r.Later {
			dir := filepath.Join(f.Dir, fmt.Sprintf("agent%d-again%d", i, k+1))
			_, err := os.Stat(filepath.Join(dir, "workspace"))
			if cut := strings.Contains(later.Reason, "enough was measured"); !cut && (err == nil) == later.OK || (later.Workspace == "") != (err != nil) {
				t.Errorf("%s, OK %v (%s): workspace %q, %v", dir, later.OK, later.Reason, later.Workspace, err)
			}
			if len(later.Phases) > 0 {
				if found, _ := filepath.Glob(filepath.Join(dir, "phases", "*.jsonl")); len(found) == 0 {
					t.Errorf("%s has no transcripts", dir)
				}
			}
		}
		if _, err := os.Stat(r.Workspace); err != nil {
			t.Errorf("the first round's workspace: %v", err)
		}
	}
}

// An agent that gets no answer is not started again and again.
func TestFleetDoesNotSpinOnAnAgentThatCannotWork(t *testing.T) {
	f := fake(t, 2, "crash")
	f.Enough = make(chan struct{}) // for ever
	results, err := f.Run(t.Context())
	if err != nil || len(results[0].Later) != 0 || len(results[1].Later) != 0 {
		t.Errorf("%v, %+v", err, results)
	}
}

func TestFleetFailureSparesTheNeighbours(t *testing.T) {
	results, err := fake(t, 3, "only agent1:crash", "ok").Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if want := i != 1; r.OK != want {
			t.Errorf("agent %d: OK %v, reason %q", i, r.OK, r.Reason)
		}
	}
	bad := results[1]
	if len(bad.Phases) != 1 || !strings.Contains(bad.Reason, "phase p1: ") || !strings.Contains(bad.Reason, "gave no result") {
		t.Errorf("a crash should end its agent: %+v", bad)
	}
	if got := bad.Phases[0].StderrTail; got != "panic: token is [ANTHROPIC_AUTH_TOKEN]\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestFleetGoesOnAfterAFailedPhaseButNotAfterAnAPIError(t *testing.T) {
	for script, phases := range map[string]int{"max turns": 2, "api error": 1, "crash": 1, "killed": 1} {
		results, err := fake(t, 1, script, "ok").Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r := results[0]; r.OK || len(r.Phases) != phases {
			t.Errorf("after %q: OK %v, %d phases, want %d (%s)", script, r.OK, len(r.Phases), phases, r.Reason)
		}
	}
}

func TestPhaseEndings(t *testing.T) {
	tests := []struct {
		script string
		change func(*agents.Fleet)
		check  func(agents.PhaseResult) bool
	}{
		{"ok", nil, func(p agents.PhaseResult) bool { return p.OK && p.Turns == 3 && p.ExitCode == 0 }},
		{"max turns", nil, func(p agents.PhaseResult) bool { return !p.OK && p.ExitCode == 1 && p.Subtype == "error_max_turns" }},
		{"api error", nil, func(p agents.PhaseResult) bool {
			return !p.OK && p.Retries == 2 && len(p.APIErrors) == 1 && p.Turns == 0
		}},
		{"killed", nil, func(p agents.PhaseResult) bool { return !p.OK && p.Signal == "SIGKILL" && p.ExitCode == -1 }},
		{"garbage", nil, func(p agents.PhaseResult) bool { return p.OK && p.Turns == 1 && p.BadLines == 7 }},
		{"long line", nil, func(p agents.PhaseResult) bool { return p.OK && p.Turns == 2 }},
		{"no such script", nil, func(p agents.PhaseResult) bool {
			return !p.OK && p.ExitCode == 3 && strings.Contains(p.StderrTail, "no script")
		}},
		{"flood", func(f *agents.Fleet) { f.MaxTranscript = 1 << 20 }, func(p agents.PhaseResult) bool {
			return !p.OK && p.Turns == 1 && strings.Contains(p.Reason, "floods the client's output: its transcript grew beyond 1048576 bytes")
		}},
		{"hang", func(f *agents.Fleet) { f.Phases[0].Timeout = 300 * time.Millisecond },
			func(p agents.PhaseResult) bool {
				return !p.OK && p.TimedOut && strings.Contains(p.Reason, "time was up")
			}},
		// By then it ignores the signal, also on a machine that is slow to start it.
		{"hang, ignoring SIGTERM", func(f *agents.Fleet) { f.Phases[0].Timeout = 5 * time.Second },
			func(p agents.PhaseResult) bool { return !p.OK && p.TimedOut && p.Signal == "SIGKILL" }},
		{"hang after result", func(f *agents.Fleet) { f.Linger = 100 * time.Millisecond },
			func(p agents.PhaseResult) bool { return p.OK && p.Lingered && p.Text == "All done." }},
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			t.Parallel()
			f := fake(t, 1, tt.script)
			if tt.change != nil {
				tt.change(&f)
			}
			if p := one(t, f); !tt.check(p) {
				t.Errorf("%+v", p)
			}
			info, err := os.Stat(filepath.Join(f.Dir, "agent0/phases/p1.jsonl"))
			if err != nil || f.MaxTranscript > 0 && info.Size() > int64(f.MaxTranscript) {
				t.Errorf("the transcript: %v, %+v", err, info)
			}
		})
	}
}

func TestTranscriptsAreKeptWhole(t *testing.T) {
	f := fake(t, 1, "garbage", "wipe", "long line")
	if _, err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(phase string) []byte {
		b, err := os.ReadFile(filepath.Join(f.Dir, "agent0/phases", phase+".jsonl"))
		if err != nil {
			t.Error(err)
		}
		return b
	}
	// The second phase removed the first one's file, as agents may: what is
	// written afterwards is there.
	if _, err := os.Stat(filepath.Join(f.Dir, "agent0/phases/p1.jsonl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the script did not wipe: %v", err)
	}
	if b := read("p3"); len(b) < 5<<20 || !bytes.HasSuffix(b, []byte(success+"\n")) {
		t.Errorf("p3.jsonl has %d bytes", len(b))
	}
	f = fake(t, 1, "garbage")
	one(t, f)
	if b := read("p1"); !bytes.Contains(b, []byte("\nplain text\n{\n")) || !bytes.HasSuffix(b, []byte(`"cut`)) {
		t.Errorf("p1.jsonl:\n%s", b)
	}
}

// TestAgentsGetNoSecrets plants a key in this program's environment, as a
// user's .env does.
func TestAgentsGetNoSecrets(t *testing.T) {
	t.Setenv("RUNPOD_API_KEY", "planted")
	t.Setenv("HF_TOKEN", "planted too")
	if !slices.Contains(os.Environ(), "RUNPOD_API_KEY=planted") {
		t.Fatal("the control failed: the key is not in this program's environment")
	}
	f := fake(t, 1, "tell")
	p := one(t, f)
	var told struct{ Env, Args []string }
	if err := json.Unmarshal([]byte(p.Text), &told); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, kv := range told.Env {
		k, v, _ := strings.Cut(kv, "=")
		names[k] = v
	}
	allowed := slices.Concat(slices.Collect(maps.Keys(p.Env)), []string{
		"PATH", "HOME", "TMPDIR", "LANG", "TERM", "SHELL", "npm_config_update_notifier", "DAIL_AGENT", "ANTHROPIC_AUTH_TOKEN",
		"PWD", "OLDPWD", "SHLVL", "_", // the shell's own
	})
	for k := range names {
		if !slices.Contains(allowed, k) {
			t.Errorf("the agent sees %s", k)
		}
	}
	if names["ANTHROPIC_AUTH_TOKEN"] != "[ANTHROPIC_AUTH_TOKEN]" {
		t.Errorf("the transcript says %q where the token was", names["ANTHROPIC_AUTH_TOKEN"])
	}
	for k, want := range map[string]string{
		"ANTHROPIC_BASE_URL": "http://gateway.invalid", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "qwen", "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "32000",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
	} {
		if names[k] != want || p.Env[k] != want {
			t.Errorf("%s is %q, recorded %q, want %q", k, names[k], p.Env[k], want)
		}
	}
	if names["HOME"] == os.Getenv("HOME") || names["CLAUDE_CONFIG_DIR"] == "" {
		t.Errorf("HOME %q, CLAUDE_CONFIG_DIR %q: not its own", names["HOME"], names["CLAUDE_CONFIG_DIR"])
	}
	if _, err := os.Stat(names["HOME"]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its home folder is still there: %v", err)
	}
	for _, a := range told.Args {
		if strings.Contains(a, "tok-") {
			t.Errorf("the token is in an argument: %q", a)
		}
	}
	_ = filepath.WalkDir(f.Dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if b, _ := os.ReadFile(name); bytes.Contains(b, []byte("tok-")) || bytes.Contains(b, []byte("planted")) {
				t.Errorf("a secret is in %s", name)
			}
		}
		return nil
	})
}

func TestCancelEndsEverythingAndReturnsWhatThereIs(t *testing.T) {
	f := fake(t, 3, "ok", "hang, ignoring SIGTERM", "ok")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	answers := 0
	f.Observe = func(e agents.Event) {
		if e.Phase == "p2" && e.Kind == agents.Request {
			if answers++; answers == f.N {
				cancel(errors.New("the user had enough"))
			}
		}
	}
	results, err := f.Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "had enough") {
		t.Errorf("error %v", err)
	}
	for i, r := range results {
		if r.OK || len(r.Phases) != 2 || !r.Phases[0].OK || !strings.Contains(r.Reason, "phase p2: the user had enough") {
			t.Errorf("agent %d: %+v", i, r)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, self+" -p")
}

func TestPhaseEndsWhatItLeftBehind(t *testing.T) {
	f := fake(t, 2, "daemons", "ok")
	results, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !r.OK || r.Phases[0].Leftovers < 4 {
			t.Errorf("agent %d: OK %v (%s), %d leftovers, want at least the four that it planted", i, r.OK, r.Reason, r.Phases[0].Leftovers)
		}
	}
	noDaemonsLeft(t)
}

func TestFleetThatMakesNoSense(t *testing.T) {
	_, err := agents.Fleet{Phases: []agents.Phase{{ID: "../x"}, {ID: "a"}, {ID: "a"}}}.Run(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"N is 0", "Agent and Runner", "Dir", "BaseURL", `phase id "../x"`, `"a" is used twice`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestWhatCannotStartIsARecordedFailure(t *testing.T) {
	tests := []struct {
		name   string
		change func(*agents.Fleet)
		want   string
	}{
		{"no such program", func(f *agents.Fleet) { f.Agent = agents.ClaudeCode{Path: "/no/such/claude"} }, "cannot run /no/such/claude"},
		{"not on PATH", func(f *agents.Fleet) { f.Agent = agents.ClaudeCode{Path: "no-such-claude"} }, "no-such-claude is in no folder of PATH"},
		{"own variables", func(f *agents.Fleet) {
			f.Agent = agents.ClaudeCode{Env: map[string]string{"ANTHROPIC_BASE_URL": "http://elsewhere"}}
		}, "sets ANTHROPIC_BASE_URL"},
		{"no prompt", func(f *agents.Fleet) { f.Phases[0].Prompt = " " }, `phase "p1" has no prompt`},
		{"a used workspace", func(f *agents.Fleet) {
			if err := os.MkdirAll(filepath.Join(f.Dir, "agent0/workspace/old"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is not empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := fake(t, 1, "ok")
			tt.change(&f)
			results, err := f.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r := results[0]; r.OK || !strings.Contains(r.Reason, tt.want) {
				t.Errorf("%+v, want %q", r, tt.want)
			}
		})
	}
}

// noDaemonsLeft looks for what the daemons script plants.
func noDaemonsLeft(t *testing.T) {
	t.Helper()
	for _, n := range []string{"971", "972", "973", "974"} {
		nothingLeft(t, "sleep "+n)
	}
}

// alive reports whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
