package slo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/dail/sim"
	"github.com/x/dail/slo"
)

var fixed = sim.Config{Step: sim.Fixed{TTFT: 200 * time.Millisecond, ITL: 30 * time.Millisecond}}

// The probe says what the engine does in the long run: one of known times, and
// ones whose steps get longer with the batch, that queue and that preempt.
func TestSaturateKnowsTheTruth(t *testing.T) {
	gpu := affine{step: 20 * time.Millisecond, sequence: 300 * time.Microsecond, token: 40 * time.Microsecond}
	for name, c := range map[string]struct {
		cfg     sim.Config
		change  func(*slo.Probe)
		limited string
	}{
		"known times":       {fixed, nil, ""},
		"no whole waves":    {fixed, func(p *slo.Probe) { p.Concurrency = 32; p.Duration = 11800 * time.Millisecond }, ""},
		"one stream":        {fixed, func(p *slo.Probe) { p.Concurrency = 1 }, ""},
		"a batch":           {sim.Config{Step: gpu}, func(p *slo.Probe) { p.Concurrency = 24; p.PromptTokens, p.OutputTokens = 768, 256; p.Duration *= 2 }, ""},
		"an l40s":           {l40s(t), func(p *slo.Probe) { p.Concurrency = 64; p.PromptTokens, p.OutputTokens = 768, 256; p.Duration *= 2 }, ""},
		"mostly prompts":    {sim.Config{Step: gpu}, func(p *slo.Probe) { p.PromptTokens, p.OutputTokens = 4000, 8 }, "max_num_batched_tokens"},
		"only answers":      {sim.Config{Step: gpu}, func(p *slo.Probe) { p.PromptTokens, p.OutputTokens = 32, 400; p.Duration *= 2 }, ""},
		"no room in the kv": {sim.Config{Step: gpu, MaxModelLen: 1024, KVTokens: 4096}, func(p *slo.Probe) { p.Concurrency = 16; p.PromptTokens, p.OutputTokens = 600, 200; p.Duration *= 4 }, "the KV cache holds no more"},
		"too few sequences": {sim.Config{Step: gpu, MaxNumSeqs: 5}, nil, "max_num_seqs"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simEngine(t, c.cfg)
				defer s.Close()
				p := probe(s, c.change)
				theta, err := slo.Saturate(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				prompt, output := truth(t, c.cfg, p)
				if off(theta.TokensPerHour, prompt+output) > 0.015 || off(theta.OutputTokensPerHour, output) > 0.015 || off(theta.Figures.ComputedPerHour, prompt+output) > 0.015 {
					t.Errorf("%.0f tokens/h (%.0f computed), %.0f of output; the truth is %.0f and %.0f",
						theta.TokensPerHour, theta.Figures.ComputedPerHour, theta.OutputTokensPerHour, prompt+output, output)
				}
				if (theta.Limited == "") != (c.limited == "") || !strings.Contains(theta.Limited, c.limited) {
					t.Errorf("limited %q, want %q", theta.Limited, c.limited)
				}
				if hit := theta.Figures.PrefixCacheHitRate; hit == nil || *hit != 0 {
					t.Errorf("hit rate %v of prompts that share nothing", hit)
				}
				if theta.Errors != 0 || !theta.Figures.Simulated || theta.Figures.Seconds < p.Duration.Seconds() || theta.Figures.Seconds > 1.01*p.Duration.Seconds() {
					t.Errorf("%d errors, simulated %v, window %v s", theta.Errors, theta.Figures.Simulated, theta.Figures.Seconds)
				}
				if preempted := theta.Figures.Preemptions > 0; preempted && !mentions(theta.Notes, "thrown out of the batch") || !preempted && len(theta.Notes) > 0 {
					t.Errorf("%d preemptions, notes %q", theta.Figures.Preemptions, theta.Notes)
				}
			})
		})
	}
}

func mentions(notes []string, what string) bool {
	return slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, what) })
}

// Every prompt has exactly its tokens and begins like no other, every answer
// is asked for whole, and only the first request of a stream is a stream.
func TestSaturateAsksInOneShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simEngine(t, fixed)
		defer s.Close()
		var mu sync.Mutex
		heads := map[string]int{}
		total, streamed := 0, 0
		h := between(s, func(c *completion) {
			mu.Lock()
			defer mu.Unlock()
			heads[fmt.Sprint(c.Prompt[:16])]++
			total++
			if len(c.Prompt) != 96 || !c.IgnoreEOS || c.MinTokens != c.MaxTokens {
				t.Errorf("asked %d tokens for %d to %d, ignore_eos %v", len(c.Prompt), c.MinTokens, c.MaxTokens, c.IgnoreEOS)
			}
			if c.Stream {
				streamed++
			} else if c.MaxTokens != 32 {
				t.Errorf("asked for %d tokens, want 32", c.MaxTokens)
			}
		})
		for seed := range uint64(2) { // two probes of one server share nothing either
			if _, err := slo.Saturate(t.Context(), probe(h, func(p *slo.Probe) { p.Seed = seed + 1 })); err != nil {
				t.Fatal(err)
			}
		}
		if len(heads) != total || total < 500 || streamed != 16 {
			t.Errorf("%d requests, %d different first blocks, %d streams", total, len(heads), streamed)
		}
	})
}

