package virtual

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/x/dail/sim"
	"github.com/x/dail/slo"
)

// Began is when every level begins, on the clock that its snapshots show.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Request is what really happened to one request. Times are since the level's
// beginning.
type Request struct {
	Agent          int
	Arrival        time.Duration
	Prompt, Cached int
	// Events are the moments at which tokens came, and Counts how many with
	// each (more than one with speculative decoding).
	Events []time.Duration
	Counts []int
	Done   bool // the last token is there
	Gone   bool // the agent lost its patience
}

// First is when the first token came; false where none did.
func (r *Request) First() (time.Duration, bool) {
	if len(r.Events) == 0 {
		return 0, false
	}
	return r.Events[0], true
}

// Level is a load on an engine, under way.
type Level struct {
	load   Load
	engine *sim.Engine
	system []uint32
	agents []*agent
	now    time.Duration
	stop   bool

	asks map[int64]*Request // under way
	// Log is every request so far, in the order of their sending.
	Log []*Request

	allAt, firstEnd time.Duration
	all, ended      bool
}

// Start begins a level: all agents ask at once, as a fleet's do.
func Start(cfg sim.Config, load Load) (*Level, error) {
	engine, err := sim.NewEngine(cfg)
	if err != nil {
		return nil, err
	}
	if load.N < 1 || len(load.Phases) == 0 {
		return nil, fmt.Errorf("virtual: a load of %d agents with %d phases; it needs one of each at least", load.N, len(load.Phases))
	}
	l := &Level{load: load, engine: engine, asks: map[int64]*Request{}}
	common := &agent{rng: rand.New(rand.NewPCG(load.Seed, 0))}
	l.system = common.tokens(load.System)
	for i := range load.N {
		a := &agent{n: i, rng: rand.New(rand.NewPCG(load.Seed, uint64(i)+1))}
		l.begin(a)
		l.agents = append(l.agents, a)
	}
	return l, nil
}

// begin makes the prompt of a phase.
func (l *Level) begin(a *agent) {
	a.turn = 0
	a.prompt = append(append([]uint32(nil), l.system...), a.tokens(l.load.Phases[a.phase].Task)...)
}

// Now is the time since the level's beginning.
func (l *Level) Now() time.Duration { return l.now }

// Advance lets the time pass.
func (l *Level) Advance(d time.Duration) {
	until := l.now + d
	for {
		at, what := l.next()
		if what == nil || at > until {
			break
		}
		l.now = max(l.now, at)
		what()
	}
	l.now = until
}

// next is what happens next: an agent asks or gives up, or the engine steps.
func (l *Level) next() (at time.Duration, what func()) {
	if t, ok := l.engine.Next(); ok {
		at, what = t, l.step
	}
	for _, a := range l.agents {
		switch {
		case a.over:
		case !a.waits:
			if what == nil || a.next <= at { // who comes at a step's start is in it
				at, what = a.next, func() { l.ask(a) }
			}
		case l.load.Patience > 0:
			if t := l.asks[a.id].Arrival + l.load.Patience; what == nil || t < at {
				at, what = t, func() { l.giveUp(a) }
			}
		}
	}
	return at, what
}

func (l *Level) ask(a *agent) {
	p := l.load.Phases[a.phase]
	output := a.tokens(max(1, int(a.spread(float64(p.Output), l.load.Spread))))
	id, err := l.engine.Submit(sim.Job{Arrival: l.now, Prompt: a.prompt, Output: output, Finish: "stop", MaxTokens: len(output)})
	if err != nil { // the conversation has outgrown the context: a new session
		l.begin(a)
		return
	}
	r := &Request{Agent: a.n, Arrival: l.now, Prompt: len(a.prompt)}
	l.asks[id], l.Log = r, append(l.Log, r)
	a.waits, a.id, a.answer = true, id, output
}

func (l *Level) giveUp(a *agent) {
	l.engine.Abort(a.id)
	l.asks[a.id].Gone = true
	delete(l.asks, a.id)
	a.waits, a.next = false, l.now+time.Second
}

func (l *Level) step() {
	for _, e := range l.engine.Step() {
		r, ok := l.asks[e.ID]
		if !ok {
			continue
		}
		l.now = max(l.now, e.At)
		r.Events, r.Counts, r.Cached = append(r.Events, e.At), append(r.Counts, e.Tokens), e.Cached
		if e.Done {
			r.Done = true
			delete(l.asks, e.ID)
			l.answered(l.agents[r.Agent], e.At)
		}
	}
}

// answered lets the agent use its tools, and go on.
func (l *Level) answered(a *agent, at time.Duration) {
	p := l.load.Phases[a.phase]
	a.waits, a.asked = false, a.asked+1
	a.next = at + time.Duration(a.spread(float64(p.Tool), l.load.Spread))
	// A slice of its own: the engine keeps the prompt that it was given.
	a.prompt = append(append(a.prompt[:len(a.prompt):len(a.prompt)], a.answer...), a.tokens(p.Result)...)
	l.meet(at)
	if a.turn++; a.turn < p.Turns {
		return
	}
	if a.phase++; a.phase == len(l.load.Phases) {
		a.phase, a.rounds = 0, a.rounds+1
		if !l.load.Busy || l.stop {
			a.over = true
			l.end(at)
		}
	}
	l.begin(a)
}

// meet notes the moment from which on all agents have had an answer.
func (l *Level) meet(at time.Duration) {
	if l.all {
		return
	}
	for _, a := range l.agents {
		if a.asked == 0 {
			return
		}
	}
	l.all, l.allAt = true, at
}

func (l *Level) end(at time.Duration) {
	if !l.ended {
		l.ended, l.firstEnd = true, at
	}
}

// Stop ends all agents where they are.
func (l *Level) Stop() {
	l.stop = true
	for _, a := range l.agents {
		if a.waits {
			l.engine.Abort(a.id)
			l.asks[a.id].Gone = true
			delete(l.asks, a.id)
		}
		a.over, a.waits = true, false
	}
	l.end(l.now)
}

// Done reports whether every agent has done its work, once at least.
func (l *Level) Done() bool {
	for _, a := range l.agents {
		if a.rounds == 0 {
			return false
		}
	}
	return true
}

// AllAtWork is the window in which all agents were: from the last one's first
// answer to the first one's end, or to now. False before it begins.
func (l *Level) AllAtWork() (from, to time.Time, ok bool) {
	from, to = began.Add(l.allAt), began.Add(l.now)
	if l.ended {
		to = began.Add(l.firstEnd)
	}
	return from, to, l.all
}

// Page is the engine's /metrics page as it stands.
func (l *Level) Page() ([]byte, error) {
	var b bytes.Buffer
	err := l.engine.WriteMetrics(&b, began)
	return b.Bytes(), err
}

// Snapshot is what a scrape at this moment would read.
func (l *Level) Snapshot() (*slo.Snapshot, error) {
	page, err := l.Page()
	if err != nil {
		return nil, err
	}
	return slo.Parse(bytes.NewReader(page), began.Add(l.now))
}
