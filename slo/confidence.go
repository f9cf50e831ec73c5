package slo

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Interval is where a figure may lie, given how much was measured.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// RelativeHalfWidth is half the interval's width as a part of its middle: the
// precision of the figure. +Inf where the middle is 0.
func (i Interval) RelativeHalfWidth() float64 {
	if middle := (i.Low + i.High) / 2; middle > 0 {
		return (i.High - i.Low) / 2 / middle
	}
	return math.Inf(1)
}

// Confidence says how far a window's figures may be off because the window
// ended: another stretch of the same load would have given others. It says
// nothing of the buckets' own width; those bounds stand beside the quantiles.
type Confidence struct {
	Level  float64 `json:"level"`   // such as 0.95
	BlockS float64 `json:"block_s"` // length of the blocks that were drawn
	Blocks int     `json:"blocks"`  // how many such blocks the window holds
	// Holds is the part of the drawn windows that hold the SLO: near 1 or near 0
	// for a verdict that more measuring would not change.
	Holds float64 `json:"holds"`
	// Intervals by the figure's key in the report.
	Intervals map[string]Interval `json:"intervals"`
}

// Precise reports whether the two figures that the criteria judge are known to
// within that part of their value (0.05 is ±5 %).
func (c Confidence) Precise(part float64, by Criteria) bool {
	for _, figure := range []string{"ttft", "tps"} {
		i, ok := c.Intervals[figureKey(by.percentile(), figure)]
		if !ok || i.RelativeHalfWidth() > part {
			return false
		}
	}
	return true
}

// Bootstrap settings. Neighbouring slices hang together (one long prompt delays
// many tokens), so they are drawn in blocks. Eight blocks are as long as they
// can be and still be several; what so few of them hide of the spread is given
// back by widening (see widen). In trials with a correlation over 10 s, intervals
// so made for 5 minutes held the truth in 91 % of the cases, those of shorter
// blocks, not widened, in 82 %.
const (
	replicates = 1000
	numBlocks  = 8
	minSlices  = 3 * numBlocks
)

// Confidence estimates the spread of a series' headline figures by the circular
// block bootstrap (Politis and Romano 1992): blocks of neighbouring slices are
// drawn with replacement until there are as many as were measured, the figures
// are computed anew, a thousand times; the interval holds the middle part of
// the results, moved away from the figure by Student's t over the normal
// quantile. The same series always gives the same interval.
//
// The keys are mean_ttft, median_ttft, mean_tps, median_tps, e2e_mean, e2e_p50,
// tokens_per_hour and, where the criteria judge at another percentile, pXX_ttft
// and pXX_tps.
// False where the series is too short to say anything.
func (s Series) Confidence(level float64, c Criteria) (Confidence, bool) {
	slices := s.slices()
	n := len(slices)
	if n < minSlices {
		return Confidence{}, false
	}
	var whole totals
	for _, w := range slices {
		whole.add(w)
	}
	found := Confidence{Level: level, Blocks: numBlocks, BlockS: whole.seconds / numBlocks, Intervals: map[string]Interval{}}

	drawn := resample(slices, (n+numBlocks-1)/numBlocks, c.percentile())
	whole.figures(c.percentile(), func(key string, v float64) { widen(drawn[key], v, level) })
	found.Holds = c.share(drawn)
	for key, values := range drawn {
		if i, ok := middle(values, level); ok {
			found.Intervals[key] = i
		}
	}
	return found, len(found.Intervals) > 0
}

// widen moves drawn values away from the figure of the whole. The spread of so
// few blocks is itself uncertain, as that of a small sample is: by the quantile
// of Student's t with one degree of freedom fewer than there are blocks,
// instead of the normal one (the former by its expansion in the latter,
// Abramowitz and Stegun 26.7.5).
func widen(values []float64, whole, level float64) {
	z := math.Sqrt2 * math.Erfinv(level)
	const df = numBlocks - 1
	t := z + (math.Pow(z, 3)+z)/(4*df) + (5*math.Pow(z, 5)+16*math.Pow(z, 3)+3*z)/(96*df*df)
	for i, v := range values {
		values[i] = max(0, whole+(v-whole)*t/z)
	}
}

