package agents_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/x/dail/agents"
)

// A fleet of four Claude Codes writes a file each. (It is not run here: it
// needs the program and a gateway.)
func ExampleFleet() {
	fleet := agents.Fleet{
		N:      4,
		Agent:  agents.ClaudeCode{MaxOutputTokens: agents.OutputTokens(40960)},
		Runner: agents.Local{},
		Dir:    "artifacts/n4",
		Name:   "n4",
		Phases: []agents.Phase{{
			ID: "hello", Prompt: "Create hello.txt that contains PONG.",
			AllowedTools: []string{"Read", "Write"}, MaxTurns: 5, Timeout: 5 * time.Minute,
		}},
		BaseURL: "http://127.0.0.1:4000",
		Model:   "qwen3-coder",
		Observe: func(e agents.Event) { log.Println(e.Agent, e.Phase, e.Kind, e.Detail) },
	}
	results, err := fleet.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Agent, r.OK, r.Reason)
	}
}

// greeter is an agent of its own kind: a shell that greets. Its reader counts
// lines as turns.
type greeter struct{}

func (greeter) Command(job agents.Job) (agents.Command, error) {
	return agents.Command{Argv: []string{"sh", "-c", `echo "$1" > greeting.txt; echo done`, "sh", job.Phase.Prompt}}, nil
}

func (greeter) Reader() agents.Reader { return &greeting{} }

type greeting struct{ lines int }

func (g *greeting) Line(time.Time, []byte) []agents.Event {
	g.lines++
	return []agents.Event{{Kind: agents.Request, Requests: g.lines}}
}

func (g *greeting) Done() bool { return false }

func (g *greeting) Result(end agents.End) (agents.PhaseResult, bool) {
	return agents.PhaseResult{Turns: g.lines, ExitCode: end.Exit.Code, OK: end.Exit.Code == 0}, false
}

// Another client is a type that makes a command and reads what it prints.
func ExampleAgent() {
	dir, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	results, err := agents.Fleet{
		N: 2, Agent: greeter{}, Runner: agents.Local{}, Dir: dir, BaseURL: "http://127.0.0.1:4000",
		Phases: []agents.Phase{{ID: "greet", Prompt: "Good morning."}},
	}.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		text, _ := os.ReadFile(filepath.Join(r.Workspace, "greeting.txt"))
		fmt.Printf("agent %d: %v, %d turn, %s", r.Agent, r.OK, r.Phases[0].Turns, text)
	}
	// Output:
	// agent 0: true, 1 turn, Good morning.
	// agent 1: true, 1 turn, Good morning.
}

// What belongs into a report: the settings that every agent has.
func ExampleClaudeCode_Settings() {
	c := agents.ClaudeCode{Env: map[string]string{
		"CLAUDE_CODE_MAX_RETRIES":         "0", // set
		"CLAUDE_CODE_DISABLE_AUTO_MEMORY": "",  // taken away
	}}
	env := c.Settings()
	_, memory := env["CLAUDE_CODE_DISABLE_AUTO_MEMORY"]
	fmt.Println(env["CLAUDE_CODE_MAX_RETRIES"], env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"], memory)
	// Output: 0 32000 false
}
