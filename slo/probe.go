package slo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Probe is a measurement of the saturated server: what is asked, of whom,
// and for how long. The shape of a request is fixed, so that two cards which
// were asked the same can be compared.
type Probe struct {
	// URL is the server's base, for example "http://127.0.0.1:8000", and Model
	// the name that it serves.
	URL, Model string
	// Concurrency is how many streams ask at once, at least 1. The server must
	// let as many run (vLLM's max_num_seqs).
	Concurrency int
	// Duration is the steady window's length, above 0.
	Duration time.Duration
	// PromptTokens and OutputTokens are the shape of each request, exact: at
	// least 32 and at least 1.
	PromptTokens, OutputTokens int

	// MaxWarmup bounds the time before the window; 0 is Duration, at least
	// 30 s. A server that has not begun with every stream by then is measured
	// all the same, and Theta says so.
	MaxWarmup time.Duration
	// Stall is how long the server may make no token; 0 is 2 minutes.
	Stall time.Duration
	// Seed makes the prompts; 0 takes one by chance, so that not even two
	// probes of one server share a prefix.
	Seed uint64
	// Client asks; nil is one of its own with as many connections as streams.
	Client *http.Client
	// Progress hears how far the probe is, a few dozen times in all; it is
	// never called twice at once, and nil is silence.
	Progress func(ProbeStatus)
}

// ProbeStatus is how far a probe is.
type ProbeStatus struct {
	Window      bool          // the steady window is open; before it is the warm-up
	Elapsed, Of time.Duration // of the window, or of the longest warm-up
	Began       int           // streams that have had a first token
	Requests    int           // answered since the beginning
	Errors      int           // failed since the beginning
	Running     float64       // requests in the server's batch, by its own gauge
}

// Theta is the throughput of the saturated server: the difference of its own
// counters over the steady window, and nothing else.
type Theta struct {
	// TokensPerHour is prompt and generated tokens. Where more than 1 % of the
	// prompts came from a prefix cache it is the computed ones only, and a note
	// says so.
	TokensPerHour       float64
	OutputTokensPerHour float64
	// Figures are all of the window's. They hold no verdict.
	Figures Figures

	Concurrency, PromptTokens, OutputTokens int
	// Warmup is the time before the window.
	Warmup time.Duration
	// MeanRunning is how many requests were in the server's batch on average,
	// PeakKV the most of its KV cache that was in use (0 to 1), by its gauges.
	MeanRunning, PeakKV float64
	Requests            int64 // that ended in the window
	Errors              int   // requests that failed in it
	// Limited says why this is less than what the GPU could do, or less than
	// an average; empty where it is neither.
	Limited string
	// Notes are sentences that a reader of the figures should see.
	Notes []string
}

// ErrStalled is wrapped where the server made no token for too long.
var ErrStalled = errors.New("no token was made")

// Limits of what a probe is taken for.
const (
	minProbePrompt    = 32   // a prompt must fill a block of the prefix cache
	maxSharedPrefix   = 0.01 // of the prompt tokens
	minRunning        = 0.9  // of the streams, on average
	minPerStream      = 3    // requests that ended in the window, per stream
	maxFailed         = 0.1  // of the requests
	probeScrapeWait   = 20 * time.Second
	defaultProbeStall = 2 * time.Minute
	leastMaxWarmup    = 30 * time.Second
)

func (p Probe) withDefaults() (Probe, error) {
	for _, v := range []struct {
		name        string
		value, want int
	}{{"Concurrency", p.Concurrency, 1}, {"OutputTokens", p.OutputTokens, 1}, {"PromptTokens", p.PromptTokens, minProbePrompt}} {
		if v.value < v.want {
			return p, fmt.Errorf("slo: saturation probe: %s is %d: want at least %d", v.name, v.value, v.want)
		}
	}
	if p.Duration <= 0 || p.URL == "" || p.Model == "" {
		return p, fmt.Errorf("slo: saturation probe: URL %q, Model %q, Duration %v: all three are needed", p.URL, p.Model, p.Duration)
	}
	p.URL = strings.TrimSuffix(p.URL, "/")
	if p.MaxWarmup <= 0 {
		p.MaxWarmup = max(p.Duration, leastMaxWarmup)
	}
	if p.Stall <= 0 {
		p.Stall = defaultProbeStall
	}
	return p, nil
}

// Saturate measures the saturated server. It keeps p.Concurrency requests with
// it at all times, each of random tokens that no other one begins with. The
// window opens when every stream has had its first token, and closes before
// the first stream ends; what is under way then is abandoned.
//
// It takes at most p.MaxWarmup and p.Duration together, and the time of two
// scrapes. An error is a server that refused, failed again and again, made no
// token ([ErrStalled]) or started again in the window, in its own words where
// it had any; or the end of ctx.
func Saturate(ctx context.Context, p Probe) (*Theta, error) {
	p, err := p.withDefaults()
	if err != nil {
		return nil, err
	}
	t, err := saturate(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("slo: saturation probe of %d streams: %w", p.Concurrency, err)
	}
	return t, nil
}