// The control: where prompts do share a beginning the probe says so, and its
// rate is of the computed tokens.
func TestSaturateSeesASharedPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simEngine(t, fixed)
		defer s.Close()
		p := probe(between(s, func(c *completion) {
			for i := range 48 {
				c.Prompt[i] = 7
			}
		}), nil)
		theta, err := slo.Saturate(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		f := theta.Figures
		if !mentions(theta.Notes, "50.0 % of the prompt tokens came from the prefix cache") || theta.TokensPerHour != f.ComputedPerHour || off(f.TokensPerHour-f.ComputedPerHour, f.TokensPerHour*48/128) > 0.01 {
			t.Errorf("notes %q, %.0f tokens/h, %.0f served, %.0f computed", theta.Notes, theta.TokensPerHour, f.TokensPerHour, f.ComputedPerHour)
		}
	})
}

// What is off in a probe is in its notes, or in why it is limited.
func TestSaturateSaysWhatIsOff(t *testing.T) {
	failing := func(every int64) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			var n atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/completions" && n.Add(1)%every == 0 {
					w.WriteHeader(500)
					fmt.Fprint(w, `{"error":{"message":"CUDA error: an illegal memory access"}}`)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	for name, c := range map[string]struct {
		serve   func(http.Handler) http.Handler
		change  func(*slo.Probe)
		note    string
		limited string
	}{
		"a short window":     {nil, func(p *slo.Probe) { p.Duration = 2 * time.Second }, "", "few to average over"},
		"some requests fail": {failing(50), nil, "failed in the window; the last failed request: /v1/completions: HTTP 500 Internal Server Error: CUDA error: an illegal memory access", ""},
		"many requests fail": {failing(5), nil, "failed in the window", "requests failed beside"},
		"answers of other length": {func(next http.Handler) http.Handler {
			return between(next, func(c *completion) { c.MaxTokens, c.MinTokens = 30, 30 })
		}, nil, "the last one had 30: the server does not obey ignore_eos", ""},
		"prompts of other length": {func(next http.Handler) http.Handler {
			return between(next, func(c *completion) { c.Prompt = append(c.Prompt, 1) })
		}, nil, "it adds or drops some", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simEngine(t, fixed)
				defer s.Close()
				var h http.Handler = s
				if c.serve != nil {
					h = c.serve(s)
				}
				theta, err := slo.Saturate(t.Context(), probe(h, c.change))
				if err != nil {
					t.Fatal(err)
				}
				if c.note != "" && !mentions(theta.Notes, c.note) || c.note == "" && len(theta.Notes) > 0 {
					t.Errorf("notes %q, want %q", theta.Notes, c.note)
				}
				if !strings.Contains(theta.Limited, c.limited) || c.limited == "" && theta.Limited != "" && c.note == "" {
					t.Errorf("limited %q, want %q", theta.Limited, c.limited)
				}
			})
		})
	}
}

