package slo

import (
	"fmt"
	"time"
)

// Quantiles are the 50th, 90th and 99th percentile of one thing. For a speed
// the tail is the slow end: P90 is what nine tenths of the steps reach.
type Quantiles struct {
	P50, P90, P99 Quantile
}

// At returns the quantile called "p50", "p90" or "p99"; "" is p50.
func (q Quantiles) At(percentile string) (Quantile, bool) {
	switch percentile {
	case "", "p50":
		return q.P50, true
	case "p90":
		return q.P90, true
	case "p99":
		return q.P99, true
	}
	return Quantile{}, false
}

func quantiles(h Histogram) Quantiles {
	return Quantiles{P50: h.Quantile(0.5), P90: h.Quantile(0.9), P99: h.Quantile(0.99)}
}

// Figures is what a window says about a team size. Times are in seconds,
// speeds in tokens per second of one stream while it decodes. A mean of 0 was
// not measured; neither was a zero Quantile.
type Figures struct {
	Start, End time.Time // of the window
	Seconds    float64   // its length
	Simulated  bool

	// Measured is false where no request got as far as its second token; then
	// HoldsSLO is false too, and Why says so.
	Measured bool
	// HoldsSLO compares the interpolated values at the criteria's percentile
	// with the limits; HoldsSLOCertain is set where no value within the
	// bounds would change that. HoldsSLOP90 is the same verdict at p90.
	HoldsSLO, HoldsSLOCertain, HoldsSLOP90 bool
	Percentile                             string
	// Why is the verdict as a sentence.
	Why string

	// TTFT is the time from a request's arrival at the server to its first
	// token (vllm:time_to_first_token_seconds).
	TTFT     Quantiles
	MeanTTFT float64 // Δttft_sum ÷ Δttft_count, exact
	// TPS is 1 ÷ the quantile of inter-token latency.
	TPS Quantiles
	// MeanTPS is (Δgeneration_tokens − Δttft_count) ÷ Δitl_sum, exact: the
	// tokens after each request's first over the time spent on them.
	MeanTPS float64
	// TokensPerStep is (Δgeneration_tokens − Δttft_count) ÷ Δitl_count; 1
	// without speculative decoding.
	TokensPerStep float64
	// E2E is the whole request at the server.
	E2E     Quantiles
	MeanE2E float64
	Split   *Split

	Started  int64            // requests that got a first token
	Finished map[string]int64 // by finished_reason

	PromptTokens, GenerationTokens int64
	TokensPerHour                  float64 // (prompt + generation) ÷ seconds × 3600
	GenerationPerHour              float64
	// PrefixCacheHitRate is Δhits ÷ Δqueries, within 0 and 1; nil where the
	// cache was not asked.
	PrefixCacheHitRate *float64
	// ComputedTokens is what the GPU worked on, each token once: generated
	// tokens, and prompt tokens that no cache held. ComputedPerHour is the
	// same over the window. ComputedEstimated is set where the server's own
	// counts do not say it and the hit rate had to serve.
	ComputedTokens    int64
	ComputedPerHour   float64
	ComputedEstimated bool
	Preemptions       int64
	// EffectiveConcurrency is Σ whole-request seconds ÷ window seconds
	// (Little's law): how many requests were in the server on average.
	EffectiveConcurrency float64
	Mismatches           int

	Notes []string
}

// Split says where the mean time to first token went, from vLLM's own
// histograms: waiting to be scheduled, computing the prompt, and the rest
// (tokenising, and what passes between the server's processes).
type Split struct {
	Queue   float64 `json:"queue"`
	Prefill float64 `json:"prefill"`
	Rest    float64 `json:"rest"`
}

// Evaluate computes every figure of a window and the verdict by the criteria.
// A nil window is one in which nothing was measured.
func Evaluate(w *Window, c Criteria) Figures {
	f := Figures{Percentile: c.percentile()}
	if w != nil {
		f.fill(w)
	}
	c.judge(&f, w != nil && w.Restarted)
	return f
}

