package dail

import (
	"fmt"
	"sync"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/internal/progress"
)

// watch follows one level's agents: what a person sees of them, and the two
// moments between which all N were really at work. The stragglers at a level's
// end run on an emptier GPU and flatter the whole; the window in between does
// not have them.
type watch struct {
	display *progress.Display
	title   string
	began   time.Time
	rows    []progress.Row
	reqs    []int // requests of finished phases, by agent

	answered map[int]bool // agents whose first answer has come
	onAll    func()       // called once, when all N have had an answer
	onFirst  func()       // called once, when the first agent ends
	first    sync.Once
	once     map[int]bool // agents that have done their work once
	onRound  func()       // called once, when all N have
}

func newWatch(d *progress.Display, title string, n, phases int) *watch {
	w := &watch{
		display: d, title: title, began: time.Now(),
		rows: make([]progress.Row, n), reqs: make([]int, n), answered: map[int]bool{}, once: map[int]bool{},
		onAll: func() {}, onFirst: func() {}, onRound: func() {},
	}
	for i := range w.rows {
		w.rows[i] = progress.Row{Name: fmt.Sprintf("agent %d", i), State: "waiting", Of: phases}
	}
	return w
}

// observe takes one event; the fleet calls it from one goroutine at a time.
func (w *watch) observe(e agents.Event) {
	row := &w.rows[e.Agent]
	switch e.Kind {
	case agents.PhaseStart:
		row.State, row.Note = e.Phase, "starting"
	case agents.Request:
		row.Note = fmt.Sprintf("%d requests", w.reqs[e.Agent]+e.Requests)
		if !w.answered[e.Agent] {
			w.answered[e.Agent] = true
			if len(w.answered) == len(w.rows) {
				w.onAll()
			}
		}
	case agents.Tool:
		row.Note = fmt.Sprintf("%d requests, %s", w.reqs[e.Agent]+e.Requests, e.Detail)
	case agents.Retry:
		row.Note = "the client retries: " + e.Detail
		w.display.Detail("%s: %s: the client retries: %s", row.Name, e.Phase, e.Detail)
	case agents.PhaseEnd:
		w.reqs[e.Agent] += e.Requests
		row.Done++
		row.Note = fmt.Sprintf("%d requests", w.reqs[e.Agent])
		if e.Detail != "" {
			w.display.Note("%s: %s failed: %s", row.Name, e.Phase, e.Detail)
		} else {
			w.display.Detail("%s: %s done (%d requests)", row.Name, e.Phase, e.Requests)
		}
	case agents.AgentAgain:
		row.Done = 0
		w.done(e.Agent)
		if e.Detail != "" {
			w.display.Note("%s: failed, and begins again: %s", row.Name, e.Detail)
		} else {
			w.display.Detail("%s: done, and begins again to keep the load up", row.Name)
		}
	case agents.AgentEnd:
		w.done(e.Agent)
		row.State = "done"
		if e.Detail != "" {
			row.State = "failed"
		}
		w.first.Do(func() { w.onFirst() })
	}
	w.display.Show(fmt.Sprintf("%s  %s", w.title, time.Since(w.began).Round(time.Second)), w.rows)
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