// share is the part of the drawn windows in which both limits hold.
func (c Criteria) share(drawn map[string][]float64) float64 {
	ttft, tps := drawn[figureKey(c.percentile(), "ttft")], drawn[figureKey(c.percentile(), "tps")]
	if len(ttft) < replicates || len(tps) < replicates {
		return 0 // some windows had no speed at all: nothing that could hold
	}
	n := 0
	for i := range ttft {
		if ttft[i] <= c.MaxTTFT && tps[i] >= c.MinTPS {
			n++
		}
	}
	return float64(n) / float64(len(ttft))
}

// figureKey is the report's key of a quantile.
func figureKey(percentile, figure string) string {
	if percentile == "p50" {
		percentile = "median"
	}
	return percentile + "_" + figure
}

// resample draws windows and computes their figures.
func resample(slices []*Window, block int, percentile string) map[string][]float64 {
	n := len(slices)
	blocks := make([]*totals, n) // blocks[i] begins at slice i and goes round at the end
	for i := range blocks {
		blocks[i] = &totals{}
		for k := range block {
			blocks[i].add(slices[(i+k)%n])
		}
	}
	rng := rand.New(rand.NewPCG(uint64(n), 0x736c6f))
	drawn := map[string][]float64{}
	for range replicates {
		var t totals
		for k := 0; k < n; k += block {
			t.plus(blocks[rng.IntN(n)])
		}
		t.figures(percentile, func(key string, v float64) { drawn[key] = append(drawn[key], v) })
	}
	return drawn
}

// totals is what the headline figures are computed from.
type totals struct {
	seconds, prompt, generated float64
	ttft, itl, e2e             Histogram
}

func (t *totals) add(w *Window) {
	t.plus(&totals{seconds: w.Seconds(), prompt: float64(w.PromptTokens), generated: float64(w.GenerationTokens), ttft: w.TTFT, itl: w.ITL, e2e: w.E2E})
}

func (t *totals) plus(o *totals) {
	t.seconds, t.prompt, t.generated = t.seconds+o.seconds, t.prompt+o.prompt, t.generated+o.generated
	t.ttft.accumulate(o.ttft)
	t.itl.accumulate(o.itl)
	t.e2e.accumulate(o.e2e)
}

// accumulate is plus in place, for histograms of one server, whose buckets are
// the same.
func (h *Histogram) accumulate(o Histogram) {
	if len(o.Cumulative) == 0 {
		return
	}
	if len(h.Cumulative) != len(o.Cumulative) {
		*h = h.plus(o)
		h.Cumulative = slices.Clone(h.Cumulative)
		return
	}
	h.Sum += o.Sum
	for i, n := range o.Cumulative {
		h.Cumulative[i] += n
	}
}

// figures computes what can be computed.
func (t *totals) figures(percentile string, tell func(key string, v float64)) {
	if v, ok := t.ttft.Mean(); ok {
		tell("mean_ttft", v)
	}
	if v, ok := t.e2e.Mean(); ok {
		tell("e2e_mean", v)
	}
	if v := t.e2e.Quantile(0.5); v.Measured() {
		tell("e2e_p50", v.Value)
	}
	after, perStep := t.generated-t.ttft.Count(), 1.0
	if after > 0 && t.itl.Sum > 0 {
		tell("mean_tps", after/t.itl.Sum)
		if n := t.itl.Count(); n > 0 {
			perStep = max(1, after/n)
		}
	}
	for p, q := range percentiles {
		if p != "p50" && p != percentile {
			continue
		}
		if v := t.ttft.Quantile(q); v.Measured() {
			tell(figureKey(p, "ttft"), v.Value)
		}
		if v := speed(t.itl.Quantile(q), perStep); v.Measured() {
			tell(figureKey(p, "tps"), v.Value)
		}
	}
	if t.seconds > 0 {
		tell("tokens_per_hour", (t.prompt+t.generated)/t.seconds*3600)
	}
}

// percentiles are those that a criterion may name.
var percentiles = map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99}

// middle is the interval that holds the middle share of the values. Where some
// replicates had no such figure, nothing can be said of it.
func middle(values []float64, share float64) (Interval, bool) {
	if len(values) < replicates {
		return Interval{}, false
	}
	slices.Sort(values)
	out := int((1 - share) / 2 * float64(len(values)))
	return Interval{Low: values[out], High: values[len(values)-1-out]}, true
}