func saturate(ctx context.Context, p Probe) (*Theta, error) {
	s := newSaturation(p)
	defer s.idle()
	if err := s.learnTokens(ctx); err != nil {
		return nil, err
	}
	run, end := context.WithCancelCause(ctx)
	var streams sync.WaitGroup
	defer func() {
		end(nil)
		streams.Wait()
	}()
	s.end = end
	for i := range p.Concurrency {
		streams.Go(func() { s.stream(run, i) })
	}

	opened := time.Now()
	if err := s.watch(run, p.MaxWarmup, s.allBegan, func(*Snapshot) {}); err != nil {
		return nil, err
	}
	began := int(s.began.Load())
	if began == 0 {
		return nil, fmt.Errorf("%w: no stream had its first within %v", ErrStalled, p.MaxWarmup)
	}
	before, err := s.scrape(run)
	if err != nil {
		return nil, err
	}
	t := &Theta{
		Concurrency: p.Concurrency, PromptTokens: p.PromptTokens, OutputTokens: p.OutputTokens,
		Warmup: time.Since(opened),
	}
	if began < p.Concurrency {
		t.note("only %d of %d streams had begun when the window was opened, after %v", began, p.Concurrency, p.MaxWarmup)
	}
	failedBefore := s.failed.Load()
	var gauges gauges
	gauges.add(before)
	s.windowOpen = true
	if err := s.watch(run, p.Duration, nil, gauges.add); err != nil {
		return nil, err
	}
	after, err := s.scrape(run)
	if err != nil {
		return nil, err
	}
	gauges.add(after)
	t.Errors = int(s.failed.Load() - failedBefore)
	w, err := Delta(before, after)
	if err != nil {
		return nil, err
	}
	if w.Restarted {
		return nil, fmt.Errorf("the server started again in the window, so that it holds no saturated rate: %s%s", strings.Join(w.Notes, "; "), s.lastWords())
	}
	t.fill(w, gauges, s)
	return t, nil
}

// gauges averages what the server says of the moment.
type gauges struct {
	samples, running, waiting, peakKV float64
}

func (g *gauges) add(s *Snapshot) {
	g.samples++
	for _, e := range s.Engines {
		g.running += e.Running
		g.waiting += e.Waiting
		g.peakKV = max(g.peakKV, e.KVUsage)
	}
}

// fill makes the figures of the window, and says what is wrong with them.
func (t *Theta) fill(w *Window, g gauges, s *saturation) {
	f := Evaluate(w, Criteria{})
	f.HoldsSLO, f.HoldsSLOCertain, f.HoldsSLOP90, f.Why = false, false, false, "" // nobody asked
	t.Figures = f
	t.Notes = append(t.Notes, f.Notes...)
	t.TokensPerHour, t.OutputTokensPerHour = f.TokensPerHour, f.GenerationPerHour
	t.Requests = int64(w.E2E.Count())
	t.MeanRunning, t.PeakKV = g.running/g.samples, g.peakKV

	if hit := f.PrefixCacheHitRate; hit != nil && *hit > maxSharedPrefix {
		t.TokensPerHour = f.ComputedPerHour
		t.note("%.1f %% of the prompt tokens came from the prefix cache, though no two prompts begin alike: the rate is of computed tokens", 100**hit)
	}
	if asked := int64(t.PromptTokens) * f.Started; f.PromptTokens != asked {
		t.note("the prompts had %d tokens by the server's count, %d were sent: it adds or drops some", f.PromptTokens, asked)
	}
	if n, example := s.misshapen(); n > 0 {
		t.note("%d answers were not of the %d tokens that were asked for, the last one had %d: the server does not obey ignore_eos", n, t.OutputTokens, example)
	}
	if w.Drafts > 0 {
		t.note("speculative decoding: on random prompts other drafts are accepted than on code, so that this rate is no bound of the real one")
	}
	if f.Preemptions > 0 {
		t.note("%d requests were thrown out of the batch for want of KV cache and computed again; their tokens are counted once", f.Preemptions)
	}
	if t.Errors > 0 {
		t.note("%d requests failed in the window%s", t.Errors, s.lastWords())
	}

	var limited []string
	limit := func(format string, args ...any) { limited = append(limited, fmt.Sprintf(format, args...)) }
	if streams := float64(t.Concurrency); t.MeanRunning < minRunning*streams {
		why := "the rest was on its way between this machine and the server"
		switch waiting := g.waiting / g.samples; {
		case waiting >= 0.5 && t.PeakKV >= 0.9:
			why = fmt.Sprintf("the KV cache holds no more (%.0f %% in use)", 100*t.PeakKV)
		case waiting >= 0.5:
			why = "the server takes no more at once (max_num_seqs, or max_num_batched_tokens in a step)"
		}
		limit("on average %.1f of %d streams ran: %s", t.MeanRunning, t.Concurrency, why)
	}
	if float64(t.Requests) < minPerStream*float64(t.Concurrency) {
		limit("only %d requests ended in the window, %.1f per stream, which is few to average over: lengthen it", t.Requests, float64(t.Requests)/float64(t.Concurrency))
	}
	if float64(t.Errors) > maxFailed*float64(t.Requests) {
		limit("%d requests failed beside %d that were answered", t.Errors, t.Requests)
	}
	t.Limited = strings.Join(limited, "; ")
}

func (t *Theta) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}
