package agents

import "time"

// Phase is one headless session of the agent: a new client process in the
// same workspace, so that nothing but files passes from phase to phase.
type Phase struct {
	// ID names the phase in events, results and transcript files.
	ID string
	// Title is for people.
	Title string
	// Prompt is what the agent is asked.
	Prompt string
	// AllowedTools are the tools that the agent may use without being asked.
	// They grant; they do not change what the model is offered.
	AllowedTools []string
	// Tools narrows the tools that the model is offered, over the agent's own
	// setting. Empty: the agent's setting.
	Tools []string
	// MaxTurns bounds the model requests. 0: no bound of ours.
	MaxTurns int
	// Timeout bounds the wall time. 0: 30 minutes.
	Timeout time.Duration
}

// DefaultTimeout is a phase's wall time where Phase.Timeout is 0.
const DefaultTimeout = 30 * time.Minute

// Kind says what an Event reports.
type Kind string

// The kinds of events. A request is seen when its answer arrives, that is when
// the client prints a model message that it had not printed before.
const (
	AgentStart Kind = "agent-start"
	PhaseStart Kind = "phase-start"
	Request    Kind = "request"
	Tool       Kind = "tool"
	ToolError  Kind = "tool-error"
	Retry      Kind = "retry"
	PhaseEnd   Kind = "phase-end"
	AgentAgain Kind = "agent-again" // it begins another round; see Fleet.Enough
	AgentEnd   Kind = "agent-end"
)

// Event is one step of one agent, as it happens.
type Event struct {
	Time  time.Time
	Agent int
	Phase string // empty for AgentStart, AgentAgain and AgentEnd
	Kind  Kind
	// Detail is the tool's name, the retry's cause, or the reason why a phase
	// or an agent failed (empty where it succeeded).
	Detail string
	// Requests counts this phase's model requests so far.
	Requests int
}

// Result is what became of one agent.
type Result struct {
	Agent int `json:"agent"`
	// Workspace is the folder on this machine that holds the agent's work; empty
	// where it was removed, see Fleet.Enough.
	Workspace string `json:"workspace"`
	// Phases holds the phases that were started, in order.
	Phases []PhaseResult `json:"phases"`
	Start  time.Time     `json:"start"`
	End    time.Time     `json:"end"`
	// OK says that every phase was run and succeeded. Reason says why not.
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
	// Later are the rounds after the first, in which it did its phases again to
	// keep the load up; the last one was cut off. See Fleet.Enough.
	Later []Result `json:"later,omitempty"`
}

// requests is how many model requests were answered.
func (r Result) requests() int {
	n := 0
	for _, p := range r.Phases {
		n += p.Turns
	}
	return n
}

// Tokens counts one session's tokens, as the client adds up what the server
// told it, over every model it used.
type Tokens struct {
	// Input are prompt tokens that were not read from a cache.
	Input int `json:"input"`
	// CacheRead are prompt tokens that were.
	CacheRead int `json:"cache_read"`
	Output    int `json:"output"`
}

// Total is all of them, cache reads included.
func (t Tokens) Total() int { return t.Input + t.CacheRead + t.Output }

// PhaseResult is what became of one phase.
type PhaseResult struct {
	Phase        string `json:"phase"`
	SessionID    string `json:"session_id,omitempty"`
	AgentVersion string `json:"agent_version,omitempty"`
	Model        string `json:"model,omitempty"`
	// OfferedTools is what the client said it offers to the model.
	OfferedTools []string `json:"offered_tools,omitempty"`

	// ExitCode is the client's exit status; -1 where a signal ended it (then
	// Signal names it) or it never started.
	ExitCode int    `json:"exit_code"`
	Signal   string `json:"signal,omitempty"`
	// Lingered says that the client gave its result but did not end within the
	// grace time, and was ended by us. Its exit status then says nothing.
	Lingered bool `json:"lingered,omitempty"`
	// TimedOut says that the phase's wall time was up.
	TimedOut bool `json:"timed_out,omitempty"`
	// Leftovers counts the processes that the client left behind and that were
	// ended with the phase.
	Leftovers int `json:"leftovers,omitempty"`

	// Turns is the number of distinct message ids, that is of answered model
	// requests, subagents' included. It is not the client's num_turns.
	Turns int `json:"turns"`
	// ToolCalls counts tool calls by tool; ToolErrors counts the results that
	// were errors.
	ToolCalls  map[string]int `json:"tool_calls,omitempty"`
	ToolErrors int            `json:"tool_errors"`
	Tokens     Tokens         `json:"tokens"`
	// APIErrors holds the errors of the model's API that the client told of. A
	// phase can be OK in spite of one, where the client found a way on.
	APIErrors []string `json:"api_errors,omitempty"`
	// Retries counts the client's announced retries. It has silent ones too,
	// which only the gateway sees.
	Retries int `json:"retries"`
	// Subtype and Text are the result event's; both are empty without one.
	Subtype string `json:"subtype,omitempty"`
	Text    string `json:"text,omitempty"`
	// BadLines counts the lines of the transcript that were not understood.
	BadLines int `json:"bad_lines,omitempty"`

	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// FirstAnswer and LastAnswer are when the first and the last model message
	// were seen; zero where none was.
	FirstAnswer time.Time     `json:"first_answer"`
	LastAnswer  time.Time     `json:"last_answer"`
	WallTime    time.Duration `json:"wall_time_ns"`

	// OK says that every sign of success agrees. Reason says which did not.
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
	// StderrTail is the end of what the client wrote to stderr.
	StderrTail string `json:"stderr_tail,omitempty"`
	// Env is what was set in the client's environment, secrets left out.
	Env map[string]string `json:"env,omitempty"`
}
