package dail

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

// DefaultMaxDevs is the largest team that -devs auto asks for.
const DefaultMaxDevs = 32

// stepGates is the pod's time in which a search judges the work of a level,
// since it must know before it goes on.
const stepGates = "gates"

// reserve is added to what the next level is taken to need, when the budget is
// asked whether there is enough left.
const reserve = 1.1

// search finds the largest team that holds, level by level, on one pod. What a
// level needs is decided while it runs: one that clearly fails is stopped, one
// near the limits is kept going. A level that holds must also have done real
// work, so its gates are judged before the next one is chosen.
func (r *runner) search(ctx context.Context, g *gateway) (err error) {
	if err := r.scoreSearched(ctx); err != nil {
		return err
	}
	s, perAgent := r.searched()
	c := &report.Capacity{Max: s.Max, High: s.Max, Asked: []int{}}
	if old := r.report.Capacity; old != nil { // an earlier session's
		c.Asked, c.AgentMinutes, c.Seconds, c.CostUSD = old.Asked, old.AgentMinutes, old.Seconds, old.CostUSD
	}
	before := c.Seconds
	r.report.Capacity = c
	defer func() {
		if err != nil { // what is known by then must not look like the answer
			c.Stopped = "the run ended before it"
		}
	}()
	began := time.Now()
	for n, ok := s.Next(); ok; n, ok = s.Next() {
		if why := r.tooDear(time.Duration(n) * perAgent); why != "" {
			c.Stopped = fmt.Sprintf("%s for the level of %d", why, n)
			r.display.Note("the search ends here: %s", c.Stopped)
			break
		}
		r.pod.Meter.Mark(stepGeneration)
		level := r.level(g, n, levelName(n))
		level.sequential = &slo.Sequential{Criteria: level.criteria}
		start := time.Now()
		m, err := level.measure(ctx)
		if err != nil {
			return err
		}
		took := time.Since(start)
		perAgent = max(perAgent, took/time.Duration(n))
		l := r.newLevel(m)
		if err := r.add(l); err != nil {
			return err
		}
		if l.HoldsSLO {
			r.pod.Meter.Mark(stepGates)
			if l, err = r.scored(ctx, l); err != nil {
				return err
			}
		}
		s.Saw(n, slo.Outcome{Holds: l.HoldsSLO, Share: holdShare(l)})
		c.Found(s.Capacity())
		c.Asked = append(c.Asked, n)
		c.AgentMinutes += float64(n) * took.Minutes()
		c.Seconds = before + time.Since(began).Seconds()
		c.CostUSD = slo.PodCost(c.Seconds, r.report.PriceUSDPerGPUHour, r.report.GPUCount)
		if err := r.save(l); err != nil {
			return err
		}
	}
	c.Found(s.Capacity())
	return nil
}

// searched is a search that knows the levels that are in the report, and the
// longest of them ÷ its agents.
func (r *runner) searched() (s slo.Search, perAgent time.Duration) {
	s.Max = r.plan.SearchMax
	for _, l := range r.report.ByDevs {
		s.Saw(l.Devs, slo.Outcome{Holds: l.HoldsSLO, Share: holdShare(l)})
		if l.Window != nil {
			perAgent = max(perAgent, time.Duration(l.Window.Whole.Seconds*float64(time.Second))/time.Duration(l.Devs))
		}
	}
	return s, perAgent
}

// scoreSearched judges what an earlier session left pending, before its verdicts
// say where to go on.
func (r *runner) scoreSearched(ctx context.Context) error {
	r.countAsked()
	for _, l := range slices.Clone(r.report.ByDevs) {
		if l.Gates != report.GatesPending || !l.HoldsSLO {
			continue
		}
		r.pod.Meter.Mark(stepGates)
		if _, err := r.scored(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// countAsked counts a level that was being judged when its session ended as one
// that was asked for.
func (r *runner) countAsked() {
	c := r.report.Capacity
	if c == nil {
		return
	}
	for _, l := range r.report.ByDevs {
		if slices.Contains(c.Asked, l.Devs) {
			continue
		}
		c.Asked = append(c.Asked, l.Devs)
		if l.Window != nil {
			c.AgentMinutes += float64(l.Devs) * l.Window.Whole.Seconds / 60
			c.Seconds += l.Window.Whole.Seconds
			c.CostUSD = slo.PodCost(c.Seconds, r.report.PriceUSDPerGPUHour, r.report.GPUCount)
		}
	}
}

// add puts a level into the report, which is kept in the order of team sizes, and
// writes it: its work may take minutes to judge.
func (r *runner) add(l report.Level) error {
	r.put(l)
	r.timeline()
	return r.report.Write(r.place.Report())
}

// scored judges a level's work, and returns it finished.
func (r *runner) scored(ctx context.Context, l report.Level) (report.Level, error) {
	i := slices.IndexFunc(r.report.ByDevs, func(o report.Level) bool { return o.Devs == l.Devs })
	into := &r.report.ByDevs[i]
	r.display.Note("N=%d: running the gates of %d agents", l.Devs, len(l.Agents))
	if err := r.judge(ctx, into, levelName(l.Devs)); err != nil {
		return l, fmt.Errorf("gates of level %s: %w", levelName(l.Devs), err)
	}
	*into = report.Finish(*into)
	return *into, nil
}

// holdShare is how sure a level's verdict is: the smaller part of the resampled
// windows that hold, of the whole level and of the time in which all were at
// work. A verdict that is not the figures' own (the load was not real) is taken
// for sure.
func holdShare(l report.Level) float64 {
	share, known := 1.0, false
	for _, w := range []*report.Window{&l.Window.Whole, l.Window.AllNActive} {
		if w != nil && w.Confidence != nil {
			share, known = min(share, w.Confidence.Holds), true
		}
	}
	switch {
	case l.HoldsSLO && !known:
		return 0.5 // too short to say
	case !l.HoldsSLO && l.Valid != nil && !*l.Valid, !l.HoldsSLO && l.Stopped != "":
		return 0
	case !l.HoldsSLO && !known:
		return 0.5
	}
	return share
}

// tooDear says why no further level can be paid for, empty where it can: the
// ceilings of the run would cut it short, and the search without its answer.
//
// A level is taken to last as long per agent as the slowest before it: a server
// that all its agents keep busy takes twice as long for twice as many.
func (r *runner) tooDear(need time.Duration) string {
	need = time.Duration(reserve * float64(need))
	var spent time.Duration
	for _, s := range r.pod.Meter.Steps() {
		spent += s.Elapsed
	}
	life := r.plan.Pod.Life(r.pod.USDPerHour)
	if spent+need <= life {
		return ""
	}
	return fmt.Sprintf("%v of the %v that MAX_RUN and -max-usd leave are gone, which is not enough", spent.Round(time.Second), life.Round(time.Second))
}
