package dail

import (
	"context"
	"fmt"
	"time"

	"github.com/x/dail/internal/harness"
	"github.com/x/dail/internal/progress"
	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

// saturate measures Θmax after the levels, where the scenario or the user asked
// for it. The probe speaks to the server itself: a gateway in between would be
// measured with it.
func (r *runner) saturate(ctx context.Context) error {
	p := r.plan.Run.Benchmark.SaturationProbe
	if p == nil || r.report.ThetaMax != nil { // a resumed run may have it
		return nil
	}
	r.pod.Meter.Mark(stepSaturation)
	r.display.Note("saturation probe: %d streams of %d:%d tokens for %d s", p.Concurrency, p.PromptTokens, p.OutputTokens, p.DurationS)
	sampler := harness.Start()
	theta, err := slo.Saturate(ctx, slo.Probe{
		URL: r.pod.Endpoint.String(), Model: r.plan.Run.Serving.ServedModelName,
		Concurrency: p.Concurrency, Duration: time.Duration(p.DurationS) * time.Second,
		PromptTokens: p.PromptTokens, OutputTokens: p.OutputTokens,
		Stall:    r.plan.Pod.Limits.Stall(1),
		Progress: r.showProbe,
	})
	usage := sampler.Stop()
	r.display.Clear()
	if err != nil {
		return err
	}
	m := report.NewThetaMax(theta)
	if limited, why := usage.Limited(); limited {
		m.Notes = append(m.Notes, "this machine, not the GPU, may have set the pace: "+why)
	}
	if n := r.mixNote(m); n != "" {
		m.Notes = append(m.Notes, n)
	}
	if m.Source == report.Simulated {
		r.report.Source = report.Simulated // as with a level
	}
	r.report.ThetaMax = m
	r.timeline()
	r.display.Note("saturation probe: %.2f M tokens/h, %.2f M of output", m.TokensPerHour/1e6, m.OutputTokensPerHour/1e6)
	return r.report.Write(r.place.Report())
}

// maxMix is by what factor the mix of a level may differ from the probe's before
// a reader is told.
const maxMix = 2

// mixNote warns where the levels computed another mix of prompt and output than
// the probe did: a prompt's token is a cheap one, so that utilization leans.
func (r *runner) mixNote(m *report.ThetaMax) string {
	probe := float64(m.Shape.PromptTokens) / float64(m.Shape.OutputTokens)
	for _, l := range r.report.ByDevs {
		if l.Repeats != nil { // its rate is a mean, its counts are the latest's
			l = l.Repeats.Levels[len(l.Repeats.Levels)-1]
		}
		if l.ComputedTokensPerHour == nil || l.ServerTokens == nil || l.ServerTokens.Generation == 0 || l.Window == nil {
			continue
		}
		output := float64(l.ServerTokens.Generation)
		mix := (*l.ComputedTokensPerHour*l.Window.Whole.Seconds/3600 - output) / output
		if mix > maxMix*probe || mix < probe/maxMix {
			return fmt.Sprintf("the level of %d computed %.1f prompt tokens per output token, the probe %.1f: its utilization compares unlike tokens; saturation_probe.prompt_tokens sets the probe's",
				l.Devs, mix, probe)
		}
	}
	return ""
}

// showProbe is what a person sees of the probe on a terminal.
func (r *runner) showProbe(s slo.ProbeStatus) {
	row := progress.Row{Name: "probe", State: "warm-up", Note: fmt.Sprintf("%d streams have begun, %.0f requests run", s.Began, s.Running)}
	if s.Window {
		row.State, row.Note = "steady", fmt.Sprintf("%d requests answered, %.0f run", s.Requests, s.Running)
	}
	if s.Errors > 0 {
		row.Note += fmt.Sprintf(", %d failed", s.Errors)
	}
	b := progress.Block{Title: fmt.Sprintf("saturation probe  %s of %s", s.Elapsed.Round(time.Second), s.Of), Steps: r.steps(), Rows: []progress.Row{row}}
	if s.Window { // its length is fixed; how long the warm-up takes, nobody knows
		b.Left = progress.Words(s.Of-s.Elapsed, s.Of-s.Elapsed)
	}
	if r.pod.Simulated {
		b.Label = string(report.Simulated)
	}
	r.display.Show(b)
}
