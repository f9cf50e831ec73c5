package slo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/x/dail/slo"
)

// window is one level in which requests with these times were answered.
func window(t testing.TB, engines ...*engine) *slo.Window {
	t.Helper()
	empty := &server{}
	for _, e := range engines {
		empty.engines = append(empty.engines, &engine{label: e.label})
	}
	w, err := slo.Delta(parse(t, empty.page(), 0), parse(t, (&server{engines: engines}).page(), 100*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// times returns n copies of a duration.
func times(n int, seconds float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = seconds
	}
	return v
}

func TestVerdict(t *testing.T) {
	// load is ten requests at a time to first token and a time between tokens.
	load := func(ttft, itl float64) *engine {
		e := &engine{}
		for range 10 {
			e.request(100, 0, ttft, times(20, itl)...)
		}
		return e
	}
	// tail is a load whose slowest fifth is slower.
	tail := func(ttft, itl, slowTTFT, slowITL float64) *engine {
		e := load(ttft, itl)
		for range 3 {
			e.request(100, 0, slowTTFT, times(20, slowITL)...)
		}
		return e
	}
	for _, c := range []struct {
		name                string
		w                   *slo.Window
		c                   slo.Criteria
		holds, certain, p90 bool
		why                 string
	}{
		{"fast", window(t, load(0.2, 0.03)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, true, true, true, "holds: p50 time to first token"},
		{"20 tok/s is an edge: just fast enough is certain", window(t, load(0.2, 0.05)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, true, true, true, "holds"},
		{"20 tok/s is an edge: just too slow is certain", window(t, load(0.2, 0.0501)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, true, false, "is below 20"},
		{"the limit lies in the bucket", window(t, load(0.2, 0.03)), slo.Criteria{MaxTTFT: 10, MinTPS: 30}, false, false, false, "not certain"},
		{"the limit lies in the bucket, above the value", window(t, load(0.2, 0.03)), slo.Criteria{MaxTTFT: 10, MinTPS: 21}, true, false, true, "not certain"},
		{"10 s is an edge: late is certain", window(t, load(10.5, 0.03)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, true, false, "is above 10 s"},
		{"late, but how late is not known", window(t, load(2.3, 0.03)), slo.Criteria{MaxTTFT: 2, MinTPS: 20}, true, false, false, "not certain"},
		{"one broken limit decides, whatever the other", window(t, load(2.3, 0.2)), slo.Criteria{MaxTTFT: 2, MinTPS: 20}, false, true, false, "is below 20"},
		{"later than the last bucket", window(t, load(3000, 0.03)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, true, false, "is above 10 s"},
		{"slower than the last bucket", window(t, load(0.2, 100)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, true, false, "is below 20"},
		{"the tail breaks it at p90 only", window(t, tail(0.2, 0.03, 12, 0.3)), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, true, true, false, "holds"},
		{"judged at p90", window(t, tail(0.2, 0.03, 12, 0.3)), slo.Criteria{MaxTTFT: 10, MinTPS: 20, Percentile: "p90"}, false, true, false, "p90 speed"},
		{"nothing was measured", window(t, &engine{}), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, false, false, "no request was measured"},
		{"no window at all", nil, slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, false, false, "no request was measured"},
		{"no second token", func() *slo.Window { e := &engine{}; e.request(9, 0, 0.1); return window(t, e) }(), slo.Criteria{MaxTTFT: 10, MinTPS: 20}, false, false, false, "no speed"},
		{"a percentile that is none", window(t, load(0.2, 0.03)), slo.Criteria{MaxTTFT: 10, MinTPS: 20, Percentile: "p42"}, false, false, true, `"p42" is not p50, p90 or p99`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := slo.Evaluate(c.w, c.c)
			if f.HoldsSLO != c.holds || f.HoldsSLOCertain != c.certain || f.HoldsSLOP90 != c.p90 {
				t.Errorf("holds %v, certain %v, p90 %v; want %v, %v, %v: %s", f.HoldsSLO, f.HoldsSLOCertain, f.HoldsSLOP90, c.holds, c.certain, c.p90, f.Why)
			}
			if !strings.Contains(f.Why, c.why) {
				t.Errorf("why is %q, want %q", f.Why, c.why)
			}
			if strings.HasPrefix(f.Why, "holds") != c.holds {
				t.Errorf("the sentence %q contradicts the verdict %v", f.Why, c.holds)
			}
		})
	}
}

// The chain of known answers: 30 ms a token and 200 ms to the first are
// reported so, over one engine or two.
func TestKnownAnswer(t *testing.T) {
	a, b := &engine{label: "0"}, &engine{label: "1"}
	for range 30 {
		a.request(1000, 800, 0.2, times(99, 0.03)...)
		b.request(3000, 2400, 0.2, times(9, 0.03)...)
	}
	w := window(t, a, b)
	f := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
	for what, c := range map[string]struct{ got, want float64 }{
		"mean ttft":     {f.MeanTTFT, 0.2},
		"mean tps":      {f.MeanTPS, 1 / 0.03},
		"mean e2e":      {f.MeanE2E, (0.2 + 99*0.03 + 0.2 + 9*0.03) / 2},
		"per step":      {f.TokensPerStep, 1},
		"tokens":        {f.TokensPerHour, (30*4000 + 30*110) * 36},
		"generation":    {f.GenerationPerHour, 30 * 110 * 36},
		"computed":      {f.ComputedPerHour, (30*800 + 30*110) * 36},
		"hit rate":      {*f.PrefixCacheHitRate, 0.8},
		"concurrency":   {f.EffectiveConcurrency, 30 * (0.2 + 99*0.03 + 0.2 + 9*0.03) / 100},
		"engines":       {float64(w.Engines), 2},
		"started":       {float64(f.Started), 60},
		"window":        {f.Seconds, 100},
		"prompt tokens": {float64(f.PromptTokens), 120000},
	} {
		if !near(c.got, c.want, 1e-9) {
			t.Errorf("%s is %v, want %v", what, c.got, c.want)
		}
	}
	if f.Split != nil || f.ComputedEstimated {
		t.Errorf("split %+v of a page without queue times, computed estimated %v", f.Split, f.ComputedEstimated)
	}
}

// Cache figures where the server's counts are odd.
func TestComputedTokens(t *testing.T) {
	for _, c := range []struct {
		name                          string
		prompt, queries, hits         int
		page                          string // more lines after
		wantComputed                  int64
		wantRate                      float64
		wantEstimated, wantRateAbsent bool
	}{
		{name: "each looked up once", prompt: 1000, queries: 1000, hits: 900, wantComputed: 110, wantRate: 0.9},
		// The original lab's max(0, prompt − hits) says 10 here.
		{name: "looked up at each attempt", prompt: 1000, queries: 3000, hits: 2400, wantComputed: 210, wantRate: 0.8, wantEstimated: true},
		{name: "in blocks, as before vLLM 0.9", prompt: 1600, queries: 100, hits: 50, wantComputed: 810, wantRate: 0.5, wantEstimated: true},
		{name: "more hits than queries", prompt: 1000, queries: 1000, hits: 1100, wantComputed: 10, wantRate: 1, wantEstimated: true},
		{name: "cache never asked", prompt: 1000, wantComputed: 1010, wantRateAbsent: true},
		{name: "the server counts by source", prompt: 1000, queries: 3000, hits: 2400, wantComputed: 160, wantRate: 0.8,
			page: "# TYPE vllm:prompt_tokens_by_source_total counter\nvllm:prompt_tokens_by_source_total{engine=\"\",model_name=\"m\",source=\"local_compute\"} 150\n" +
				"vllm:prompt_tokens_by_source_total{engine=\"\",model_name=\"m\",source=\"local_cache_hit\"} 850\n"},
		{name: "the server counts the cached", prompt: 1000, queries: 3000, hits: 2400, wantComputed: 110, wantRate: 0.8,
			page: "# TYPE vllm:prompt_tokens_cached_total counter\nvllm:prompt_tokens_cached_total{engine=\"\",model_name=\"m\"} 900\n"},
		{name: "the server counts more cached than there was", prompt: 1000, queries: 1000, hits: 900, wantComputed: 110, wantRate: 0.9,
			page: "# TYPE vllm:prompt_tokens_cached_total counter\nvllm:prompt_tokens_cached_total{engine=\"\",model_name=\"m\"} 1900\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{prompt: c.prompt, generation: 10, queries: c.queries, hits: c.hits}
			w, err := slo.Delta(parse(t, (&server{engines: []*engine{{}}}).page(), 0), parse(t, (&server{engines: []*engine{e}, extra: c.page}).page(), time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			f := slo.Evaluate(w, slo.Criteria{})
			if f.ComputedTokens != c.wantComputed || f.ComputedEstimated != c.wantEstimated || (len(f.Notes) > 0) != c.wantEstimated {
				t.Errorf("computed %d, estimated %v, notes %q; want %d, %v", f.ComputedTokens, f.ComputedEstimated, f.Notes, c.wantComputed, c.wantEstimated)
			}
			switch {
			case c.wantRateAbsent:
				if f.PrefixCacheHitRate != nil {
					t.Errorf("hit rate %v, want none", *f.PrefixCacheHitRate)
				}
			case !near(*f.PrefixCacheHitRate, c.wantRate, 1e-9):
				t.Errorf("hit rate %v, want %v", *f.PrefixCacheHitRate, c.wantRate)
			}
		})
	}
}

// With speculative decoding a step makes several tokens: the mean stays exact,
// the quantile is scaled, and only its lower bound is known.
func TestSpeculativeDecoding(t *testing.T) {
	e := &engine{}
	for range 10 {
		e.request(100, 0, 0.2, times(20, 0.06)...)
	}
	e.generation += 10 * 20 // two tokens a step
	after := (&server{engines: []*engine{e}, extra: "# TYPE vllm:spec_decode_num_drafts_total counter\nvllm:spec_decode_num_drafts_total{engine=\"\",model_name=\"m\"} 200\n"}).page()
	w, err := slo.Delta(parse(t, (&server{engines: []*engine{{}}}).page(), 0), parse(t, after, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	f := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
	if !near(f.MeanTPS, 2/0.06, 1e-9) || !near(f.TokensPerStep, 2, 1e-9) || !near(f.TPS.P50.Value, 2/0.0625, 1e-9) {
		t.Errorf("mean %v, per step %v, median %+v", f.MeanTPS, f.TokensPerStep, f.TPS.P50)
	}
	if !near(f.TPS.P50.Low, 1/0.075, 1e-9) || f.TPS.P50.High != inf || !f.HoldsSLO || f.HoldsSLOCertain {
		t.Errorf("median %+v, holds %v, certain %v", f.TPS.P50, f.HoldsSLO, f.HoldsSLOCertain)
	}
}
