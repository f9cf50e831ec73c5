package dail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/compose"
	"github.com/x/dail/internal/harness"
	"github.com/x/dail/slo"
	"github.com/x/dail/trace"
)

// measured is one team size as it was measured: everything that its report is
// made of, but the gates.
type measured struct {
	n         int
	name      string
	whole     *slo.Window
	allActive *slo.Window // nil where not all N were at work at once
	agents    []agents.Result
	records   []trace.Record
	usage     harness.Usage
	series    slo.Series
	// confidence of the two windows, nil where too short.
	confWhole, confActive *slo.Confidence
	notes                 []string
	stopped               string // why the agents were stopped; empty: they were not
}

// level is what one team size is measured with.
type level struct {
	n        int
	name     string // "n4", "baseline"
	dir      string // takes the agents' folders
	series   string // the time series' file
	run      *compose.Run
	agent    agents.Agent
	runner   agents.Runner
	gateway  *gateway
	endpoint string // the server's base URL, for /metrics
	display  live
	stall    time.Duration // how long nothing may move
	criteria slo.Criteria
	// precision, above 0, keeps N at work until the figures that are judged are
	// known to that part of their value; sequential until the verdict is clear.
	precision  float64
	sequential *slo.Sequential
}

// sampleEvery is how often the server's metrics are read while a level runs.
const sampleEvery = time.Second

// confidenceLevel is that of the report's intervals.
const confidenceLevel = 0.95

// measure runs N agents between two readings of the server's metrics. A
// reading that fails is an error of the level, never a zero.
func (l *level) measure(ctx context.Context) (*measured, error) {
	before, err := l.scrape(ctx)
	if err != nil {
		return nil, fmt.Errorf("level %s: before it: %w", l.name, err)
	}

	// The readings in between happen beside the agents, who wait for observe.
	var inner sync.WaitGroup
	var begin, end *slo.Snapshot
	var beginErr, endErr error
	phases := phasesOf(l.run)
	title := fmt.Sprintf("%s: %d agents on %s", l.name, l.n, l.run.Serving.ServedModelName)
	l.display.Note("%s", title)
	w := newWatch(l.display, l.name, title, l.n, len(phases))
	sampler := slo.Sample(ctx, sampleEvery, func(ctx context.Context) (*slo.Snapshot, error) {
		s, err := l.scrape(ctx)
		if err == nil {
			w.sample(s)
		}
		return s, err
	})
	defer sampler.Stop()
	moving, moved, settle := l.whileMoving(ctx, before)
	k := l.keep(moving, sampler)
	w.onAll = func() {
		k.allAtWork(time.Now())
		inner.Go(func() { begin, beginErr = l.scrape(ctx) })
	}
	w.onFirst = func() { inner.Go(func() { end, endErr = l.scrape(ctx) }) }
	w.onRound = k.allDoneOnce

	fleet := &agents.Fleet{
		N:       l.n,
		Agent:   l.agent,
		Runner:  l.runner,
		Dir:     l.dir,
		Name:    l.name,
		Phases:  phases,
		BaseURL: l.gateway.url,
		Model:   l.run.Serving.ServedModelName,
		Token:   l.gateway.token(l.name),
		Enough:  k.enough,
	}
	fleet.Observe = func(e agents.Event) {
		moved()
		w.observe(e)
	}
	machine := harness.Start()
	results, err := fleet.Run(k.ctx)
	m := &measured{n: l.n, name: l.name, agents: results, usage: machine.Stop()}
	if m.stopped = k.settle(); m.stopped != "" {
		err = nil
	}
	inner.Wait()
	if stalled := settle(); stalled != nil {
		err = stalled
	}
	m.series = sampler.Stop()
	l.display.Clear()
	l.display.pace.End(time.Now())
	if err != nil {
		return nil, fmt.Errorf("level %s: %w", l.name, err)
	}
	m.records = l.gateway.of(l.name)

	after, err := l.scrape(ctx)
	if err != nil {
		return nil, fmt.Errorf("level %s: after it: %w", l.name, err)
	}
	if m.whole, err = slo.Delta(before, after); err != nil {
		return nil, fmt.Errorf("level %s: %w", l.name, err)
	}
	if err := errors.Join(beginErr, endErr); err != nil {
		return nil, fmt.Errorf("level %s: while all were at work: %w", l.name, err)
	}
	if begin != nil && end != nil && end.At.After(begin.At) {
		if m.allActive, err = slo.Delta(begin, end); err != nil {
			return nil, fmt.Errorf("level %s: while all were at work: %w", l.name, err)
		}
		m.confActive = l.confidence(m.series.Between(begin.At, end.At))
	}
	m.confWhole = l.confidence(m.series)
	note := func(why string) {
		if why != "" {
			m.notes = append(m.notes, why)
		}
	}
	note(l.imprecise(m.confActive))
	if m.series.Missed > 0 {
		note(fmt.Sprintf("%d readings of the time series failed, the first one: %v", m.series.Missed, m.series.Err))
	}
	if err := l.writeSeries(m.series, before.At); err != nil { // the level is worth more than its series
		note(err.Error())
	}
	return m, nil
}

// writeSeries writes the time series beside the report.
func (l *level) writeSeries(s slo.Series, start time.Time) error {
	var b bytes.Buffer
	err := s.WriteCSV(&b, start)
	if err == nil {
		err = os.WriteFile(l.series, b.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("the time series could not be written: %w", err)
	}
	return nil
}

func (l *level) confidence(s slo.Series) *slo.Confidence {
	if c, ok := s.Confidence(confidenceLevel, l.criteria); ok {
		return &c
	}
	return nil
}

func (l *level) scrape(ctx context.Context) (*slo.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	return slo.Scrape(ctx, nil, l.endpoint)
}

// phasesOf turns the scenario's phases into the fleet's.
func phasesOf(run *compose.Run) []agents.Phase {
	var phases []agents.Phase
	for _, p := range run.Benchmark.Task.Phases {
		phases = append(phases, agents.Phase{
			ID:           p.ID,
			Title:        p.Title,
			Prompt:       p.Prompt,
			AllowedTools: p.AllowedTools,
			MaxTurns:     p.MaxTurns,
			Timeout:      time.Duration(p.TimeoutS) * time.Second,
		})
	}
	return phases
}

// agentDir is where agent i of a level works.
func agentDir(level string, i int) string { return filepath.Join(level, fmt.Sprintf("agent%d", i)) }
