package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"
)

// linearStep takes longer for more work, and is quick to compute.
type linearStep struct{}

func (linearStep) Step(b Batch) time.Duration {
	return time.Millisecond + time.Duration(b.Tokens())*10*time.Microsecond + time.Duration(b.DecodeContext)*time.Nanosecond
}

// check verifies what must hold between any two steps.
func (e *Engine) check(t *testing.T) {
	t.Helper()
	c := e.cache
	refs := make([]int32, c.total())
	for _, s := range e.running {
		if got, want := len(s.blocks), e.blocksFor(s.computed); got < want {
			t.Fatalf("sequence %d has %d blocks for %d computed tokens", s.id, got, s.computed)
		}
		for _, b := range s.blocks {
			refs[b]++
		}
		if s.cached >= len(s.job.Prompt) || s.cached%c.blockSize != 0 {
			t.Fatalf("sequence %d: %d of %d prompt tokens cached", s.id, s.cached, len(s.job.Prompt))
		}
	}
	for _, s := range e.waiting {
		if len(s.blocks) != 0 {
			t.Fatalf("sequence %d waits and holds %d blocks", s.id, len(s.blocks))
		}
	}
	free := 0
	for id, n := range refs {
		if c.ref[id] != n {
			t.Fatalf("block %d: %d holders counted, %d are there", id, c.ref[id], n)
		}
		if n == 0 {
			free++
		}
		if h := c.hash[id]; h != 0 && c.byHash[h] != int32(id) {
			t.Fatalf("block %d is registered under a hash that leads elsewhere", id)
		}
	}
	listed := 0
	for id, prev := c.head, int32(-1); id >= 0; prev, id = id, c.next[id] {
		if c.prev[id] != prev || c.ref[id] != 0 {
			t.Fatalf("free list broken at block %d", id)
		}
		listed++
	}
	if listed != free || c.free != free || c.used()+c.free != c.total() {
		t.Fatalf("%d blocks free, %d listed, %d counted, of %d", free, listed, c.free, c.total())
	}
	if len(e.running) > e.cfg.MaxNumSeqs {
		t.Fatalf("%d sequences run, at most %d may", len(e.running), e.cfg.MaxNumSeqs)
	}
}

func randomTokens(rng *rand.Rand, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(rng.IntN(50000))
	}
	return out
}

// randomJobs makes jobs that share prefixes, as agents' requests do.
func randomJobs(rng *rand.Rand, n, maxLen int) []Job {
	shared := randomTokens(rng, maxLen/2)
	var jobs []Job
	var at time.Duration
	for range n {
		if rng.IntN(3) > 0 { // else: at the same moment
			at += time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
		}
		prompt := append([]uint32{}, shared[:rng.IntN(len(shared))]...)
		prompt = append(prompt, randomTokens(rng, 1+rng.IntN(maxLen/4))...)
		output := randomTokens(rng, 1+rng.IntN(maxLen-len(prompt)))
		jobs = append(jobs, Job{Arrival: at, Prompt: prompt, Output: output, Finish: "stop", MaxTokens: len(output)})
	}
	return jobs
}

// drive plays jobs in virtual time, with checks after every step, and returns
// a digest of all that happened.
func drive(t *testing.T, e *Engine, jobs []Job, abort func(ev Event) bool) (digest uint64, events []Event) {
	t.Helper()
	sum := fnv.New64a()
	aborted := map[int64]bool{}
	for steps := 0; ; steps++ {
		at, busy := e.Next()
		for len(jobs) > 0 && (!busy || jobs[0].Arrival <= at) {
			if _, err := e.Submit(jobs[0]); err != nil {
				t.Fatal(err)
			}
			jobs = jobs[1:]
			at, busy = e.Next()
		}
		if !busy {
			break
		}
		if steps > 1_000_000 {
			t.Fatal("the engine makes no progress")
		}
		evs := append([]Event{}, e.Step()...)
		e.check(t)
		for _, ev := range evs {
			if aborted[ev.ID] {
				t.Fatalf("request %d got tokens after its abort", ev.ID)
			}
			fmt.Fprintln(sum, ev)
			events = append(events, ev)
			if abort != nil && !ev.Done && abort(ev) {
				aborted[ev.ID] = true
				e.Abort(ev.ID)
				e.check(t)
			}
		}
	}
	return sum.Sum64(), events
}

