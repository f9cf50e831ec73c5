package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	soakSamples     = 20 // one at each 5 %
	soakConcurrency = 8
	soakDelay       = time.Millisecond
	// soakRise is how much of its mean a memory figure may climb over the last
	// half: more is a leak, or a cache without a bound.
	soakRise = 0.05
)

// soakResult is whether the native gateway's memory stays flat.
type soakResult struct {
	Requests  int     `json:"requests"`
	Errors    int     `json:"errors"`
	PerSecond float64 `json:"requests_per_s"`
	// RSS and HeapInUse, in bytes, after a garbage collection at each 5 %.
	RSS       []float64 `json:"rss_bytes"`
	HeapInUse []float64 `json:"heap_inuse_bytes"`
	// The rises are shares of the mean, over the last half.
	RSSRise    float64 `json:"rss_rise"`
	HeapRise   float64 `json:"heap_rise"`
	FirstError string  `json:"first_error,omitempty"`
}

// soak sends very many requests through the native gateway. Each twentieth of
// them is a level, with new tokens, as a run has them: what the gateway knows
// of a level's prompts ends with the level.
func soak(ctx context.Context, o options, stderr io.Writer) (*soakResult, error) {
	up, err := startRole(ctx, roleSpec{Role: "upstream", Delay: soakDelay, Answer: answerTool}, stderr)
	if err != nil {
		return nil, err
	}
	defer up.stop()
	p, err := o.open(ctx, "native", up.url, &atomic.Uint64{}, stderr)
	if err != nil {
		return nil, err
	}
	defer p.close()
	var t tally
	res := &soakResult{}
	began := time.Now()
	for i := range soakSamples {
		if err := p.stage.nextLevel(ctx); err != nil {
			return nil, err
		}
		var left atomic.Int64
		left.Store(int64(o.soak*(i+1)/soakSamples - o.soak*i/soakSamples))
		if err := p.load(ctx, soakConcurrency, &t, func(int) bool { return left.Add(-1) >= 0 }); err != nil {
			return nil, err
		}
		st, err := p.stage.stats(ctx, true)
		if err != nil {
			return nil, err
		}
		res.RSS = append(res.RSS, float64(st.RSS))
		res.HeapInUse = append(res.HeapInUse, float64(st.HeapUse))
		if !o.quick {
			fmt.Fprintf(stderr, "%s  soak: %d %%\n", time.Now().Format(time.TimeOnly), 100*(i+1)/soakSamples)
		}
	}
	res.Requests, res.Errors = len(t.latency), t.errors
	res.PerSecond = float64(res.Requests) / time.Since(began).Seconds()
	res.RSSRise, res.HeapRise = rise(res.RSS[soakSamples/2:]), rise(res.HeapInUse[soakSamples/2:])
	if t.first != nil {
		res.FirstError = t.first.Error()
	}
	return res, nil
}
