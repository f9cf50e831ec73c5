package report_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

// theta is a probe's answer of a server that could do 4 times what the first
// sample level computes.
func theta() *slo.Theta {
	f := slo.Figures{
		Start: began, End: began.Add(2 * time.Minute), Seconds: 120, Simulated: true, Started: 640,
		PromptTokens: 768 * 640, GenerationTokens: 256 * 640, TokensPerHour: 2103350 * 4, GenerationPerHour: 2103350, ComputedPerHour: 2103350 * 4,
		PrefixCacheHitRate: new(float64), Preemptions: 3,
	}
	return &slo.Theta{
		TokensPerHour: f.TokensPerHour, OutputTokensPerHour: f.GenerationPerHour, Figures: f,
		Concurrency: 64, PromptTokens: 768, OutputTokens: 256, Warmup: 4 * time.Second, MeanRunning: 41.5, PeakKV: 0.99, Requests: 640,
		Limited: "on average 41.5 of 64 streams ran: the KV cache holds no more (99 % in use)", Notes: []string{"3 requests were thrown out of the batch"},
	}
}

func TestThetaMaxIsTheYardstick(t *testing.T) {
	rate := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		name          string
		change        func(*report.Report)
		basis, tokens string
		want          []float64 // utilization of the two levels; 0: none
	}{
		{"computed tokens by computed tokens", func(*report.Report) {}, "theta_max", "computed", []float64{0.25, 0.5}},
		{"its own computed ones where its prompts were in a cache", func(r *report.Report) {
			r.ThetaMax.TokensPerHour *= 10
		}, "theta_max", "computed", []float64{0.25, 0.5}},
		{"the original's probe: served is computed", func(r *report.Report) {
			r.ThetaMax = &report.ThetaMax{TokensPerHour: 2103350 * 8}
		}, "theta_max", "computed", []float64{0.125, 0.25}},
		{"above it is not cut off", func(r *report.Report) {
			r.ByDevs[1].ComputedTokensPerHour = rate(2103350 * 6)
		}, "theta_max", "computed", []float64{0.25, 1.5}},
		{"one level knows only what it served: all are of served tokens", func(r *report.Report) {
			r.ByDevs[0].ComputedTokensPerHour = nil
			r.ByDevs[0].TokensPerHour, r.ByDevs[1].TokensPerHour = rate(2103350), rate(2103350*3)
		}, "theta_max", "served", []float64{0.25, 0.75}},
		{"a level in which nothing was measured has none", func(r *report.Report) {
			r.ByDevs[0].ComputedTokensPerHour, r.ByDevs[0].TokensPerHour = nil, nil
		}, "theta_max", "computed", []float64{0, 0.5}},
		{"no probe: the best level", func(r *report.Report) { r.ThetaMax = nil }, "best_level", "computed", []float64{0.5, 1}},
		{"no probe, served", func(r *report.Report) {
			r.ThetaMax, r.ByDevs[0].ComputedTokensPerHour = nil, nil
			r.ByDevs[0].TokensPerHour, r.ByDevs[1].TokensPerHour = rate(100), rate(400)
		}, "best_level", "served", []float64{0.25, 1}},
		{"no probe, and the best level is not valid: there are not two to compare", func(r *report.Report) {
			no := false
			r.ThetaMax, r.ByDevs[1].Valid = nil, &no
		}, "", "", []float64{0, 0}},
		{"no probe, and the best level was stopped", func(r *report.Report) {
			r.ThetaMax, r.ByDevs[1].Stopped = nil, "it does not hold"
		}, "", "", []float64{0, 0}},
		{"no probe, and the best level's gates are pending", func(r *report.Report) {
			r.ThetaMax, r.ByDevs[1].Valid = nil, nil
		}, "best_level", "computed", []float64{0.5, 1}},
		{"no probe, and the best of three is not valid", func(r *report.Report) {
			no := false
			third := r.NewLevel(16, figures(16), team(16))
			third.Valid = &no
			r.ThetaMax, r.ByDevs = nil, append(r.ByDevs, third)
		}, "best_level", "computed", []float64{0.5, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			r.ThetaMax = report.NewThetaMax(theta())
			c.change(r)
			r.Complete()
			if r.UtilizationBasis != c.basis || r.UtilizationTokens != c.tokens {
				t.Errorf("basis %q, %q tokens; want %q, %q", r.UtilizationBasis, r.UtilizationTokens, c.basis, c.tokens)
			}
			for i, want := range c.want {
				l := r.ByDevs[i]
				if (l.Utilization == nil) != (want == 0) || want != 0 && (!near(*l.Utilization, want) || !near(*l.UnderutilizationPenalty, 1/want)) {
					t.Errorf("level %d: utilization %v, want %v", l.Devs, l.Utilization, want)
				}
			}
		})
	}
}

// A probe is written with all that says how far to trust it, by the schema, and
// is read back the same; a person sees it, labelled.
func TestThetaMaxIsWrittenAndTold(t *testing.T) {
	r := sample()
	r.ThetaMax = report.NewThetaMax(theta())
	r.Complete()
	if err := compiled(t).Validate(written(t, r)); err != nil {
		t.Error(err)
	}
	m := r.ThetaMax
	if m.Source != report.Simulated || !m.Limited || m.DurationS != 120 || m.Window.Seconds != 120 || *m.ConcurrencyMean != 41.5 || *m.Preemptions != 3 || *m.Requests != 640 || *m.Errors != 0 || *m.PrefixCacheHitRate != 0 {
		t.Errorf("%+v", m)
	}
	text := strings.Join(strings.Fields(report.Text(r, false)), " ") // however it is broken into lines
	for _, want := range []string{
		"Θmax: the saturated server made 8.41 M tokens/h, 2.10 M of output (64 streams of 768:256 tokens, 120 s) (simulated); limited: on average 41.5 of 64",
		"of Θmax, in computed tokens, the levels used: 4: 25 %, 8: 50 %",
		"Θmax: 3 requests were thrown out",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
	f := theta()
	f.Figures.Simulated = false
	if m := report.NewThetaMax(f); m.Source != report.Measured {
		t.Errorf("source %q of a real server", m.Source)
	}
}

// What a level was measured against is looked at again when gates are judged.
func TestUtilizationFollowsTheGates(t *testing.T) {
	r := sample()
	third := r.NewLevel(16, figures(16), team(16))
	r.ByDevs = append(r.ByDevs, third)
	r.Complete()
	if u := r.ByDevs[0].Utilization; u == nil || !near(*u, 0.25) {
		t.Fatalf("utilization %v while the best level is pending, want 0.25", show(u))
	}
	third.Agents = nil // nobody did the work
	r.ByDevs[2] = report.Finish(third)
	if err := r.Encode(io.Discard); err != nil {
		t.Fatal(err)
	}
	if u := r.ByDevs[0].Utilization; u == nil || !near(*u, 0.5) || *r.ByDevs[2].Valid {
		t.Errorf("utilization %v when the best level is not valid, want 0.5", show(u))
	}
}