// TestInvariants runs random loads through small and large engines: blocks are
// conserved, the KV cache is never above its size, prefix hits never reach a
// whole prompt, every request ends, and everything is free at the end.
func TestInvariants(t *testing.T) {
	preempted, hit := int64(0), int64(0)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{Step: linearStep{}, MaxModelLen: 400, KVTokens: 400 + rng.IntN(1500), BlockSize: 16,
			MaxNumSeqs: 1 + rng.IntN(12), MaxNumBatchedTokens: 12 + rng.IntN(300), Jitter: 0.05, Seed: seed}
		if seed%3 == 0 {
			cfg.Speculative.Tokens, cfg.Speculative.Acceptance = 3, 0.7
		}
		jobs := randomJobs(rng, 40, 400)
		e, err := NewEngine(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, events := drive(t, e, jobs, nil)

		var prompt, output int64
		for _, j := range jobs {
			prompt += int64(len(j.Prompt))
			output += int64(len(j.Output))
		}
		ended := 0
		for _, ev := range events {
			if ev.Done {
				ended++
			}
		}
		st := e.stats
		if ended != len(jobs) || st.promptTokens != prompt || st.generatedTokens != output || st.prefixQueries != prompt {
			t.Fatalf("seed %d: %d of %d requests ended, %d of %d prompt and %d of %d output tokens", seed, ended, len(jobs), st.promptTokens, prompt, st.generatedTokens, output)
		}
		if e.cache.used() != 0 || len(e.live) != 0 {
			t.Fatalf("seed %d: %d blocks are held at the end, %d requests live", seed, e.cache.used(), len(e.live))
		}
		preempted += st.preemptions
		hit += st.prefixHits
	}
	if preempted == 0 || hit == 0 {
		t.Errorf("%d preemptions and %d hits in all: the test does not reach what it is for", preempted, hit)
	}
}

// TestAbort: a request that is aborted at any moment leaves nothing behind.
func TestAbort(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		e, err := NewEngine(Config{Step: linearStep{}, MaxModelLen: 400, KVTokens: 1200, MaxNumSeqs: 8, MaxNumBatchedTokens: 100})
		if err != nil {
			t.Fatal(err)
		}
		drive(t, e, randomJobs(rng, 40, 400), func(Event) bool { return rng.IntN(30) == 0 })
		if e.cache.used() != 0 || len(e.running)+len(e.waiting)+len(e.live) != 0 {
			t.Fatalf("seed %d: %d blocks, %d running, %d waiting are left", seed, e.cache.used(), len(e.running), len(e.waiting))
		}
	}
}

