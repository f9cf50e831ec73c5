package slo_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/slo"
)

func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Pages as four versions of vLLM write them, against what the requests on them
// really took.
func TestPagesOfEveryVersion(t *testing.T) {
	type tails struct{ Mean, P50, P90, P99 float64 }
	for _, name := range []string{"vllm-0.10", "vllm-0.11", "vllm-0.13", "vllm-0.27-dp2"} {
		t.Run(name, func(t *testing.T) {
			var truth struct {
				Prompt, Generation, Hit, Requests int64
				TTFT, ITL, E2E, Queue, Prefill    tails
			}
			if err := json.Unmarshal([]byte(file(t, name+".truth.json")), &truth); err != nil {
				t.Fatal(err)
			}
			w, err := slo.Delta(parse(t, file(t, name+".before.prom"), 0), parse(t, file(t, name+".after.prom"), 2*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			f := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
			if w.Restarted || f.Simulated || !f.HoldsSLO || !f.HoldsSLOCertain {
				t.Errorf("restarted %v, simulated %v, verdict %q", w.Restarted, f.Simulated, f.Why)
			}
			if f.Started != truth.Requests || f.Finished["stop"] != truth.Requests || f.PromptTokens != truth.Prompt || f.GenerationTokens != truth.Generation {
				t.Errorf("counts %d %v %d %d, want %+v", f.Started, f.Finished, f.PromptTokens, f.GenerationTokens, truth)
			}
			for what, c := range map[string]struct{ got, want float64 }{
				"mean ttft": {f.MeanTTFT, truth.TTFT.Mean},
				"mean tps":  {f.MeanTPS, 1 / truth.ITL.Mean},
				"mean e2e":  {f.MeanE2E, truth.E2E.Mean},
				"queue":     {f.Split.Queue, truth.Queue.Mean},
				"prefill":   {f.Split.Prefill, truth.Prefill.Mean},
				"tok/h":     {f.TokensPerHour, float64(truth.Prompt+truth.Generation) * 30},
			} {
				if !near(c.got, c.want, 1e-9) {
					t.Errorf("%s is %v, truth %v", what, c.got, c.want)
				}
			}
			for p, want := range map[string][3]float64{
				"p50": {truth.TTFT.P50, 1 / truth.ITL.P50, truth.E2E.P50},
				"p90": {truth.TTFT.P90, 1 / truth.ITL.P90, truth.E2E.P90},
				"p99": {truth.TTFT.P99, 1 / truth.ITL.P99, truth.E2E.P99},
			} {
				within(t, 0, "ttft", p, f.TTFT, want[0])
				within(t, 0, "tps", p, f.TPS, want[1])
				within(t, 0, "e2e", p, f.E2E, want[2])
			}
			// 0.11's page counts two lookups for half of the requests: the rate
			// weighs those twice, which is an estimate, and says so.
			wantComputed, tolerance := float64(truth.Prompt-truth.Hit+truth.Generation), 1e-9
			if name == "vllm-0.11" {
				tolerance = 0.05
			}
			if got := float64(f.ComputedTokens); !near(got, wantComputed, tolerance) || f.ComputedEstimated != (name == "vllm-0.11") {
				t.Errorf("computed %v (estimated %v), truth %v", got, f.ComputedEstimated, wantComputed)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	whole := file(t, "vllm-0.13.after.prom")
	without := func(part string) string {
		var kept []string
		for line := range strings.Lines(whole) {
			if !strings.Contains(line, part) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	replace := func(old, new string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("the page has no %q", old)
		}
		return strings.Replace(whole, old, new, 1)
	}
	const generation = `vllm:generation_tokens_total{engine="0",model_name="qwen3-coder-30b-fp8"}`
	value := strings.Fields(whole[strings.Index(whole, generation):])[1]
	for _, c := range []struct{ name, page, want string }{
		{"nothing", "", "empty"},
		{"a web page", "<html>502 Bad Gateway</html>\n", "broken or cut short"},
		{"another program's metrics", "up 1\n", `no "vllm:" series`},
		{"cut in a line", whole[:len(whole)-3], "cut short"},
		{"cut between lines of a histogram", whole[:strings.Index(whole, "vllm:e2e_request_latency_seconds_sum")], "cut short"},
		{"cut after a histogram's first buckets", whole[:strings.Index(whole, `vllm:e2e_request_latency_seconds_bucket{engine="0",le="10.0"`)], "no _sum or no _count"},
		{"cut between families", whole[:strings.Index(whole, "# HELP vllm:e2e_request_latency_seconds ")], "has no vllm:e2e_request_latency_seconds"},
		{"renamed", strings.ReplaceAll(whole, "inter_token_latency", "itl"), "inter_token_latency_seconds or vllm:time_per_output_token_seconds"},
		{"no last bucket", without(`le="+Inf"`), "_count is"},
		{"negative", replace(generation+" "+value, generation+" -5"), "is -5"},
		{"not a number", replace(generation+" "+value, generation+" NaN"), "is NaN"},
		{"twice", replace(generation, generation+" 1.0\n"+generation), "twice"},
		{"a gauge where a histogram should be", replace("# TYPE vllm:time_to_first_token_seconds histogram", "# TYPE vllm:time_to_first_token_seconds gauge"), "has no vllm:time_to_first_token_seconds"},
		{"text for a number", replace(generation+" "+value, generation+" many"), "broken or cut short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := slo.Parse(strings.NewReader(c.page), start)
			if err == nil || s != nil {
				t.Fatalf("Parse gave %+v, want an error", s)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

// A server that answers in OpenMetrics leaves the counters without a type.
func TestParseReadsCountersOfOpenMetrics(t *testing.T) {
	page := strings.ReplaceAll(file(t, "vllm-0.13.after.prom"), "_tokens_total counter", "_tokens counter")
	got, want := parse(t, page, time.Minute), parse(t, file(t, "vllm-0.13.after.prom"), time.Minute)
	before := parse(t, file(t, "vllm-0.13.before.prom"), 0)
	a, err := slo.Delta(before, got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := slo.Delta(before, want)
	if err != nil {
		t.Fatal(err)
	}
	if a.GenerationTokens != b.GenerationTokens || a.PromptTokens != b.PromptTokens || a.PromptTokens == 0 {
		t.Errorf("%d and %d tokens, want %d and %d", a.PromptTokens, a.GenerationTokens, b.PromptTokens, b.GenerationTokens)
	}
}

func TestSimulatedServerIsMarked(t *testing.T) {
	s := &server{engines: []*engine{{label: "0"}}}
	marked := *s
	marked.extra = "# TYPE dail_simulated gauge\ndail_simulated 1\n" +
		"# TYPE dail_cassette_mismatches_total counter\ndail_cassette_mismatches_total{phase=\"spec\"} 2\n"
	before := parse(t, s.page(), 0)
	after := parse(t, marked.page(), time.Second)
	if before.Simulated || !after.Simulated {
		t.Errorf("simulated: %v, %v; want false, true", before.Simulated, after.Simulated)
	}
	w, err := slo.Delta(before, after)
	if err != nil {
		t.Fatal(err)
	}
	f := slo.Evaluate(w, slo.Criteria{})
	if !w.Simulated || !f.Simulated || w.Mismatches["spec"] != 2 || f.Mismatches != 2 || len(f.Notes) != 1 {
		t.Errorf("window %v, figures %v, mismatches %v, notes %q", w.Simulated, f.Simulated, w.Mismatches, f.Notes)
	}
}

// Restarts show in four ways; each time what is known is used, and no verdict
// is certain.
func TestRestart(t *testing.T) {
	gaps := []float64{0.02, 0.02, 0.02}
	loaded := func(n int, created float64, extra string) string {
		e := &engine{label: "0"}
		for range n {
			e.request(100, 50, 0.3, gaps...)
		}
		return (&server{engines: []*engine{e}, created: created, extra: extra}).page()
	}
	const birth = "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds "
	for _, c := range []struct{ name, before, after string }{
		{"a count fell", loaded(9, 0, ""), loaded(4, 0, "")},
		{"_created changed", loaded(2, 1.76e9, ""), loaded(4, 1.77e9, "")},
		{"the process is a new one", loaded(2, 0, birth+"1.76e+09\n"), loaded(4, 0, birth+"1.77e+09\n")},
		{"another model", strings.ReplaceAll(loaded(2, 0, ""), `model_name="m"`, `model_name="old"`), loaded(4, 0, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := slo.Delta(parse(t, c.before, 0), parse(t, c.after, time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			f := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
			if !w.Restarted || f.Started != 4 || f.PromptTokens != 400 || !near(f.MeanTTFT, 0.3, 1e-9) {
				t.Errorf("restarted %v, %d requests, %d prompt tokens, mean %v", w.Restarted, f.Started, f.PromptTokens, f.MeanTTFT)
			}
			if !f.HoldsSLO || f.HoldsSLOCertain || !strings.Contains(f.Why, "restarted") || len(f.Notes) == 0 {
				t.Errorf("holds %v, certain %v: %q, notes %q", f.HoldsSLO, f.HoldsSLOCertain, f.Why, f.Notes)
			}
		})
	}
}

func TestDeltaRefuses(t *testing.T) {
	whole := file(t, "vllm-0.27-dp2.after.prom")
	before := parse(t, file(t, "vllm-0.27-dp2.before.prom"), 0)
	cut := strings.Index(whole, "# HELP vllm:request_queue_time_seconds ")
	buckets := strings.ReplaceAll(whole, `le="0.025"`, `le="0.02"`)
	for _, c := range []struct {
		name          string
		before, after *slo.Snapshot
		want          string
	}{
		{"no scrape before", nil, before, "before"},
		{"no scrape after", before, nil, "after"},
		{"swapped", parse(t, whole, time.Minute), before, "swapped"},
		{"cut between families that are not required", before, parse(t, whole[:cut], time.Minute), "request_queue_time_seconds was on the earlier page"},
		{"other buckets", before, parse(t, buckets, time.Minute), "buckets changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := slo.Delta(c.before, c.after)
			if err == nil || w != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an error that says %q", w, err, c.want)
			}
		})
	}
}
