package dail

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/x/dail/internal/progress"
	"github.com/x/dail/report"
)

// measureAll makes the run's folder and measures level after level.
func (r *runner) measureAll(ctx context.Context) (err error) {
	if err := r.begin(); err != nil {
		return err
	}
	g, ctx, err := r.openGateway(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if cause := context.Cause(ctx); err != nil && errors.As(cause, new(*gatewayEnd)) {
			err = cause // what failed beside it is a consequence
		}
		err = errors.Join(err, g.close())
	}()

	if r.plan.Baseline && r.report.Baseline == nil {
		r.pod.Meter.Mark(stepBaseline)
		m, err := r.level(g, 1, stepBaseline).measure(ctx)
		if err != nil {
			return err
		}
		base := r.newLevel(m)
		r.report.Baseline = &base
		if err := r.save(base); err != nil {
			return err
		}
	}
	r.pod.Meter.Mark(stepGeneration)
	if err := r.measureSizes(ctx, g); err != nil {
		return err
	}
	return r.saturate(ctx)
}

// measureSizes measures the team sizes that were asked for, or searches.
func (r *runner) measureSizes(ctx context.Context, g *gateway) error {
	if r.plan.SearchMax > 0 {
		return r.search(ctx, g)
	}
	for _, n := range r.plan.Run.Devs {
		if err := r.measureLevel(ctx, g, n); err != nil {
			return err
		}
	}
	return nil
}

// measureLevel measures one team size, as often as was asked for.
func (r *runner) measureLevel(ctx context.Context, g *gateway, n int) error {
	repeats := slices.Clone(r.kept(n)) // of an earlier session
	for i := len(repeats); i < max(1, r.plan.Repeat); i++ {
		m, err := r.level(g, n, repeatName(n, i)).measure(ctx)
		if err != nil {
			return err
		}
		repeats = append(repeats, r.newLevel(m))
		l := report.Merge(repeats)
		r.put(l)
		if err := r.save(l); err != nil {
			return err
		}
	}
	return nil
}

// put puts a level into the report, in the place of what it has of this team
// size, which is kept in the order of team sizes.
func (r *runner) put(l report.Level) {
	r.report.ByDevs = slices.DeleteFunc(r.report.ByDevs, func(o report.Level) bool { return o.Devs == l.Devs })
	r.report.ByDevs = append(r.report.ByDevs, l)
	slices.SortFunc(r.report.ByDevs, func(a, b report.Level) int { return a.Devs - b.Devs })
}

func (r *runner) level(g *gateway, n int, name string) *level {
	return &level{
		n:         n,
		name:      name,
		dir:       r.levelDir(name),
		series:    filepath.Join(filepath.Dir(r.place.Report()), seriesName(name)),
		run:       r.plan.Run,
		agent:     r.agent,
		runner:    r.local,
		gateway:   g,
		endpoint:  r.pod.Endpoint.String(),
		display:   r.live(n),
		stall:     r.plan.Pod.Limits.Stall(n),
		criteria:  r.report.SLO.Criteria(),
		precision: r.plan.Precision,
	}
}

// live is how a level's progress is shown. Where a level goes on until its
// figures are known well enough, nobody knows when that will be.
func (r *runner) live(n int) live {
	l := live{Display: r.display, steps: r.steps}
	if r.pod.Simulated {
		l.label = string(report.Simulated)
	}
	if r.plan.Precision > 0 || r.plan.SearchMax > 0 {
		return l
	}
	l.pace = &r.pace
	repeats := max(1, r.plan.Repeat)
	for _, size := range r.plan.Run.Devs {
		missing := repeats - len(r.kept(size))
		if size == n && r.report.Baseline == nil && r.plan.Baseline {
			missing++ // this one is the baseline, and no level
		}
		if size == n {
			missing-- // under way
		}
		for range missing {
			l.later = append(l.later, size)
		}
	}
	return l
}

// steps is the bill so far, as a person sees it: this pod's, and before it what
// earlier sessions cost.
func (r *runner) steps() []progress.Step {
	var steps []progress.Step
	if earlier := len(r.report.Sessions) - 1; earlier > 0 {
		s := progress.Step{Label: "earlier sessions"}
		for _, e := range r.report.Sessions[:earlier] {
			s.Elapsed += time.Duration(e.Seconds * float64(time.Second))
			s.USD += e.CostUSD
		}
		steps = append(steps, s)
	}
	all, open := r.pod.Meter.Steps(), r.pod.Meter.Running()
	for _, s := range all {
		steps = append(steps, progress.Step{
			Label: s.Label, Elapsed: s.Elapsed, Running: s.Label == open,
			USD: s.Elapsed.Hours() * r.pod.USDPerHour,
		})
	}
	return steps
}

// seriesName is the file of a level's time series, beside the report.
func seriesName(level string) string { return "series-" + level + ".csv" }

// repeatName is how the i-th measurement of a team size is called.
func repeatName(n, i int) string {
	if i == 0 {
		return levelName(n)
	}
	return fmt.Sprintf("%s-repeat%d", levelName(n), i+1)
}
