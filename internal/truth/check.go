package truth

import (
	"fmt"
	"math"
	"slices"

	"github.com/x/dail/slo"
)

// MaxError is by how much a mean or a count may differ from the truth.
const MaxError = 0.01

// Result is what the check of a case found.
type Result struct {
	Name string
	// Figures is how many were compared, Verdicts how many were certain.
	Figures, Verdicts int
	// WorstError is the largest relative error of a mean or a count.
	WorstError float64
	// OutsideBounds counts quantiles whose truth is not within their bounds,
	// or whose bounds are wider than the server's bucket; CertainWrong counts
	// verdicts that were called certain and are wrong.
	OutsideBounds, CertainWrong int
	// Faults says each of them in words.
	Faults []string
}

// OK reports whether everything that was promised holds.
func (r Result) OK() bool { return len(r.Faults) == 0 }

func (r *Result) fault(format string, args ...any) {
	r.Faults = append(r.Faults, r.Name+": "+fmt.Sprintf(format, args...))
}

// Evaluate computes the figures of a window; Check takes it as an argument so
// that a test can plant a fault.
type Evaluate func(*slo.Window, slo.Criteria) slo.Figures

// Check runs a case and compares.
func Check(c Case, evaluate Evaluate) (Result, error) {
	r := Result{Name: c.Name}
	o, err := c.run()
	if err != nil {
		return r, err
	}
	f := evaluate(o.window, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
	r.means(o, f)
	r.quantiles(o, f)
	r.verdicts(o, evaluate)
	return r, nil
}

// means compares means and counts.
func (r *Result) means(o *observed, f slo.Figures) {
	t := &o.truth
	r.near("mean_ttft", f.MeanTTFT, mean(t.ttft))
	r.near("mean_tps", f.MeanTPS, float64(t.after)/sum(t.itl))
	r.near("e2e_mean", f.MeanE2E, mean(t.e2e))
	r.near("tokens_per_step", f.TokensPerStep, float64(t.after)/float64(len(t.itl)))
	r.near("seconds", f.Seconds, t.seconds)
	r.near("requests started", float64(f.Started), float64(t.started))
	r.near("requests finished", float64(f.Finished["stop"]), float64(t.done))
	r.near("prompt tokens", float64(f.PromptTokens), float64(t.prompt))
	r.near("generated tokens", float64(f.GenerationTokens), float64(t.output))
	r.near("computed tokens", float64(f.ComputedTokens), float64(t.prompt-t.cached+t.output))
	r.near("tokens_per_hour", f.TokensPerHour, float64(t.prompt+t.output)/t.seconds*3600)
	r.near("computed_tokens_per_hour", f.ComputedPerHour, float64(t.prompt-t.cached+t.output)/t.seconds*3600)
	r.near("preemptions", float64(f.Preemptions), o.counted("vllm:num_preemptions_total"))
	if f.PrefixCacheHitRate == nil {
		r.fault("no hit rate")
	} else {
		r.near("prefix_cache_hit_rate", *f.PrefixCacheHitRate, float64(t.cached)/float64(t.prompt))
	}
	// Little's law takes the requests that ended for those that were there; it
	// is exact where each began and ended within the window.
	if !t.left {
		r.near("effective_concurrency", f.EffectiveConcurrency, t.busy/t.seconds)
		if f.Split != nil {
			r.near("ttft_split", f.Split.Queue+f.Split.Prefill+f.Split.Rest, mean(t.ttft))
		}
	}
}

// counted is how much a counter rose, from the pages themselves.
func (o *observed) counted(name string) float64 { return o.pages[1][name] - o.pages[0][name] }

// near counts one comparison.
func (r *Result) near(what string, got, want float64) {
	r.Figures++
	off := math.Abs(got - want)
	if want != 0 {
		off /= math.Abs(want)
	}
	r.WorstError = max(r.WorstError, off)
	if !(off <= MaxError) {
		r.fault("%s is %.6g, the truth is %.6g", what, got, want)
	}
}

var percentiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}

// quantiles compares bounds with the truth.
func (r *Result) quantiles(o *observed, f slo.Figures) {
	t := &o.truth
	for _, p := range percentiles {
		for _, c := range []struct {
			what  string
			all   slo.Quantiles
			truth float64
			edges []float64
		}{
			{"ttft", f.TTFT, nearestRank(t.ttft, p.q), o.window.TTFT.Bounds},
			{"e2e", f.E2E, nearestRank(t.e2e, p.q), o.window.E2E.Bounds},
			{"tps", f.TPS, slowest(t.speeds, p.q), inverse(o.window.ITL.Bounds)},
		} {
			q, _ := c.all.At(p.name)
			r.Figures++
			const eps = 1e-9 // 1/x of a bound and of the truth differ in the last bits
			if c.truth < q.Low*(1-eps) || c.truth > q.High*(1+eps) {
				r.OutsideBounds++
				r.fault("%s %s is %.6g, not within its bounds %.6g to %.6g", p.name, c.what, c.truth, q.Low, q.High)
			}
			// Speculative decoding leaves a speed without an upper bound.
			if wide := !neighbours(c.edges, q.Low, q.High); wide && !(c.what == "tps" && f.TokensPerStep > 1) {
				r.OutsideBounds++
				r.fault("%s %s: the bounds %.6g to %.6g are no bucket of the server's", p.name, c.what, q.Low, q.High)
			}
		}
	}
}

// inverse are the bounds of speeds.
func inverse(edges []float64) []float64 {
	var inv []float64
	for _, e := range slices.Backward(edges) {
		inv = append(inv, 1/e)
	}
	return inv
}

// neighbours reports whether low and high follow one another in the bounds.
func neighbours(edges []float64, low, high float64) bool {
	all := append(append([]float64{0}, edges...), math.Inf(1))
	for i := range len(all) - 1 {
		if all[i] == low && all[i+1] == high {
			return true
		}
	}
	return false
}

// verdicts compares the certain ones with the truth, over limits everywhere.
func (r *Result) verdicts(o *observed, evaluate Evaluate) {
	t := &o.truth
	for _, p := range percentiles {
		ttft, tps := nearestRank(t.ttft, p.q), slowest(t.speeds, p.q)
		for _, limit := range []slo.Criteria{
			{MaxTTFT: 10, MinTPS: 20}, {MaxTTFT: 2, MinTPS: 20}, {MaxTTFT: 0.1, MinTPS: 40}, {MaxTTFT: 1, MinTPS: 10},
			{MaxTTFT: 0.3, MinTPS: 57}, {MaxTTFT: 5, MinTPS: 100}, {MaxTTFT: 0.04, MinTPS: 5}, {MaxTTFT: 20, MinTPS: 13.3},
			// At the truth itself, and beside it.
			{MaxTTFT: ttft, MinTPS: tps}, {MaxTTFT: ttft * 1.01, MinTPS: tps * 0.99}, {MaxTTFT: ttft * 0.99, MinTPS: tps}, {MaxTTFT: ttft, MinTPS: tps * 1.01},
		} {
			limit.Percentile = p.name
			f := evaluate(o.window, limit)
			if !f.HoldsSLOCertain {
				continue
			}
			r.Verdicts++
			if truth := ttft <= limit.MaxTTFT && tps >= limit.MinTPS; truth != f.HoldsSLO {
				r.CertainWrong++
				r.fault("certain that it %s, but %s TTFT is %.6g s and the speed %.6g tok/s", f.Why, p.name, ttft, tps)
			}
		}
	}
}
