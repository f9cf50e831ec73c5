package dail_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/compose"
	"github.com/x/dail/pod"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
)

var smallProbe = compose.SaturationProbe{Concurrency: 4, DurationS: 1, OutputTokens: 8, PromptTokens: 48}

// A run that asks for it has Θmax after its levels, counted by the server, and
// told for what it is; the levels are read against it.
func TestSaturationProbeEndToEnd(t *testing.T) {
	const ttft, itl = 10 * time.Millisecond, 5 * time.Millisecond
	rep := knownWith(t, ttft, itl, func(p *dail.Plan) { p.Run.Benchmark.SaturationProbe = &smallProbe })
	checkKnown(t, rep, ttft, itl)
	m := rep.ThetaMax
	if m == nil {
		t.Fatal("no theta_max in report.json")
	}
	if m.Source != report.Simulated || rep.Source != report.Simulated || m.Concurrency != 4 || m.Shape != (report.Shape{PromptTokens: 48, OutputTokens: 8}) {
		t.Errorf("%+v", m)
	}
	served := float64(m.ServerTokens.Prompt+m.ServerTokens.Generation) / m.DurationS * 3600
	if math.Abs(m.TokensPerHour-served) > 1e-6*served || *m.ComputedTokensPerHour != m.TokensPerHour || *m.PrefixCacheHitRate != 0 || *m.Errors != 0 || *m.Requests == 0 {
		t.Errorf("%v tokens/h of %+v in %v s, %v computed, hit rate %v, %d requests, %d errors",
			m.TokensPerHour, m.ServerTokens, m.DurationS, *m.ComputedTokensPerHour, *m.PrefixCacheHitRate, *m.Requests, *m.Errors)
	}
	// No machine makes this engine faster than it is; how much slower this one
	// asks is not the test's matter.
	most := 4 * 8 / (ttft + 7*itl).Hours()
	if m.OutputTokensPerHour <= 0 || m.OutputTokensPerHour > 1.1*most {
		t.Errorf("%v tokens/h of output, the engine makes %v", m.OutputTokensPerHour, most)
	}
	l := rep.ByDevs[0]
	if rep.UtilizationBasis != "theta_max" || rep.UtilizationTokens != "computed" || math.Abs(*l.Utilization - *l.ComputedTokensPerHour / *m.ComputedTokensPerHour) > 1e-9 {
		t.Errorf("basis %q, %q tokens, utilization %v", rep.UtilizationBasis, rep.UtilizationTokens, *l.Utilization)
	}
	var step *report.Step
	for i := range rep.Timeline {
		if rep.Timeline[i].Label == "saturation-probe" {
			step = &rep.Timeline[i]
		}
	}
	if step == nil || step.Seconds < 1 {
		t.Errorf("timeline %+v", rep.Timeline)
	}
	if text := report.Text(rep, false); !strings.Contains(text, "Θmax: ") || !strings.Contains(text, "(simulated)") {
		t.Errorf("the table does not tell it:\n%s", text)
	}
	if rep := known(t, 0, 0); rep.ThetaMax != nil {
		t.Error("a probe nobody asked for")
	}
}

// -probe is known where the server's max_num_seqs is derived.
func TestProbeFlag(t *testing.T) {
	for _, asked := range []bool{false, true} {
		plan, err := dail.Config{Benchmark: "testdata/benchmarks/known/scenario.yaml", Probe: asked}.Plan()
		if err != nil {
			t.Fatal(err)
		}
		p, seqs := plan.Run.Benchmark.SaturationProbe, 3
		if asked {
			seqs = 64
		}
		if (p != nil) != asked || plan.Run.Serving.MaxNumSeqs != seqs {
			t.Errorf("-probe=%v: probe %+v, max_num_seqs %d", asked, p, plan.Run.Serving.MaxNumSeqs)
		}
	}
}

// A program's own probe that cannot be is refused before anything is created.
func TestAnUnsoundProbeIsRefused(t *testing.T) {
	plan := askPlan(t)
	plan.Provider = &pod.Simulated{}
	plan.Run.Benchmark.SaturationProbe = &compose.SaturationProbe{Concurrency: 4, DurationS: 1, OutputTokens: 8}
	_, err := dail.Run(t.Context(), plan)
	if dail.ExitStatus(nil, err) != 2 || !strings.Contains(err.Error(), "32 prompt tokens") {
		t.Errorf("%v", err)
	}
}

// A probe that fails or is interrupted takes nothing away from the levels, and
// the report says what happened.
func TestAFailedProbeKeepsTheLevels(t *testing.T) {
	for _, c := range []struct {
		name      string
		path      string // that the server answers otherwise on
		interrupt bool
		truncated string
		reason    string
	}{
		{"no tokenizer", "/tokenize", false, report.TruncatedError, "HTTP 404 Not Found: no such thing"},
		{"it refuses", "/v1/completions", false, report.TruncatedError, "/v1/completions: HTTP 404 Not Found: no such thing"},
		{"Ctrl-C", "/v1/completions", true, report.TruncatedInterrupted, "interrupted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := askPlan(t)
			plan.Run.Benchmark.SaturationProbe = &smallProbe
			engine, err := sim.NewServer(sim.Config{Step: sim.Fixed{TTFT: 5 * time.Millisecond, ITL: time.Millisecond}, Model: plan.Run.Serving.ServedModelName}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer engine.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var once sync.Once
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != c.path:
				case c.interrupt:
					once.Do(cancel)
				default:
					http.Error(w, `{"error":{"message":"no such thing"}}`, http.StatusNotFound)
					return
				}
				engine.ServeHTTP(w, r)
			}))
			defer srv.Close()
			plan.Provider = pod.Endpoint{URL: srv.URL}
			rep, err := dail.Run(ctx, plan)
			if err == nil || rep == nil || dail.ExitStatus(rep, err) != 1 {
				t.Fatalf("%+v, %v", rep, err)
			}
			stored, _ := oneReport(t, plan.Results)
			if stored.Truncated != c.truncated || !strings.Contains(stored.TruncatedReason, c.reason) || stored.ThetaMax != nil {
				t.Errorf("truncated %q: %q, theta_max %+v", stored.Truncated, stored.TruncatedReason, stored.ThetaMax)
			}
			if l := stored.ByDevs; len(l) != 1 || l[0].Valid == nil || !*l[0].Valid {
				t.Errorf("levels %+v", l)
			}
		})
	}
}
