package report

import (
	"github.com/x/dail/gates"
	"github.com/x/dail/slo"
)

// Agent is one of a level's N agents. Passed, Gates, Tokens and WallTime are
// the original's keys.
type Agent struct {
	Agent int `json:"agent"`
	// Passed is set where there is at least one gate and all passed.
	Passed bool   `json:"passed"`
	Gates  []Gate `json:"gates"`
	Tokens Tokens `json:"tokens"`
	// WallTime is from the agent's start to its end, in seconds.
	WallTime float64 `json:"wall_time"`
	// Rounds is how often it began its work, where it was kept busy; its phases,
	// tokens and gates are the first round's.
	Rounds      int  `json:"rounds,omitempty"`
	GateTimeout bool `json:"gate_timeout,omitempty"`

	// Finished is set where every phase was run and succeeded; Unfinished says
	// why it is not.
	Finished   bool   `json:"finished,omitempty"`
	Unfinished string `json:"unfinished,omitempty"`
	// OK is set by Finish where the agent did the work: it finished without an
	// API error, made at least one tool call, and passed. Reason says what is
	// missing.
	OK     bool    `json:"ok,omitempty"`
	Reason string  `json:"reason,omitempty"`
	Phases []Phase `json:"phases,omitempty"`
	// Perceived is this agent's own share of the level's.
	Perceived *slo.Perceived `json:"perceived,omitempty"`
}

// Gate is one check of an agent's work, as gates.Score found it. EnvError is set
// where it could not be judged, through no fault of the agent.
type Gate = gates.Result

// Phase is one headless session of an agent.
type Phase struct {
	Phase   string `json:"phase"`
	OK      bool   `json:"ok"`
	Reason  string `json:"reason,omitempty"` // why it is not
	Session string `json:"session_id,omitempty"`
	Version string `json:"version,omitempty"` // of the agent program
	// Turns are model requests: distinct message ids.
	Turns      int            `json:"turns"`
	ToolCalls  map[string]int `json:"tool_calls,omitempty"` // by tool
	ToolErrors int            `json:"tool_errors"`
	Tokens     Tokens         `json:"tokens"`
	CacheRead  int64          `json:"cache_read,omitempty"` // the part of Tokens.Prompt that a cache held
	APIErrors  []string       `json:"api_errors,omitempty"`
	Retries    int            `json:"retries,omitempty"`
	ExitCode   int            `json:"exit_code"`
	Signal     string         `json:"signal,omitempty"`
	Subtype    string         `json:"subtype,omitempty"` // of the client's result event
	WallTime   float64        `json:"wall_time"`
	StderrTail string         `json:"stderr_tail,omitempty"`
}

// toolCalls is how often the agent used a tool, over all phases.
func (a Agent) toolCalls() int {
	n := 0
	for _, p := range a.Phases {
		for _, calls := range p.ToolCalls {
			n += calls
		}
	}
	return n
}
