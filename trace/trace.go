// Package trace is the record of one model request as the gateway saw it, and
// its file format: one JSON object per line.
//
// The gateway writes a [Record] for every request, always. What the agents
// perceived (report's perceived figures), the retries that no event shows, and
// the delivered load are all read from these lines, so a number in the report
// can be followed to the requests behind it.
//
//	w := trace.NewWriter(f)
//	gateway.Trace = func(r trace.Record) { w.Write(r) }
//	…
//	records, err := trace.Read(f)
package trace

import "time"

// Record is one request, from its arrival at the gateway to its last byte.
// Durations are in seconds and count from Arrival.
type Record struct {
	// ID is the request's id: the client's X-Request-Id, or one that the
	// gateway made.
	ID string `json:"id"`
	// Level, Agent and Phase say who asked. Agent counts from 0; it is -1 for
	// a caller that the gateway does not know.
	Level string `json:"level,omitempty"`
	Agent int    `json:"agent"`
	Phase string `json:"phase,omitempty"`
	// Session is the client's own session id, where it sends one.
	Session string `json:"session,omitempty"`
	// Dialect is the API the client spoke: "messages" (Anthropic) or "chat"
	// (OpenAI chat completions).
	Dialect string `json:"dialect"`
	// BodyHash names the request's body; the same session sending the same
	// body again is a retry.
	BodyHash string `json:"body_hash,omitempty"`
	// Retry is set where the same session had sent the same body before.
	Retry bool `json:"retry,omitempty"`
	// Streamed says whether the client asked for a stream.
	Streamed bool `json:"streamed"`

	// Arrival is when the request's header had been read.
	Arrival time.Time `json:"arrival"`
	// QueueS is how long the gateway held the request before it asked the
	// server: reading the body and translating it.
	QueueS float64 `json:"queue_s"`
	// UpstreamS is when the server's answer had been read whole.
	UpstreamS float64 `json:"upstream_s,omitempty"`
	// FirstByteS is when the first byte of the answer itself (no keep-alive)
	// went to the client; 0 where none did.
	FirstByteS float64 `json:"first_byte_s,omitempty"`
	// EndS is when the last byte was written, or the request failed.
	EndS float64 `json:"end_s"`
	// ToolGapS is the time between the end of this session's last request and
	// this one's arrival: what the agent spent on tools. 0 for the first.
	ToolGapS float64 `json:"tool_gap_s,omitempty"`

	// PromptTokens counts the whole prompt, CachedTokens the part of it that
	// the server's prefix cache held, OutputTokens the answer; all as the
	// server counted them.
	PromptTokens int `json:"prompt_tokens"`
	CachedTokens int `json:"cached_tokens"`
	OutputTokens int `json:"output_tokens"`

	// PromptBytes is the length of the prompt as it was sent to the server
	// (tools and messages, as JSON). OwnPrefixBytes is how much of its beginning
	// the same agent, SharedPrefixBytes how much of it any other agent of the
	// level, had sent before, in blocks of 64 bytes: what a prefix cache that
	// forgets nothing would have known. 0 for an unknown agent.
	PromptBytes       int `json:"prompt_bytes,omitempty"`
	OwnPrefixBytes    int `json:"own_prefix_bytes,omitempty"`
	SharedPrefixBytes int `json:"shared_prefix_bytes,omitempty"`

	// Status is the HTTP status the client saw; 0 where it left before one.
	Status int `json:"status"`
	// StopReason is why the answer ended, in the client's dialect.
	StopReason string `json:"stop_reason,omitempty"`
	// Error is what went wrong, where something did.
	Error string `json:"error,omitempty"`
	// Repairs names what the gateway mended in the answer.
	Repairs []string `json:"repairs,omitempty"`
}

// OK reports whether the request was answered.
func (r Record) OK() bool { return r.Status >= 200 && r.Status < 300 && r.Error == "" }