// TestSameSeedSameBytes: equal seeds give equal histories, others do not.
func TestSameSeedSameBytes(t *testing.T) {
	history := func(seed uint64) uint64 {
		e, err := NewEngine(Config{Step: linearStep{}, MaxModelLen: 400, KVTokens: 900, Jitter: 0.1, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		digest, _ := drive(t, e, randomJobs(rand.New(rand.NewPCG(7, 7)), 50, 400), nil)
		return digest
	}
	if first, again := history(1), history(1); first != again {
		t.Error("the same seed gave two histories")
	}
	if history(1) == history(2) {
		t.Error("two seeds gave the same history")
	}
}

// TestOrder: requests are served in the order of (arrival, submission),
// whatever the order in which they were handed in.
func TestOrder(t *testing.T) {
	for name, step := range map[string]StepModel{"steps": linearStep{}, "pace": Fixed{TTFT: time.Second, ITL: time.Second}} {
		e, err := NewEngine(Config{Step: step, MaxModelLen: 100, KVTokens: 200, MaxNumSeqs: 1, MaxNumBatchedTokens: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Duration{30, 10, 20, 10, 30} {
			if _, err := e.Submit(Job{Arrival: at, Prompt: []uint32{1}, Output: []uint32{2}, Finish: "stop"}); err != nil {
				t.Fatal(err)
			}
		}
		var order []int64
		for {
			if _, ok := e.Next(); !ok {
				break
			}
			for _, ev := range e.Step() {
				order = append(order, ev.ID)
			}
		}
		if got, want := fmt.Sprint(order), "[1 3 2 0 4]"; got != want {
			t.Errorf("%s: served in the order %s, want %s", name, got, want)
		}
	}
}

// TestLateDriver: an engine that is driven late does what one driven in time
// does: a step admits only what had arrived when it was due to start.
func TestLateDriver(t *testing.T) {
	jobs := randomJobs(rand.New(rand.NewPCG(3, 3)), 30, 300)
	cfg := Config{Step: linearStep{}, MaxModelLen: 300, KVTokens: 2000}
	inTime, err := NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := drive(t, inTime, jobs, nil)

	late, err := NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if _, err := late.Submit(j); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := drive(t, late, nil, nil); got != want {
		t.Error("submitting everything first changed the history")
	}
}

// TestPrefixCache follows one conversation: the next turn finds the whole
// blocks of the last prompt and of its answer.
func TestPrefixCache(t *testing.T) {
	e, err := NewEngine(Config{Step: linearStep{}, MaxModelLen: 1000, KVTokens: 2000})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	prompt, answer := randomTokens(rng, 100), randomTokens(rng, 50)
	next := append(append(append([]uint32{}, prompt...), answer...), randomTokens(rng, 30)...)
	for i, c := range []struct {
		prompt []uint32
		cached int
	}{
		{prompt, 0},
		{prompt, 96},      // 6 blocks of 16
		{next, 144},       // 149 tokens were computed: the last of an answer never is
		{next[:160], 144}, // a whole number of blocks: the last is computed again
		{prompt[1:], 0},   // a shifted prompt shares nothing
		{next[:17], 16},   // the shortest that can hit
		{next[:16], 0},    // its last token would be the block's
	} {
		_, events := drive(t, e, []Job{{Arrival: e.clock, Prompt: c.prompt, Output: answer, Finish: "stop"}}, nil)
		if got := events[0].Cached; got != c.cached {
			t.Errorf("request %d: %d tokens cached, want %d", i, got, c.cached)
		}
	}
}

// TestEviction: a block that is needed takes the place of the longest unused.
func TestEviction(t *testing.T) {
	e, err := NewEngine(Config{Step: linearStep{}, MaxModelLen: 64, KVTokens: 128})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	a, b, c := randomTokens(rng, 49), randomTokens(rng, 49), randomTokens(rng, 49)
	cached := func(p []uint32) int {
		_, events := drive(t, e, []Job{{Arrival: e.clock, Prompt: p, Output: []uint32{1}, Finish: "stop"}}, nil)
		return events[0].Cached
	}
	cached(a)
	cached(b)
	cached(a) // now b is the longest unused
	cached(c)
	if got := cached(a); got != 48 {
		t.Errorf("the recently used prompt has %d tokens cached, want 48", got)
	}
	if got := cached(b); got == 48 {
		t.Error("the longest unused prompt was not evicted")
	}
}

// TestTokenizerForgets: the store of texts is bounded, the least recently used
// goes first, and forgetting changes no count.
func TestTokenizerForgets(t *testing.T) {
	tok := NewTokenizer()
	tok.keep = 1000
	want := tok.Count("the first text")
	for i := range 200 {
		tok.Count(fmt.Sprintf("text number %d", i))
		tok.Count("in use")
		if tok.size > tok.keep || len(tok.texts) != tok.order.Len() {
			t.Fatalf("%d bytes kept, at most %d may be; %d texts, %d in order", tok.size, tok.keep, len(tok.texts), tok.order.Len())
		}
	}
	if _, kept := tok.texts["the first text"]; kept {
		t.Error("the longest unused text is still kept")
	}
	if _, kept := tok.texts["in use"]; !kept {
		t.Error("a text in use was forgotten")
	}
	if got := tok.Count("the first text"); got != want {
		t.Errorf("%d tokens, first %d", got, want)
	}
}