// A server that cannot be measured is an error in its own words, and nothing of
// the probe stays behind (the bubble would not end).
func TestSaturateFails(t *testing.T) {
	answer := func(path string, status int, body string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path {
					w.WriteHeader(status)
					fmt.Fprint(w, body)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	silent := func(http.Handler) http.Handler { return nil }
	for name, c := range map[string]struct {
		serve  func(http.Handler) http.Handler
		change func(*slo.Probe)
		want   string
		is     error
		within time.Duration
	}{
		"it refuses":      {answer("/v1/completions", 400, `{"error":{"message":"The model does not support this.","type":"BadRequestError"}}`), nil, "HTTP 400 Bad Request: The model does not support this.", nil, time.Second},
		"it always fails": {answer("/v1/completions", 503, "overloaded"), nil, "HTTP 503 Service Unavailable: overloaded", nil, 5 * time.Second},
		"it breaks off": {answer("/v1/completions", 200, "data: {\"choices\":[{}]}\n\ndata: {\"error\":{\"message\":\"EngineCore died\"}}\n\n"), nil,
			"broke off its answer: EngineCore died", nil, 5 * time.Second},
		"it ends early":          {answer("/v1/completions", 200, "data: {\"choices\":[{}]}\n\n"), nil, "ended in its middle", nil, 5 * time.Second},
		"it has no tokenizer":    {answer("/tokenize", 404, `{"detail":"Not Found"}`), nil, `/tokenize: HTTP 404 Not Found: "Not Found"`, nil, time.Second},
		"it makes few tokens":    {answer("/tokenize", 200, `{"tokens":[1,2,3],"count":3}`), nil, "3 different tokens", nil, time.Second},
		"the shape is too big":   {nil, func(p *slo.Probe) { p.PromptTokens = 65536 }, "more than the 65536 that the server takes", nil, time.Second},
		"it has no metrics":      {answer("/metrics", 500, "no"), nil, "/metrics: HTTP", nil, 5 * time.Second},
		"it never makes a token": {silent, func(p *slo.Probe) { p.Stall = 20 * time.Second }, "no token was made for 2", slo.ErrStalled, 25 * time.Second},
		"it is slow to begin":    {silent, func(p *slo.Probe) { p.MaxWarmup = 10 * time.Second }, "no stream had its first within 10s", slo.ErrStalled, 11 * time.Second},
		"no streams":             {nil, func(p *slo.Probe) { p.Concurrency = 0 }, "Concurrency is 0: want at least 1", nil, 1},
		"no server":              {nil, func(p *slo.Probe) { p.URL = "" }, `URL ""`, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := fixed
				var h http.Handler
				if c.serve != nil && c.serve(nil) == nil {
					cfg.Step, c.serve = sim.Fixed{TTFT: time.Hour}, nil
				}
				s := simEngine(t, cfg)
				defer s.Close()
				if h = s; c.serve != nil {
					h = c.serve(s)
				}
				began := time.Now()
				theta, err := slo.Saturate(t.Context(), probe(h, c.change))
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "slo: saturation probe") || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%+v, %v; want %q", theta, err, c.want)
				}
				if took := time.Since(began); took > c.within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A server that starts again in the middle has no saturated rate to tell.
func TestSaturateSeesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := simEngine(t, fixed)
		var now atomic.Pointer[sim.Server]
		now.Store(first)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().ServeHTTP(w, r) })
		go func() {
			time.Sleep(20 * time.Second)
			now.Store(simEngine(t, fixed))
			first.Close()
		}()
		_, err := slo.Saturate(t.Context(), probe(h, nil))
		now.Load().Close()
		if err == nil || !strings.Contains(err.Error(), "started again in the window") || !strings.Contains(err.Error(), "was closed") {
			t.Errorf("%v", err)
		}
	})
}

// Ctrl-C ends the probe at once, wherever it is, and it says why.
func TestSaturateIsCancelled(t *testing.T) {
	why := errors.New("the user pressed Ctrl-C")
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 30 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simEngine(t, fixed)
				defer s.Close()
				ctx, cancel := context.WithCancelCause(t.Context())
				began := time.Now()
				stop := time.AfterFunc(after, func() { cancel(why) })
				defer stop.Stop()
				_, err := slo.Saturate(ctx, probe(s, nil))
				if took := time.Since(began); !errors.Is(err, why) && !errors.Is(err, context.Canceled) || took > after+time.Second {
					t.Errorf("%v after %v", err, took)
				}
				synctest.Wait()
				if running := runningNow(t, s); running != 0 {
					t.Errorf("%v requests still run", running)
				}
			})
		})
	}
}

func runningNow(t *testing.T, s http.Handler) (n float64) {
	t.Helper()
	snap, err := slo.Scrape(t.Context(), &http.Client{Transport: inProcess{s}}, "http://engine")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range snap.Engines {
		n += e.Running
	}
	return n
}

// Who watches sees the warm-up and then the window, in order.
func TestSaturateTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fixed
		cfg.Step = sim.Fixed{TTFT: 10 * time.Second, ITL: 30 * time.Millisecond}
		s := simEngine(t, cfg)
		defer s.Close()
		var seen []slo.ProbeStatus
		if _, err := slo.Saturate(t.Context(), probe(s, func(p *slo.Probe) { p.Progress = func(st slo.ProbeStatus) { seen = append(seen, st) } })); err != nil {
			t.Fatal(err)
		}
		if len(seen) < 20 || seen[0].Window || seen[0].Began != 0 || !seen[len(seen)-1].Window {
			t.Fatalf("%d times: %+v", len(seen), seen)
		}
		for i, st := range seen[1:] {
			if before := seen[i]; st.Requests < before.Requests || before.Window && (!st.Window || st.Elapsed <= before.Elapsed || st.Began != 8 || st.Running < 6 || st.Running > 8) {
				t.Errorf("%+v after %+v", st, before)
			}
		}
	})
}
