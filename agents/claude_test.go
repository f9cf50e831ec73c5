package agents_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/agents"
)

func TestClaudeCodeCommand(t *testing.T) {
	view := agents.View{Workspace: "/w", Home: "/h", Config: "/c", Temp: "/t", Gateway: "http://gw"}
	tests := []struct {
		name    string
		agent   agents.ClaudeCode
		phase   agents.Phase
		args    []string // pairs that must be there
		without []string // flags that must not
	}{
		{"the client's own prompt and tools", agents.ClaudeCode{}, agents.Phase{AllowedTools: []string{"Bash", "Read"}, MaxTurns: 7},
			[]string{"--allowedTools", "Bash,Read", "--max-turns", "7", "--model", "qwen", "--output-format", "stream-json", "--setting-sources", ""},
			[]string{"--tools", "--bare", "--exclude-dynamic-system-prompt-sections"}},
		{"narrowed for all", agents.ClaudeCode{Tools: []string{"Read"}}, agents.Phase{}, []string{"--tools", "Read"}, []string{"--max-turns", "--allowedTools"}},
		{"narrowed for a phase", agents.ClaudeCode{Tools: []string{"Read"}}, agents.Phase{Tools: []string{"Bash", "Edit"}}, []string{"--tools", "Bash,Edit"}, nil},
	}
	for _, tt := range tests {
		tt.phase.Prompt = "-- do it"
		cmd, err := tt.agent.Command(agents.Job{Phase: tt.phase, View: view, Model: "qwen", Token: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(tt.args); i += 2 {
			if at := slices.Index(cmd.Argv, tt.args[i]); at < 0 || cmd.Argv[at+1] != tt.args[i+1] {
				t.Errorf("%s: %q lacks %s %q", tt.name, cmd.Argv, tt.args[i], tt.args[i+1])
			}
		}
		for _, flag := range tt.without {
			if slices.Contains(cmd.Argv, flag) {
				t.Errorf("%s: %q has %s", tt.name, cmd.Argv, flag)
			}
		}
		if cmd.Stdin != "-- do it" || cmd.Secret["ANTHROPIC_AUTH_TOKEN"] != "secret" || strings.Contains(strings.Join(cmd.Argv, " "), "secret") {
			t.Errorf("%s: %+v", tt.name, cmd)
		}
		for k, want := range map[string]string{"ANTHROPIC_BASE_URL": "http://gw", "CLAUDE_CONFIG_DIR": "/c", "CLAUDE_CODE_TMPDIR": "/t"} {
			if cmd.Env[k] != want {
				t.Errorf("%s: %s=%s, want %s", tt.name, k, cmd.Env[k], want)
			}
		}
	}
}

func TestOutputTokens(t *testing.T) {
	for context, want := range map[int]int{0: 32000, 200000: 32000, 65536: 32000, 40960: 20480, 1: 1} {
		if got := agents.OutputTokens(context); got != want {
			t.Errorf("OutputTokens(%d) = %d, want %d", context, got, want)
		}
	}
}
