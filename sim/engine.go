package sim

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// An Engine is a vLLM-like engine without a clock: continuous batching with
// chunked prefill under a token budget, a paged KV cache with a prefix cache,
// first come first served, the newest preempted when the cache is full.
//
// Time is a duration since the engine's own beginning. The engine does
// nothing by itself: Next says when something happens next, Step makes it
// happen. Whoever drives it decides what that means: a server waits until the
// wall clock has come so far, a forecast does not wait at all.
//
//	for {
//		at, ok := e.Next()
//		if !ok || at > until {
//			break
//		}
//		for _, ev := range e.Step() { … }
//	}
//
// An Engine is not safe for concurrent use.
type Engine struct {
	cfg   Config
	pace  Pace // nil: steps
	cache *kvCache
	stats *stats
	rng   *rand.Rand

	clock   time.Duration // the end of the last step
	waiting []*sequence   // preempted ones first, then by (arrival, id)
	running []*sequence   // in the order of admission
	live    map[int64]*sequence
	nextID  int64

	// stuck is the head of the queue, which did not fit under stuckBudget.
	// Looking again is dear, and useless until blocks are freed, a block of
	// its own prompt is computed by another, or the budget is smaller.
	stuck       *sequence
	stuckBudget int

	flight    []*sequence // the sequences of the step in flight
	flightEnd time.Duration
	inFlight  bool
	due       paceHeap // only with a pace

	events []Event
}

// Job is a request as the engine sees it. The tokens of the answer are known
// from the start, since nobody computes them; the engine decides when they
// come.
type Job struct {
	Arrival   time.Duration // engine time
	Prompt    []uint32      // at least one token
	Output    []uint32      // at least one token; the last one ends the request
	Finish    string        // "stop" or "length", for vllm:request_success
	MaxTokens int           // what the request asked for, for vllm:request_params_max_tokens
}

// Event is the arrival of tokens.
type Event struct {
	ID     int64
	At     time.Duration
	Tokens int  // tokens that came with this event
	Total  int  // tokens of the answer that are there now
	Cached int  // prompt tokens that the prefix cache held
	Done   bool // the last token is there
}

// NewEngine returns an engine at time 0.
func NewEngine(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:   cfg,
		stats: newStats(cfg.MaxModelLen, cfg.Speculative.Tokens),
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0x6461696c)),
		live:  make(map[int64]*sequence),
	}
	e.pace, _ = cfg.Step.(Pace)
	e.cache = newKVCache(cfg.KVTokens/cfg.BlockSize, cfg.BlockSize)
	e.cache.grow = e.pace != nil
	return e, nil
}

// Submit hands the engine a job and returns its number. Jobs of the same
// arrival are served in the order of their submission.
func (e *Engine) Submit(j Job) (int64, error) {
	switch n := len(j.Prompt) + len(j.Output); {
	case len(j.Prompt) == 0:
		return 0, fmt.Errorf("sim: job has no prompt tokens; give at least one")
	case len(j.Output) == 0:
		return 0, fmt.Errorf("sim: job has no output tokens; give at least one")
	case n > e.cfg.MaxModelLen:
		return 0, fmt.Errorf("sim: job has %d prompt and %d output tokens, together %d, above max_model_len %d; shorten it",
			len(j.Prompt), len(j.Output), n, e.cfg.MaxModelLen)
	}
	s := newSequence(e.nextID, j, e.cfg.BlockSize)
	e.nextID++
	e.live[s.id] = s
	if e.pace != nil {
		e.admitPaced(s)
		return s.id, nil
	}
	i, _ := slices.BinarySearchFunc(e.waiting, s, func(w, s *sequence) int {
		if w.preemptions > 0 || w.job.Arrival < s.job.Arrival || w.job.Arrival == s.job.Arrival && w.id < s.id {
			return -1
		}
		return 1
	})
	e.waiting = slices.Insert(e.waiting, i, s)
	return s.id, nil
}

// Abort ends a request whose client has gone. Its blocks are free at once; the
// step in flight takes as long as it would have. Aborting a request that is
// over does nothing.
func (e *Engine) Abort(id int64) {
	s, ok := e.live[id]
	if !ok {
		return
	}
	delete(e.live, id)
	s.state = stateAborted
	if i := slices.Index(e.running, s); i >= 0 {
		e.running = slices.Delete(e.running, i, i+1)
	} else if i := slices.Index(e.waiting, s); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
	}
	if i := slices.Index(e.due, s); i >= 0 {
		heap.Remove(&e.due, i)
	}
	e.release(s)
}

// Next returns when the engine does something next: the end of the step in
// flight, or the start of a step. False: there is no work.
func (e *Engine) Next() (time.Duration, bool) {
	switch {
	case e.pace != nil:
		if len(e.due) == 0 {
			return 0, false
		}
		return e.due[0].dueAt, true
	case e.inFlight:
		return e.flightEnd, true
	case len(e.running) > 0:
		return e.clock, true
	case len(e.waiting) > 0:
		return max(e.clock, e.waiting[0].job.Arrival), true
	}
	return 0, false
}

