package sim

import (
	"fmt"
	"time"
)

// A StepModel says how long the engine takes for one step. It must be pure:
// the same batch takes the same time, and nothing outside is read.
//
// [*Roofline] is the model of a real card; [Fixed] is one of known times.
type StepModel interface {
	// Step returns the time from the start of a step to its tokens.
	Step(Batch) time.Duration
}

// A Pace is a StepModel in which requests do not disturb one another: each has
// a schedule of its own, counted from its arrival, whatever else the engine
// does. An engine with a Pace never queues, never preempts and has as much KV
// cache as it is asked for, so its figures are known before it runs.
type Pace interface {
	StepModel
	// First returns the time from the arrival of the request to its first
	// token. Requests are numbered from 0 in the order of their submission.
	First(request int64) time.Duration
	// Gap returns the time between token k-1 and token k of the request,
	// for k from 1.
	Gap(request int64, k int) time.Duration
}

// Batch is the work of one step, in the sums that a step's time depends on.
type Batch struct {
	// Decode is the number of sequences that decode, DecodeTokens the tokens
	// they run through the model (more than Decode with speculation), and
	// DecodeContext the tokens of KV cache they read, together.
	Decode, DecodeTokens, DecodeContext int
	// Prefill is the number of prompt tokens computed. PrefillPairs is the
	// number of (query, key) pairs their attention visits: n·(c + n/2) for a
	// chunk of n tokens after c that are there already.
	Prefill      int
	PrefillPairs int64
	// Samples is the number of sequences for which a token is sampled.
	Samples int
	// Draft is the number of tokens that are drafted for each decoding
	// sequence; 0 without speculation.
	Draft int
}

// Tokens returns the tokens that the step runs through the model.
func (b Batch) Tokens() int { return b.DecodeTokens + b.Prefill }

// Fixed is a [Pace] of exact times: every request gets its first token TTFT
// after its arrival and one more every ITL after that, whatever the batch.
type Fixed struct {
	TTFT time.Duration // arrival to first token
	ITL  time.Duration // token to token
}

// Step returns the time of a decode step. The engine paces requests by First
// and Gap instead; Step is there for whoever asks about a single batch.
func (f Fixed) Step(b Batch) time.Duration {
	if b.Prefill > 0 {
		return f.TTFT
	}
	return f.ITL
}

// First implements [Pace].
func (f Fixed) First(int64) time.Duration { return f.TTFT }

// Gap implements [Pace].
func (f Fixed) Gap(int64, int) time.Duration { return f.ITL }

func (f Fixed) validate() error {
	if f.TTFT < 0 || f.ITL < 0 {
		return fmt.Errorf("sim: Fixed{TTFT: %v, ITL: %v}: a time is negative; give times of 0 or more", f.TTFT, f.ITL)
	}
	return nil
}
