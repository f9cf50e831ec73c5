package agents

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// ClaudeCode runs Claude Code headless (claude -p), as a developer has it: the
// client's own prompt and tools, unless told otherwise. The zero value is
// ready to use.
type ClaudeCode struct {
	// Path is the program, as the place sees it. Empty: "claude", looked up in
	// the place's PATH.
	Path string
	// Tools narrows the tools that the model is offered (--tools), for phases
	// that do not say so themselves. Empty: all of the client's.
	Tools []string
	// MaxOutputTokens is the max_tokens of every request. 0: 32000, which is
	// what the client asks for by itself. It is always set, since newer clients
	// otherwise raise it to 128000 after an answer was cut short.
	// [OutputTokens] gives what a smaller context leaves.
	MaxOutputTokens int
	// Env is laid over DefaultEnv. An empty value takes a variable away.
	Env map[string]string
}

// defaultOutputTokens is the max_tokens that the client sends by itself.
const defaultOutputTokens = 32000

// OutputTokens is the max_tokens that a context of maxModelLen tokens leaves:
// the client's own 32000, but never more than half of the context, because the
// other half has to hold the prompt.
func OutputTokens(maxModelLen int) int {
	if maxModelLen <= 0 {
		return defaultOutputTokens
	}
	return min(defaultOutputTokens, max(1, maxModelLen/2))
}

// DefaultEnv is the environment by which a measurement stays clean. It is
// fixed, because some of it moves prefix sharing or answer lengths; a report
// should hold it, see [ClaudeCode.Settings].
func DefaultEnv() map[string]string {
	return map[string]string{
		// No request to any host but the gateway, and no call for a title.
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
		// No line in the system prompt that differs from session to session,
		// and no git status, which would break the shared prefix at every
		// change of a file.
		"CLAUDE_CODE_ATTRIBUTION_HEADER":       "0",
		"CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS": "1",
		// Phases share files, not memories, and an agent's memory folder is not
		// named in its prompt.
		"CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
		// Without this a command in the background keeps the client from
		// ending.
		"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
		// A slow server is to be measured, not hung up on: 30 minutes.
		"CLAUDE_STREAM_IDLE_TIMEOUT_MS": "1800000",
		"API_TIMEOUT_MS":                "1800000",
	}
}

// Settings is everything that is set the same for every agent and phase, as
// it belongs into a report: DefaultEnv, the bound on output tokens, and Env
// over both.
func (c ClaudeCode) Settings() map[string]string {
	env := DefaultEnv()
	n := c.MaxOutputTokens
	if n <= 0 {
		n = defaultOutputTokens
	}
	env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = strconv.Itoa(n)
	for k, v := range c.Env {
		if v == "" {
			delete(env, k)
			continue
		}
		env[k] = v
	}
	return env
}

// tokenVar is the variable by which the client is handed its secret.
const tokenVar = "ANTHROPIC_AUTH_TOKEN"

// ours are the variables that say where an agent is and whom it asks. Setting
// one of them by hand would break the measurement or leak a key.
var ours = []string{
	tokenVar, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "CLAUDE_CONFIG_DIR",
	"HOME", "TMPDIR", "CLAUDE_CODE_TMPDIR", markVar,
}

// Command implements [Agent].
func (c ClaudeCode) Command(job Job) (Command, error) {
	for _, k := range ours {
		if _, set := c.Env[k]; set {
			return Command{}, fmt.Errorf("agents: the agent's env sets %s, which the fleet itself sets for every agent: remove it from the scenario's agent.env", k)
		}
	}
	if strings.TrimSpace(job.Phase.Prompt) == "" {
		return Command{}, fmt.Errorf("agents: phase %q has no prompt", job.Phase.ID)
	}

	path := c.Path
	if path == "" {
		path = "claude"
	}
	argv := []string{
		path, "-p",
		"--output-format", "stream-json", "--verbose",
		// Edits are taken without asking; what else is allowed follows below.
		"--permission-mode", "acceptEdits",
		// No settings, servers or hooks from anywhere, the workspace included.
		"--setting-sources", "", "--strict-mcp-config",
	}
	if job.Model != "" {
		argv = append(argv, "--model", job.Model)
	}
	if job.Phase.MaxTurns > 0 {
		argv = append(argv, "--max-turns", strconv.Itoa(job.Phase.MaxTurns))
	}
	if len(job.Phase.AllowedTools) > 0 {
		argv = append(argv, "--allowedTools", strings.Join(job.Phase.AllowedTools, ","))
	}
	tools := job.Phase.Tools
	if len(tools) == 0 {
		tools = c.Tools
	}
	if len(tools) > 0 {
		argv = append(argv, "--tools", strings.Join(tools, ","))
	}

	env := c.Settings()
	maps.Copy(env, map[string]string{
		"ANTHROPIC_BASE_URL": job.View.Gateway,
		"CLAUDE_CONFIG_DIR":  job.View.Config,
		// The client's own default is a folder in /tmp that all agents share.
		"CLAUDE_CODE_TMPDIR": job.View.Temp,
	})
	if job.Model != "" {
		// Whatever model the client asks for by a family's name, it is this one.
		for _, k := range []string{"HAIKU", "SONNET", "OPUS"} {
			k = "ANTHROPIC_DEFAULT_" + k + "_MODEL"
			if _, set := c.Env[k]; !set {
				env[k] = job.Model
			}
		}
	}
	token := job.Token
	if token == "" {
		token = "none" // without any the client takes itself for logged out
	}
	return Command{
		Argv:   argv,
		Env:    env,
		Secret: map[string]string{tokenVar: token},
		// Over stdin, a prompt may be of any length and begin with a dash.
		Stdin: job.Phase.Prompt,
	}, nil
}

// Reader implements [Agent].
func (ClaudeCode) Reader() Reader { return newTranscript() }
