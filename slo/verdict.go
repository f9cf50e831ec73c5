package slo

import (
	"fmt"
	"strings"
)

// Criteria are the limits of the SLO: what a developer must get.
type Criteria struct {
	MaxTTFT    float64 // s; at most this
	MinTPS     float64 // tokens/s per stream while decoding; at least this
	Percentile string  // p50, p90 or p99; "" is p50
}

func (c Criteria) percentile() string {
	if c.Percentile == "" {
		return "p50"
	}
	return c.Percentile
}

// A verdict on one percentile.
type verdict struct {
	holds, certain bool
	why            string
}

func (c Criteria) judge(f *Figures, restarted bool) {
	f.Measured = f.TTFT.P50.Measured() && f.TPS.P50.Measured()
	v := c.at(f, f.Percentile)
	f.HoldsSLO, f.HoldsSLOCertain, f.Why = v.holds, v.certain && !restarted, v.why
	f.HoldsSLOP90 = c.at(f, "p90").holds
	switch {
	case restarted && v.certain:
		f.Why += "; not certain, for the server restarted"
	case f.Measured && !v.certain && !restarted:
		f.Why += "; not certain, for the bounds of the bucket lie on both sides of the limit"
	}
}

// at judges at one percentile. Both limits must hold. The verdict is certain
// where the bounds alone decide: both limits hold at the worse bound, or one
// is broken at its better bound. A time t of a bucket is low < t ≤ high, so a
// limit equal to a bound is not straddled: with 20 tok/s the limit is 50 ms, a
// bound of vLLM's own.
func (c Criteria) at(f *Figures, percentile string) verdict {
	ttft, known := f.TTFT.At(percentile)
	tps, _ := f.TPS.At(percentile)
	switch {
	case !known:
		return verdict{why: fmt.Sprintf("cannot hold: percentile %q is not p50, p90 or p99", percentile)}
	case !ttft.Measured():
		return verdict{why: "does not hold: no request was measured"}
	case !tps.Measured():
		return verdict{why: "does not hold: no request got a second token, so there is no speed"}
	}
	ttftWorst, ttftBest := ttft.High <= c.MaxTTFT, ttft.Low < c.MaxTTFT
	tpsWorst, tpsBest := tps.Low >= c.MinTPS, tps.High > c.MinTPS
	v := verdict{holds: ttft.Value <= c.MaxTTFT && tps.Value >= c.MinTPS}
	switch {
	case ttftWorst && tpsWorst:
		v.holds, v.certain = true, true
	case !ttftBest || !tpsBest:
		v.holds, v.certain = false, true
	}
	v.why = c.sentence(v, percentile, ttft, tps)
	return v
}

func (c Criteria) sentence(v verdict, percentile string, ttft, tps Quantile) string {
	slow := fmt.Sprintf("%s speed %.1f tok/s", percentile, tps.Value)
	late := fmt.Sprintf("%s time to first token %.2f s", percentile, ttft.Value)
	if v.holds {
		return fmt.Sprintf("holds: %s is within %g s, %s reaches %g", late, c.MaxTTFT, slow, c.MinTPS)
	}
	var faults []string
	if ttft.Value > c.MaxTTFT || ttft.Low >= c.MaxTTFT {
		faults = append(faults, fmt.Sprintf("%s is above %g s", late, c.MaxTTFT))
	}
	if tps.Value < c.MinTPS || tps.High <= c.MinTPS {
		faults = append(faults, fmt.Sprintf("%s is below %g", slow, c.MinTPS))
	}
	return "does not hold: " + strings.Join(faults, ", ")
}
