// Package virtual runs a level without waiting for it: N light agents, each
// asking for its next answer when it has had the last one and its tools are
// done, against sim's engine in virtual time.
//
// What a measurement would see comes from the engine's own /metrics page; what
// really happened stands in a log of every request. A level of five minutes
// takes some tens of milliseconds, so that what dail does with levels (its
// figures, its search for the largest team) can be held to the truth.
//
//	l, err := virtual.Start(cfg, virtual.DevLoad(8, 1))
//	before, err := l.Snapshot()
//	for !l.Done() {
//		l.Advance(time.Second)
//	}
//	after, err := l.Snapshot()
//	w, err := slo.Delta(before, after)
package virtual

import (
	"math"
	"math/rand/v2"
	"time"
)

// Load is what N agents ask for.
type Load struct {
	N int
	// System is the beginning of every prompt, in tokens: the client's
	// instructions and tools, the same for all agents.
	System int
	// Phases are sessions: the prompt of each begins anew after System.
	Phases []Phase
	// Spread is the standard deviation of the logarithm of an answer's length
	// and of a tool's time around their mean; 0: all are the same.
	Spread float64
	// Busy lets an agent that is done begin again, until Stop.
	Busy bool
	// Patience, above 0, is how long an agent waits for an answer before it
	// gives up: the request is aborted, and asked again.
	Patience time.Duration
	Seed     uint64
}

// Phase is one session of an agent.
type Phase struct {
	Task  int // tokens of what it is asked
	Turns int // requests
	// Output is the mean of an answer's tokens, Result that of what a tool's
	// result adds to the prompt, Tool that of the time between an answer and
	// the next request.
	Output, Result int
	Tool           time.Duration
}

// DevLoad resembles the dev-load benchmark with its cassette: requests, prompt
// and answer lengths per phase are those of its runs with Claude Code 2.1.330
// (results/qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-051803: 29 requests,
// 7,435 tokens of output and 431,000 of prompt per agent), the tools' time is
// what its agents did not spend waiting for the server.
func DevLoad(n int, seed uint64) Load {
	const tool = 450 * time.Millisecond
	return Load{N: n, System: 12_500, Spread: 0.4, Seed: seed, Phases: []Phase{
		{Task: 300, Turns: 5, Output: 340, Result: 60, Tool: tool},
		{Task: 300, Turns: 8, Output: 334, Result: 60, Tool: tool},
		{Task: 300, Turns: 9, Output: 257, Result: 300, Tool: tool},
		{Task: 300, Turns: 7, Output: 107, Result: 700, Tool: tool},
	}}
}

// agent is one closed loop.
type agent struct {
	n      int
	rng    *rand.Rand
	phase  int
	turn   int
	prompt []uint32
	next   time.Duration // when it asks next
	waits  bool          // for an answer
	id     int64         // of the request it waits for,
	answer []uint32      // and what it will get
	rounds int           // how often it has done its work
	asked  int           // requests that were answered
	over   bool
}

// spread draws around a mean.
func (a *agent) spread(mean, sigma float64) float64 {
	return mean * math.Exp(sigma*a.rng.NormFloat64()-sigma*sigma/2)
}

// tokens draws token ids that no other prompt has.
func (a *agent) tokens(n int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = a.rng.Uint32()
	}
	return ids
}
