package dail

import (
	"fmt"
	"sync"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/internal/progress"
	"github.com/x/dail/slo"
)

// watch follows one level's agents: what a person sees of them, and the two
// moments between which all N were really at work. The stragglers at a level's
// end run on an emptier GPU and flatter the whole; the window in between does
// not have them.
type watch struct {
	live  live
	name  string // the level's
	title string

	mu     sync.Mutex // the agents' events and the readings come side by side
	rows   []progress.Row
	reqs   []int           // requests of finished phases, by agent
	tools  []string        // the last tool of each
	recent []*slo.Snapshot // readings of the last rateOver

	answered map[int]bool // agents whose first answer has come
	onAll    func()       // called once, when all N have had an answer
	onFirst  func()       // called once, when the first agent ends
	first    sync.Once
	once     map[int]bool // agents that have done their work once
	onRound  func()       // called once, when all N have
}

// live is what a level's progress is shown with.
type live struct {
	*progress.Display
	steps func() []progress.Step // the pod's bill so far
	label string                 // what the dollars are, where they are not paid
	// pace estimates how long it will take; nil where that cannot be known.
	pace  *progress.Pace
	later []int // the levels after this one
}

// rateOver is the time over which the tokens per second that a person sees are
// taken: agents wait and write in turns.
const rateOver = 10 * time.Second

func newWatch(l live, name, title string, n, phases int) *watch {
	w := &watch{
		live: l, name: name, title: title,
		rows: make([]progress.Row, n), reqs: make([]int, n), tools: make([]string, n), answered: map[int]bool{}, once: map[int]bool{},
		onAll: func() {}, onFirst: func() {}, onRound: func() {},
	}
	for i := range w.rows {
		w.rows[i] = progress.Row{Name: fmt.Sprintf("agent %d", i), State: "waiting", Of: phases}
	}
	l.pace.Begin(time.Now(), n, phases)
	return w
}

// observe takes one event; the fleet calls it from one goroutine at a time.
func (w *watch) observe(e agents.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row := &w.rows[e.Agent]
	switch e.Kind {
	case agents.PhaseStart:
		row.State, row.Note = e.Phase, "starting"
		w.live.pace.Phase(e.Time, e.Agent, row.Done)
	case agents.Request:
		row.Note = w.note(e.Agent, e.Requests)
		if !w.answered[e.Agent] {
			w.answered[e.Agent] = true
			if len(w.answered) == len(w.rows) {
				w.onAll()
			}
		}
	case agents.Tool:
		w.tools[e.Agent] = e.Detail
		row.Note = w.note(e.Agent, e.Requests)
	case agents.Retry:
		row.Note = "the client retries: " + e.Detail
		w.live.Detail("%s: %s: the client retries: %s", row.Name, e.Phase, e.Detail)
	case agents.PhaseEnd:
		w.reqs[e.Agent] += e.Requests
		row.Done++
		row.Note = w.note(e.Agent, 0)
		if e.Detail != "" {
			w.live.Note("%s: %s failed: %s", row.Name, e.Phase, e.Detail)
		} else {
			w.live.Detail("%s: %s done (%d requests)", row.Name, e.Phase, e.Requests)
		}
	case agents.AgentAgain:
		row.Done = 0
		w.done(e.Agent)
		if e.Detail != "" {
			w.live.Note("%s: failed, and begins again: %s", row.Name, e.Detail)
		} else {
			w.live.Detail("%s: done, and begins again to keep the load up", row.Name)
		}
	case agents.AgentEnd:
		w.done(e.Agent)
		row.State = progress.StateDone
		if e.Detail != "" {
			row.State = progress.StateFailed
		}
		w.live.pace.Phase(e.Time, e.Agent, row.Of)
		w.first.Do(func() { w.onFirst() })
	}
	w.show()
}

// note is what an agent has done so far, open being the requests of its phase.
func (w *watch) note(agent, open int) string {
	n := w.reqs[agent] + open
	text := fmt.Sprintf("%d requests", n)
	if n == 1 {
		text = "1 request"
	}
	if tool := w.tools[agent]; tool != "" {
		text += ", " + tool
	}
	return text
}

// sample takes a reading of the server's metrics, one that the time series is
// made of.
func (w *watch) sample(s *slo.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recent = append(w.recent, s)
	for len(w.recent) > 2 && s.At.Sub(w.recent[0].At) > rateOver {
		w.recent = w.recent[1:]
	}
	w.show()
}

// show draws what is known. The caller holds w.mu.
func (w *watch) show() {
	b := progress.Block{Title: w.title, Label: w.live.label, Steps: w.live.steps(), Load: w.load(), Rows: w.rows}
	if low, high, ok := w.live.pace.Left(time.Now(), w.live.later); ok {
		b.Left = progress.Words(low, high)
	}
	w.live.Show(b)
}

// load is what the server does by the latest readings; nil where there is none.
func (w *watch) load() *progress.Load {
	if len(w.recent) == 0 {
		return nil
	}
	load := &progress.Load{TokensPerS: -1}
	now := w.recent[len(w.recent)-1]
	for _, e := range now.Engines {
		load.Running += int(e.Running)
		load.Waiting += int(e.Waiting)
		load.KV = max(load.KV, e.KVUsage)
	}
	if made, err := slo.Delta(w.recent[0], now); err == nil && made.Seconds() > 0 {
		load.TokensPerS = float64(made.GenerationTokens) / made.Seconds()
	}
	return load
}

// done notes that an agent has done its work once.
func (w *watch) done(agent int) {
	if !w.once[agent] {
		w.once[agent] = true
		if len(w.once) == len(w.rows) {
			w.onRound()
		}
	}
}
