package truth_test

import (
	"testing"

	"github.com/x/dail/internal/truth"
	"github.com/x/dail/slo"
)

func grid(t testing.TB) []truth.Case {
	t.Helper()
	cases, err := truth.Grid()
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestFiguresAreTrue(t *testing.T) {
	cases := grid(t)
	if len(cases) < 40 {
		t.Errorf("%d engines, want at least 40", len(cases))
	}
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.Name] {
			t.Errorf("two engines are called %q", c.Name)
		}
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r, err := truth.Check(c, slo.Evaluate)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Faults {
				t.Error(f)
			}
			if r.Figures < 20 {
				t.Errorf("only %d figures were compared", r.Figures)
			}
			t.Logf("%d figures, worst error %.3g %%, %d certain verdicts", r.Figures, 100*r.WorstError, r.Verdicts)
		})
	}
}

// The grid's hard cases are what they are called.
func TestTheGridIsHard(t *testing.T) {
	is := map[string]func(slo.Figures) bool{
		"a small KV cache that preempts":               func(f slo.Figures) bool { return f.Preemptions > 0 },
		"four sequences at most, twelve agents queue":  func(f slo.Figures) bool { return f.Split != nil && f.Split.Queue > f.Split.Prefill },
		"speculative decoding":                         func(f slo.Figures) bool { return f.TokensPerStep > 2 },
		"clients that leave":                           func(f slo.Figures) bool { return f.Started > f.Finished["stop"] },
		"vLLM 0.8's names":                             func(f slo.Figures) bool { return !f.ComputedEstimated },
		"restarted in the middle, counts higher after": func(f slo.Figures) bool { return len(f.Notes) > 0 && !f.HoldsSLOCertain },
		"two engines":                                  func(f slo.Figures) bool { return f.Started == 120 },
		"long prompts in small chunks":                 func(f slo.Figures) bool { return f.MeanTTFT > 1 },
	}
	seen := 0
	for _, c := range grid(t) {
		if check, ok := is[c.Name]; ok {
			seen++
			_, err := truth.Check(c, func(w *slo.Window, by slo.Criteria) slo.Figures {
				f := slo.Evaluate(w, by)
				if !check(f) {
					t.Errorf("%s is not what it is called: %+v", c.Name, f)
				}
				return f
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	if seen != len(is) {
		t.Errorf("%d of %d cases are there", seen, len(is))
	}
}

// The control: a figure that is wrong is caught, whichever it is.
func TestPlantedFaultsAreCaught(t *testing.T) {
	c := grid(t)[0]
	for name, plant := range map[string]func(*slo.Figures){
		"mean TTFT 2 % off":           func(f *slo.Figures) { f.MeanTTFT *= 1.02 },
		"mean speed 2 % off":          func(f *slo.Figures) { f.MeanTPS *= 0.98 },
		"mean E2E 2 % off":            func(f *slo.Figures) { f.MeanE2E *= 1.02 },
		"an engine counted twice":     func(f *slo.Figures) { f.Started *= 2 },
		"prompt tokens counted twice": func(f *slo.Figures) { f.PromptTokens *= 2 },
		"generated tokens lost":       func(f *slo.Figures) { f.GenerationTokens = f.GenerationTokens * 9 / 10 },
		"hits counted as work":        func(f *slo.Figures) { f.ComputedTokens += f.PromptTokens },
		"a clipped hit rate":          func(f *slo.Figures) { one := 1.0; f.PrefixCacheHitRate = &one },
		"no hit rate":                 func(f *slo.Figures) { f.PrefixCacheHitRate = nil },
		"preemptions made up":         func(f *slo.Figures) { f.Preemptions++ },
		"stragglers left out":         func(f *slo.Figures) { f.Seconds *= 0.9 },
		"concurrency 2 % off":         func(f *slo.Figures) { f.EffectiveConcurrency *= 1.02 },
		"a bound shifted":             func(f *slo.Figures) { f.TTFT.P50.High = f.TTFT.P50.Low },
		"a bucket too wide":           func(f *slo.Figures) { f.TPS.P90.Low = 0 },
		"a median pinned":             func(f *slo.Figures) { f.TPS.P50 = slo.Quantile{Value: 200, Low: 200, High: 200} },
		"the wrong percentile":        func(f *slo.Figures) { f.E2E.P99 = f.E2E.P50 },
		"a certain verdict turned":    func(f *slo.Figures) { f.HoldsSLO = !f.HoldsSLO },
		"every verdict certain":       func(f *slo.Figures) { f.HoldsSLOCertain, f.HoldsSLO = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			r, err := truth.Check(c, func(w *slo.Window, by slo.Criteria) slo.Figures {
				f := slo.Evaluate(w, by)
				plant(&f)
				return f
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.OK() {
				t.Error("nothing was noticed")
			}
		})
	}
}