func (f *Figures) fill(w *Window) {
	f.Start, f.End, f.Seconds, f.Simulated = w.Start, w.End, w.Seconds(), w.Simulated
	f.Notes = append(f.Notes, w.Notes...)
	f.TTFT, f.E2E = quantiles(w.TTFT), quantiles(w.E2E)
	f.MeanTTFT, _ = w.TTFT.Mean()
	f.MeanE2E, _ = w.E2E.Mean()
	f.Split = split(w)

	f.TokensPerStep = 1
	after := float64(w.GenerationTokens) - w.TTFT.Count() // tokens after each request's first
	if after > 0 && w.ITL.Sum > 0 {
		f.MeanTPS = after / w.ITL.Sum
		f.TokensPerStep = after / w.ITL.Count()
	}
	perStep := 1.0
	if w.Drafts > 0 && f.TokensPerStep > 1 {
		perStep = f.TokensPerStep
		f.note("speculative decoding made %.2f tokens a step: speed quantiles are those of the steps times that, their upper bounds unknown", perStep)
	}
	itl := quantiles(w.ITL)
	f.TPS = Quantiles{P50: speed(itl.P50, perStep), P90: speed(itl.P90, perStep), P99: speed(itl.P99, perStep)}

	f.Started, f.Finished = int64(w.TTFT.Count()), w.Finished
	f.PromptTokens, f.GenerationTokens, f.Preemptions = w.PromptTokens, w.GenerationTokens, w.Preemptions
	f.cache(w)
	if f.Seconds > 0 {
		hours := f.Seconds / 3600
		f.TokensPerHour = float64(w.PromptTokens+w.GenerationTokens) / hours
		f.GenerationPerHour = float64(w.GenerationTokens) / hours
		f.ComputedPerHour = float64(f.ComputedTokens) / hours
		f.EffectiveConcurrency = w.E2E.Sum / f.Seconds
	}
	for _, n := range w.Mismatches {
		f.Mismatches += n
	}
	if f.Mismatches > 0 {
		f.note("%d requests did not fit the cassette and were refused", f.Mismatches)
	}
}

// maxMiscount is by how much the cache's queries may differ from the prompt
// tokens before they are taken to count something else: requests in flight at
// the window's ends move some tokens from one count to the other.
const maxMiscount = 0.02

// cache computes the hit rate and the computed tokens. Each prompt token is
// counted once. The server's own count is used where there is one. Otherwise
// prompt × (1 − hits ÷ queries), which is prompt − hits where each request was
// looked up once; where it was looked up at each attempt to schedule it, hits
// can exceed the prompt, and only their ratio still means something. Nothing is
// cut off in silence: counts that cannot be are told of.
func (f *Figures) cache(w *Window) {
	var rate float64
	if w.PrefixQueries > 0 {
		rate = min(1, float64(w.PrefixHits)/float64(w.PrefixQueries))
		f.PrefixCacheHitRate = &rate
	}
	if w.ComputedPromptTokens != nil {
		f.ComputedTokens = *w.ComputedPromptTokens + w.GenerationTokens
		return
	}
	f.ComputedTokens = int64(float64(w.PromptTokens)*(1-rate)+0.5) + w.GenerationTokens
	off := float64(w.PrefixQueries - w.PromptTokens)
	if w.PrefixHits > w.PrefixQueries {
		f.ComputedEstimated = true
		f.note("the prefix cache was asked for %d tokens and had %d, which cannot be: computed tokens are those generated", w.PrefixQueries, w.PrefixHits)
	} else if w.PrefixQueries > 0 && max(off, -off) > maxMiscount*float64(w.PromptTokens) {
		f.ComputedEstimated = true
		f.note("the prefix cache was asked for %d tokens, the prompts had %d: computed tokens are estimated by the hit rate", w.PrefixQueries, w.PromptTokens)
	}
}

// split takes the mean TTFT apart. The three histograms are of the same
// requests only where as many finished as started; else there is no split.
func split(w *Window) *Split {
	ttft, ok := w.TTFT.Mean()
	queue, ok1 := w.Queue.Mean()
	prefill, ok2 := w.Prefill.Mean()
	if !ok || !ok1 || !ok2 || w.Queue.Count() != w.TTFT.Count() || w.Prefill.Count() != w.TTFT.Count() {
		return nil
	}
	// Queue and prefill are measured by another clock than TTFT.
	return &Split{Queue: queue, Prefill: prefill, Rest: max(0, ttft-queue-prefill)}
}

func (f *Figures) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}
