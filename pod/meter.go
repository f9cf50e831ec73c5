package pod

import (
	"slices"
	"sync"
	"time"
)

// Meter is the timeline of one pod: labelled steps, end to end, so that every
// billed second belongs to a step. It may be used by several goroutines.
type Meter struct {
	mu      sync.Mutex
	now     func() time.Time
	steps   []Step
	open    int // index of the running step, -1 when stopped
	started time.Time
}

// Step is one row of the timeline: all the time spent under one label.
type Step struct {
	Label   string
	Elapsed time.Duration
}

// NewMeter returns a meter that reads the time from now.
func NewMeter(now func() time.Time) *Meter { return &Meter{now: now, open: -1} }

// Mark ends the running step and begins one with this label. A label that came
// before goes on where it ended.
func (m *Meter) Mark(label string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	for i := range m.steps {
		if m.steps[i].Label == label {
			m.open = i
			return
		}
	}
	m.steps = append(m.steps, Step{Label: label})
	m.open = len(m.steps) - 1
}

// Stop ends the running step. Mark starts the meter again.
func (m *Meter) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	m.open = -1
}

// Drop forgets the running step's time since its last mark: what was asked for
// did not come to be. The step is gone if it has no other time.
func (m *Meter) Drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open < 0 {
		return
	}
	if m.steps[m.open].Elapsed == 0 {
		m.steps = slices.Delete(m.steps, m.open, m.open+1)
	}
	m.open = -1
}

// settle books the time since the last mark. The caller holds m.mu.
func (m *Meter) settle() {
	now := m.now()
	if m.open >= 0 {
		m.steps[m.open].Elapsed += now.Sub(m.started)
	}
	m.started = now
}

// Steps returns the timeline up to now, in the order of the first marks.
func (m *Meter) Steps() []Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open >= 0 {
		m.settle()
	}
	return append([]Step(nil), m.steps...)
}

// Running is the label of the step that time is spent on; empty when stopped.
func (m *Meter) Running() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open < 0 {
		return ""
	}
	return m.steps[m.open].Label
}

// Cost is what elapsed time on gpus cards costs, in USD:
// seconds × price × GPUs ÷ 3600.
func Cost(elapsed time.Duration, usdPerGPUHour float64, gpus int) float64 {
	return elapsed.Hours() * usdPerGPUHour * float64(gpus)
}
