package slo_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/slo"
)

var (
	ttftBounds = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	itlBounds  = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	e2eBounds  = []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
)

// server is an engine that remembers every observation, and shows them the way
// vLLM does.
type server struct {
	engines []*engine
	itlName string
	created float64
	extra   string // more lines of the page
}

type engine struct {
	label              string
	prompt, generation int
	hits, queries      int
	ttft, itl, e2e     []float64
}

// request adds one answered request with the given time to first token and
// times between its tokens.
func (e *engine) request(prompt, hits int, ttft float64, gaps ...float64) {
	e.prompt, e.hits, e.queries = e.prompt+prompt, e.hits+hits, e.queries+prompt
	e.generation += 1 + len(gaps)
	e.ttft = append(e.ttft, ttft)
	e.itl = append(e.itl, gaps...)
	whole := ttft
	for _, g := range gaps {
		whole += g
	}
	e.e2e = append(e.e2e, whole)
}

func (s *server) page() string {
	var b strings.Builder
	counter := func(name string, get func(*engine) int) {
		fmt.Fprintf(&b, "# TYPE vllm:%s_total counter\n", name)
		for _, e := range s.engines {
			fmt.Fprintf(&b, "vllm:%s_total{engine=%q,model_name=\"m\"} %d.0\n", name, e.label, get(e))
		}
		if s.created == 0 {
			return
		}
		fmt.Fprintf(&b, "# TYPE vllm:%s_created gauge\n", name)
		for _, e := range s.engines {
			fmt.Fprintf(&b, "vllm:%s_created{engine=%q,model_name=\"m\"} %v\n", name, e.label, s.created)
		}
	}
	histogram := func(name string, bounds []float64, get func(*engine) []float64) {
		fmt.Fprintf(&b, "# TYPE vllm:%s histogram\n", name)
		for _, e := range s.engines {
			labels := fmt.Sprintf("engine=%q,model_name=\"m\"", e.label)
			values, sum := get(e), 0.0
			for _, v := range values {
				sum += v
			}
			for _, le := range append(slices.Clone(bounds), math.Inf(1)) {
				n := 0
				for _, v := range values {
					if v <= le {
						n++
					}
				}
				fmt.Fprintf(&b, "vllm:%s_bucket{%s,le=%q} %d.0\n", name, labels, strconv.FormatFloat(le, 'g', -1, 64), n)
			}
			fmt.Fprintf(&b, "vllm:%s_count{%s} %d.0\n", name, labels, len(values))
			fmt.Fprintf(&b, "vllm:%s_sum{%s} %s\n", name, labels, strconv.FormatFloat(sum, 'g', -1, 64))
		}
	}
	counter("prompt_tokens", func(e *engine) int { return e.prompt })
	counter("generation_tokens", func(e *engine) int { return e.generation })
	counter("prefix_cache_queries", func(e *engine) int { return e.queries })
	counter("prefix_cache_hits", func(e *engine) int { return e.hits })
	histogram("time_to_first_token_seconds", ttftBounds, func(e *engine) []float64 { return e.ttft })
	itl := s.itlName
	if itl == "" {
		itl = "inter_token_latency_seconds"
	}
	histogram(itl, itlBounds, func(e *engine) []float64 { return e.itl })
	histogram("e2e_request_latency_seconds", e2eBounds, func(e *engine) []float64 { return e.e2e })
	return b.String() + s.extra
}

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func parse(t testing.TB, page string, after time.Duration) *slo.Snapshot {
	t.Helper()
	s, err := slo.Parse(strings.NewReader(page), start.Add(after))
	if err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	return s
}

// nearestRank is the ⌈q·n⌉-th smallest.
func nearestRank(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[max(1, int(math.Ceil(q*float64(len(s)))))-1]
}

func near(got, want, relative float64) bool {
	return math.Abs(got-want) <= relative*math.Max(math.Abs(want), 1e-12)
}

// Random engines, of one or two labels and either name, with a history before
// the window: every mean is the truth, every true quantile is within the
// bounds, no bounds are wider than the server's bucket, and no certain verdict
// is wrong.
func TestFiguresAgainstTheTruth(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 6))
		s := &server{engines: []*engine{{label: "0"}}, created: 1.76e9}
		if seed%3 == 0 {
			s.engines = append(s.engines, &engine{label: "1"})
		}
		if seed%2 == 0 {
			s.itlName = "time_per_output_token_seconds"
		}
		slow, late := math.Pow(10, -3+3.5*rng.Float64()), math.Pow(10, -3+5*rng.Float64())
		work := func(requests int) {
			for range requests {
				e := s.engines[rng.IntN(len(s.engines))]
				gaps := make([]float64, rng.IntN(30))
				for i := range gaps {
					gaps[i] = slow * math.Exp(rng.NormFloat64()*0.5)
				}
				prompt := 100 + rng.IntN(1000)
				e.request(prompt, rng.IntN(prompt), late*math.Exp(rng.NormFloat64()), gaps...)
			}
		}
		work(rng.IntN(20))
		before := parse(t, s.page(), 0)
		had := map[*engine][3]int{}
		for _, e := range s.engines {
			had[e] = [3]int{len(e.ttft), len(e.itl), len(e.e2e)}
		}
		work(1 + rng.IntN(40))
		w, err := slo.Delta(before, parse(t, s.page(), time.Minute))
		if err != nil {
			t.Fatal(err)
		}

		var ttft, itl, e2e []float64
		for _, e := range s.engines {
			ttft, itl, e2e = append(ttft, e.ttft[had[e][0]:]...), append(itl, e.itl[had[e][1]:]...), append(e2e, e.e2e[had[e][2]:]...)
		}
		if len(itl) == 0 {
			continue
		}
		for _, percentile := range []string{"p50", "p90", "p99"} {
			q := map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99}[percentile]
			c := slo.Criteria{MaxTTFT: 1.3, MinTPS: 20, Percentile: percentile}
			f := slo.Evaluate(w, c)
			within(t, seed, "ttft", percentile, f.TTFT, nearestRank(ttft, q))
			within(t, seed, "e2e", percentile, f.E2E, nearestRank(e2e, q))
			within(t, seed, "tps", percentile, f.TPS, 1/nearestRank(itl, q))
			truth := nearestRank(ttft, q) <= c.MaxTTFT && 1/nearestRank(itl, q) >= c.MinTPS
			if f.HoldsSLOCertain && f.HoldsSLO != truth {
				t.Errorf("seed %d: %s is certain and wrong: %s; truth %v", seed, percentile, f.Why, truth)
			}
			if !near(f.MeanTTFT, mean(ttft), 1e-9) || !near(f.MeanTPS, 1/mean(itl), 1e-9) || !near(f.MeanE2E, mean(e2e), 1e-9) {
				t.Errorf("seed %d: means %v %v %v, truth %v %v %v", seed, f.MeanTTFT, f.MeanTPS, f.MeanE2E, mean(ttft), 1/mean(itl), mean(e2e))
			}
		}
	}
}

func within(t *testing.T, seed uint64, what, percentile string, qs slo.Quantiles, truth float64) {
	t.Helper()
	q, _ := qs.At(percentile)
	// 1/x of a bound and of the truth may differ in the last bit.
	if truth < q.Low*(1-1e-12) || truth > q.High*(1+1e-12) {
		t.Errorf("seed %d: %s %s is %v, bounds %v to %v", seed, what, percentile, truth, q.Low, q.High)
	}
	if q.Value < q.Low || q.Value > q.High {
		t.Errorf("seed %d: %s %s: value %v outside its own bounds %v to %v", seed, what, percentile, q.Value, q.Low, q.High)
	}
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
