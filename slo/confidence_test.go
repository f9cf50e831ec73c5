package slo_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/slo"
)

// counts is a server that forgets every observation once it is counted: pages
// of long runs are made in no time.
type counts struct {
	prompt, generation int
	ttft, itl, e2e     bins
}

type bins struct {
	bounds []float64
	n      []int
	count  int
	sum    float64
}

func (b *bins) see(v float64) {
	if b.n == nil {
		b.n = make([]int, len(b.bounds))
	}
	b.count++
	b.sum += v
	for i := len(b.bounds) - 1; i >= 0 && v <= b.bounds[i]; i-- {
		b.n[i]++
	}
}

func (c *counts) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total{model_name=\"m\"} %d\n", c.prompt)
	fmt.Fprintf(&b, "# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{model_name=\"m\"} %d\n", c.generation)
	for name, h := range map[string]*bins{"time_to_first_token": &c.ttft, "inter_token_latency": &c.itl, "e2e_request_latency": &c.e2e} {
		fmt.Fprintf(&b, "# TYPE vllm:%s_seconds histogram\n", name)
		for i, le := range h.bounds {
			n := 0
			if h.n != nil {
				n = h.n[i]
			}
			fmt.Fprintf(&b, "vllm:%s_seconds_bucket{model_name=\"m\",le=\"%v\"} %d\n", name, le, n)
		}
		fmt.Fprintf(&b, "vllm:%[1]s_seconds_bucket{model_name=\"m\",le=\"+Inf\"} %[2]d\nvllm:%[1]s_seconds_count{model_name=\"m\"} %[2]d\nvllm:%[1]s_seconds_sum{model_name=\"m\"} %[3]v\n",
			name, h.count, h.sum)
	}
	return b.String()
}

// load is one level's seconds: requests of a time to first token and a time
// per token around the given means, whose neighbours hang together over some
// five seconds, as those of a busy server do.
func load(t testing.TB, seed uint64, seconds int, ttft, itl float64) slo.Series {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := &counts{ttft: bins{bounds: ttftBounds}, itl: bins{bounds: itlBounds}, e2e: bins{bounds: e2eBounds}}
	mood := 0.0
	var got slo.Series
	for i := range seconds + 1 {
		got.Snapshots = append(got.Snapshots, parse(t, c.page(), time.Duration(i)*time.Second))
		mood = 0.8*mood + 0.2*rng.NormFloat64()
		for range rng.IntN(5) {
			c.prompt, c.generation = c.prompt+1000, c.generation+21
			first := ttft * (1 + mood) * math.Exp(0.3*rng.NormFloat64())
			whole := first
			for range 20 {
				gap := itl * (1 + mood) * math.Exp(0.1*rng.NormFloat64())
				c.itl.see(gap)
				whole += gap
			}
			c.ttft.see(first)
			c.e2e.see(whole)
		}
	}
	return got
}

// Most intervals hold the truth, which is known: the means that the load is
// drawn from. Intervals that took the seconds for independent would hold it in
// half of the cases.
func TestIntervalsHoldTheTruth(t *testing.T) {
	const trials, ttft, itl = 24, 0.5, 0.03
	truth := map[string]float64{
		"mean_ttft":       ttft * math.Exp(0.3*0.3/2),
		"mean_tps":        1 / (itl * math.Exp(0.1*0.1/2)),
		"tokens_per_hour": 2 * 1021 * 3600, // 0 to 4 requests a second
	}
	held := map[string]int{}
	for seed := range uint64(trials) {
		got, ok := load(t, seed, 160, ttft, itl).Confidence(0.95, slo.Criteria{MaxTTFT: 10, MinTPS: 1})
		if !ok {
			t.Fatal("no confidence of 160 s")
		}
		for key, want := range truth {
			if i := got.Intervals[key]; i.Low <= want && want <= i.High {
				held[key]++
			}
		}
	}
	for key := range truth {
		t.Logf("%s: %d of %d intervals hold the truth", key, held[key], trials)
		if held[key] < trials*85/100 {
			t.Errorf("%s: %d of %d intervals of 95 %% hold the truth", key, held[key], trials)
		}
	}
}

func TestConfidence(t *testing.T) {
	c := slo.Criteria{MaxTTFT: 1, MinTPS: 20, Percentile: "p90"}
	fast, ok := load(t, 1, 200, 0.2, 0.02).Confidence(0.95, c)
	if !ok || fast.Holds != 1 || fast.Blocks != 8 || math.Abs(fast.BlockS-25) > 0.01 {
		t.Errorf("%v %+v", ok, fast)
	}
	for _, key := range []string{"mean_ttft", "median_ttft", "p90_ttft", "mean_tps", "median_tps", "p90_tps", "e2e_mean", "e2e_p50", "tokens_per_hour"} {
		if i, ok := fast.Intervals[key]; !ok || !(i.Low < i.High) {
			t.Errorf("%s: %+v", key, i)
		}
	}
	again, _ := load(t, 1, 200, 0.2, 0.02).Confidence(0.95, c)
	if diff := cmp.Diff(fast, again); diff != "" {
		t.Errorf("the same series gives another interval:\n%s", diff)
	}
	if slow, _ := load(t, 1, 200, 0.2, 0.2).Confidence(0.95, c); slow.Holds != 0 {
		t.Errorf("a slow server holds in %v of the windows", slow.Holds)
	}
	// 50 ms is a bound of the buckets, and a tenth of the steps are slower.
	if edge, _ := load(t, 1, 200, 0.2, 0.040).Confidence(0.95, c); edge.Holds <= 0.01 || edge.Holds >= 0.99 {
		t.Errorf("a server at the limit holds in %v of the windows", edge.Holds)
	}
	if longer, _ := load(t, 1, 2000, 0.2, 0.02).Confidence(0.95, c); longer.Intervals["mean_tps"].RelativeHalfWidth() > fast.Intervals["mean_tps"].RelativeHalfWidth() {
		t.Error("ten times the data knows less")
	}
	if !fast.Precise(0.5, c) || fast.Precise(0.0001, c) {
		t.Errorf("precise: %+v", fast.Intervals)
	}
	for _, n := range []int{0, 1, 10} {
		if got, ok := load(t, 1, n, 0.2, 0.02).Confidence(0.95, c); ok {
			t.Errorf("confidence of %d s: %+v", n, got)
		}
	}
	var none slo.Series
	if _, ok := none.Confidence(0.95, c); ok {
		t.Error("confidence of nothing")
	}
}

func TestSequential(t *testing.T) {
	q := slo.Sequential{Criteria: slo.Criteria{MaxTTFT: 1, MinTPS: 20}}
	for _, tc := range []struct {
		name           string
		s              slo.Series
		decided, holds bool
	}{
		{"fast", load(t, 1, 120, 0.2, 0.02), true, true},
		{"slow", load(t, 1, 120, 0.2, 0.2), true, false},
		{"late", load(t, 1, 120, 5, 0.02), true, false},
		{"at the limit", load(t, 1, 120, 0.2, 0.049), false, false},
		{"fast, and too short", load(t, 1, 20, 0.2, 0.02), false, false},
		{"nothing", slo.Series{}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := q.Look(tc.s, 4)
			if err != nil || got.Decided != tc.decided || got.Holds != tc.holds || got.Why == "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if got, _ := q.Look(load(t, 1, 120, 0.2, 0.02), 1000); got.Decided {
		t.Errorf("decided on too few requests: %+v", got)
	}
}
