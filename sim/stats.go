package sim

import (
	"math"
	"slices"
	"time"
)

// histogram counts integer values in buckets. Values are nanoseconds or
// tokens; sums of integers are exact, whatever their number and order.
type histogram struct {
	bounds []float64 // as they are exposed, ascending, without +Inf
	upper  []int64   // the same in the unit of the values
	counts []uint64  // one more than bounds: the last is above all of them
	sum    int64
	scale  float64 // values per exposed unit: 1e9 for seconds, 1 for tokens
}

func newHistogram(scale float64, bounds ...float64) *histogram {
	h := &histogram{bounds: bounds, scale: scale, counts: make([]uint64, len(bounds)+1)}
	for _, b := range bounds {
		h.upper = append(h.upper, int64(math.Round(b*scale)))
	}
	return h
}

func (h *histogram) observe(v int64) {
	i, _ := slices.BinarySearch(h.upper, v) // v equal to a bound belongs below it
	h.counts[i]++
	h.sum += v
}

func (h *histogram) count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// stats is what vLLM counts, in the engine's own time.
type stats struct {
	promptTokens, cachedTokens, generatedTokens int64
	prefixQueries, prefixHits                   int64
	preemptions                                 int64
	drafts, draftTokens, acceptedTokens         int64
	acceptedPerPos                              []int64
	finished                                    [len(finishReasons)]int64

	ttft, itl, tpot, e2e, queue, prefill, decode, inference                           *histogram
	promptLen, generatedLen, maxGenerated, maxTokens, computedLen, params, iterTokens *histogram
}

// finishReasons are the values of the label finished_reason, all exposed from
// the start.
var finishReasons = [...]string{"stop", "length", "abort", "error", "repetition"}

// newStats makes the histograms with vLLM's buckets (vllm/v1/metrics,
// vllm-litellm.md §1.1).
func newStats(maxModelLen, drafts int) *stats {
	seconds := func(b ...float64) *histogram { return newHistogram(float64(time.Second), b...) }
	gap := func() *histogram {
		return seconds(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
	}
	long := func() *histogram {
		return seconds(0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
	}
	lengths := oneTwoFive(maxModelLen)
	tokens := func() *histogram { return newHistogram(1, lengths...) }
	return &stats{
		acceptedPerPos: make([]int64, drafts),
		ttft: seconds(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
			20, 40, 80, 160, 640, 2560),
		itl: gap(), tpot: gap(),
		e2e: long(), queue: long(), prefill: long(), decode: long(), inference: long(),
		promptLen: tokens(), generatedLen: tokens(), maxGenerated: tokens(), maxTokens: tokens(), computedLen: tokens(),
		params:     newHistogram(1, 1, 2, 5, 10, 20),
		iterTokens: newHistogram(1, 1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384),
	}
}

// oneTwoFive returns 1, 2, 5, 10, 20, 50, … up to limit.
func oneTwoFive(limit int) []float64 {
	var bounds []float64
	for decade := 1; ; decade *= 10 {
		for _, m := range []int{1, 2, 5} {
			if m*decade > limit {
				return bounds
			}
			bounds = append(bounds, float64(m*decade))
		}
	}
}