// Step does what Next announced. The events are valid until the next call.
func (e *Engine) Step() []Event {
	e.events = e.events[:0]
	at, ok := e.Next()
	switch {
	case !ok:
	case e.pace != nil:
		e.stepPaced(at)
	case e.inFlight:
		e.finish()
	default:
		e.start(at)
	}
	return e.events
}

// start forms a batch from what is there at the given time and sets it going.
func (e *Engine) start(at time.Duration) {
	batch := e.schedule(at)
	d := e.cfg.Step.Step(batch)
	if sigma := e.cfg.Jitter; sigma > 0 {
		d = time.Duration(float64(d) * math.Exp(sigma*e.rng.NormFloat64()-sigma*sigma/2))
	}
	e.inFlight = true
	e.flightEnd = at + max(d, 1)
}

// finish ends the step in flight and hands out its tokens.
func (e *Engine) finish() {
	e.inFlight = false
	e.clock = e.flightEnd
	iteration := 0
	for _, s := range e.flight {
		if s.state != stateRunning { // aborted meanwhile
			continue
		}
		s.computed += s.scheduled
		e.registerBlocks(s)
		if s.computed < s.known {
			continue // a chunk of a prompt
		}
		if s.generated == 0 {
			iteration += len(s.job.Prompt) - s.cached
		}
		n := 1
		if s.decoding {
			n += e.accepted()
		}
		n = min(n, len(s.job.Output)-s.generated)
		for n > 1 && !e.growBlocks(s, s.computed+n-1) {
			n-- // no room for the KV of a drafted token: it is not kept
		}
		s.computed += n - 1 // accepted drafts went through the model with their step
		iteration += n
		e.emit(s, e.clock, n)
	}
	if iteration > 0 { // vLLM counts no step without an output
		e.stats.iterTokens.observe(int64(iteration))
	}
	e.running = slices.DeleteFunc(e.running, func(s *sequence) bool { return s.state == stateDone })
}

// accepted draws how many drafted tokens a sequence keeps: each is accepted
// with the same probability, as long as all before it were.
func (e *Engine) accepted() int {
	spec := e.cfg.Speculative
	if spec.Tokens == 0 {
		return 0
	}
	n := 0
	for n < spec.Tokens && e.rng.Float64() < spec.Acceptance {
		e.stats.acceptedPerPos[n]++
		n++
	}
	e.stats.drafts++
	e.stats.draftTokens += int64(spec.Tokens)
	e.stats.acceptedTokens += int64(n)
	return n
}

// emit records n new tokens of a sequence at a time, in the places and at the
// moments where vLLM records them, and ends the sequence with its last one.
func (e *Engine) emit(s *sequence, at time.Duration, n int) {
	st := e.stats
	if s.generated == 0 {
		st.ttft.observe(int64(at - s.job.Arrival))
		st.promptTokens += int64(len(s.job.Prompt))
		st.cachedTokens += int64(s.cached)
		s.firstAt = at
	} else {
		st.itl.observe(int64(at - s.lastAt)) // once per event, however many tokens it carries
	}
	st.generatedTokens += int64(n)
	s.lastAt = at
	s.advance(n, e.cfg.BlockSize)
	over := s.generated == len(s.job.Output)
	if over {
		e.end(s)
	}
	e.events = append(e.events, Event{ID: s.id, At: at, Tokens: n, Total: s.generated, Cached: s.cached, Done: over})
}

func (e *Engine) end(s *sequence) {
	s.state = stateDone
	delete(e.live, s.id)
	e.release(s)

	st, gen := e.stats, s.generated
	st.e2e.observe(int64(s.lastAt - s.job.Arrival))
	st.queue.observe(int64(s.scheduledAt - s.job.Arrival))
	st.prefill.observe(int64(s.firstAt - s.scheduledAt))
	st.decode.observe(int64(s.lastAt - s.firstAt))
	st.inference.observe(int64(s.lastAt - s.scheduledAt))
	var perToken int64
	if gen > 1 {
		perToken = int64(s.lastAt-s.firstAt) / int64(gen-1)
	}
	st.tpot.observe(perToken)
	st.promptLen.observe(int64(len(s.job.Prompt)))
	st.generatedLen.observe(int64(gen))
	st.maxGenerated.observe(int64(gen))
	st.maxTokens.observe(int64(s.job.MaxTokens))
	st.computedLen.observe(int64(len(s.job.Prompt) - s.cached))
	st.params.observe(1)
	if i := slices.Index(finishReasons[:], s.job.Finish); i >= 0 {
		st.finished[i]++
	}
}
