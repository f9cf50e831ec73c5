package sim_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/sim"
)

const hello = `{"model":"m","messages":[{"role":"user","content":"hello"}],"max_tokens":11,"ignore_eos":true}`

var fixed = sim.Config{Model: "m", Step: sim.Fixed{TTFT: 200 * time.Millisecond, ITL: 30 * time.Millisecond}}

// TestFixedIsExact: an engine that is told 200 ms to the first token and 30 ms
// a token shows exactly that, to its clients and in /metrics, whatever else it
// does.
func TestFixedIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, fixed, nil)
		defer s.Close()
		done := make(chan struct{})
		for i := range 7 {
			go func() {
				time.Sleep(time.Duration(i) * 17 * time.Millisecond)
				began := time.Now()
				w := do(s, "POST", "/v1/chat/completions", hello)
				if w.Code != 200 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				if took, want := time.Since(began), 500*time.Millisecond; took != want {
					t.Errorf("request %d took %v, want %v", i, took, want)
				}
				done <- struct{}{}
			}()
		}
		for range 7 {
			<-done
		}
		page := do(s, "GET", "/metrics", "").Body.String()
		for _, line := range []string{
			`vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 1.4`,
			`vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 7`,
			`vllm:time_to_first_token_seconds_bucket{engine="0",model_name="m",le="0.1"} 0`,
			`vllm:time_to_first_token_seconds_bucket{engine="0",model_name="m",le="0.25"} 7`,
			`vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 2.1`,
			`vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 70`,
			`vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 3.5`,
			`vllm:request_queue_time_seconds_sum{engine="0",model_name="m"} 0`,
			`vllm:generation_tokens_total{engine="0",model_name="m"} 77`,
			`vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 7`,
			`dail_simulated 1`,
		} {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("/metrics lacks %q", line)
			}
		}
		if t.Failed() {
			t.Log(page)
		}
	})
}

// steady is a step model of round numbers: 100 ms a step with prompt tokens,
// 20 ms one without.
type steady struct{}

func (steady) Step(b sim.Batch) time.Duration {
	if b.Prefill > 0 {
		return 100 * time.Millisecond
	}
	return 20 * time.Millisecond
}

// TestMetricsPage holds a whole page against vLLM's names, types, labels and
// buckets (vllm-litellm.md §1.1).
func TestMetricsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, sim.Config{Model: "m", Step: steady{}, MaxModelLen: 1024, GPUMemoryUtilization: 0.92}, nil)
		defer s.Close()
		do(s, "POST", "/v1/chat/completions", hello)
		do(s, "POST", "/v1/completions", `{"prompt":"`+strings.Repeat("one two three ", 20)+`","max_tokens":3}`)
		do(s, "POST", "/v1/completions", `{"prompt":"`+strings.Repeat("one two three ", 20)+`","max_tokens":1}`)
		w := do(s, "GET", "/metrics", "")
		if got, want := w.Header().Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"; got != want {
			t.Logf("Content-Type %q", got)
		}
		golden(t, "metrics.prom", w.Body.String())
	})
}

// TestFreshMetrics: an engine that has done nothing shows zeros, not nothing.
func TestFreshMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, fixed, nil)
		defer s.Close()
		page := do(s, "GET", "/metrics", "").Body.String()
		for _, line := range []string{
			`vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 0`,
			`vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 0`,
			`vllm:num_requests_running{engine="0",model_name="m"} 0`,
		} {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("/metrics lacks %q", line)
			}
		}
	})
}

// TestKnownEngines: a dozen engines of random times, each under its own load,
// show exactly the sums and counts that their times come to.
func TestKnownEngines(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 0))
				ttft := time.Duration(rng.IntN(5000)) * time.Millisecond
				itl := time.Duration(1+rng.IntN(100_000)) * time.Microsecond
				s := newServer(t, sim.Config{Model: "m", Step: sim.Fixed{TTFT: ttft, ITL: itl}}, nil)
				defer s.Close()
				n := 1 + rng.IntN(20)
				tokens := 0
				done := make(chan struct{}, n)
				for range n {
					wait, out := time.Duration(rng.IntN(3000))*time.Millisecond, 1+rng.IntN(60)
					tokens += out
					go func() {
						time.Sleep(wait)
						do(s, "POST", "/v1/completions", fmt.Sprintf(`{"prompt":"go","max_tokens":%d,"ignore_eos":true}`, out))
						done <- struct{}{}
					}()
				}
				for range n {
					<-done
				}
				page := do(s, "GET", "/metrics", "").Body.String()
				at := func(name string) float64 { return sample(t, page, name+`{engine="0",model_name="m"}`) }
				for name, want := range map[string]float64{
					"vllm:time_to_first_token_seconds_count": float64(n),
					"vllm:time_to_first_token_seconds_sum":   (time.Duration(n) * ttft).Seconds(),
					"vllm:inter_token_latency_seconds_count": float64(tokens - n),
					"vllm:inter_token_latency_seconds_sum":   (time.Duration(tokens-n) * itl).Seconds(),
					"vllm:e2e_request_latency_seconds_sum":   (time.Duration(n)*ttft + time.Duration(tokens-n)*itl).Seconds(),
					"vllm:generation_tokens_total":           float64(tokens),
					"vllm:prompt_tokens_total":               float64(n),
				} {
					if got := at(name); got != want {
						t.Errorf("%s = %v, want %v", name, got, want)
					}
				}
			})
		})
	}
}

// TestAnswers holds whole answers against vLLM's wire format (§4).
func TestAnswers(t *testing.T) {
	tape, err := loadTape(t, tape, scenario)
	if err != nil {
		t.Fatal(err)
	}
	build := newConversation("Build the thing.", "Bash", "Read", "Write").body()
	streamed := strings.TrimSuffix(build, "}") + `,"stream":true,"stream_options":{"include_usage":true}}`
	for name, c := range map[string]struct{ method, path, body string }{
		"chat":              {"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hello"}]}`},
		"chat-cut":          {"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hello"}],"max_tokens":4}`},
		"chat-tool":         {"POST", "/v1/chat/completions", build},
		"chat-tool-cut":     {"POST", "/v1/chat/completions", strings.TrimSuffix(build, "}") + `,"max_tokens":9}`},
		"chat-stream":       {"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true,"max_completion_tokens":4}`},
		"chat-stream-tool":  {"POST", "/v1/chat/completions", streamed},
		"completion":        {"POST", "/v1/completions", `{"model":"m","prompt":["hello"],"max_tokens":5,"ignore_eos":true}`},
		"completion-min":    {"POST", "/v1/completions", `{"model":"m","prompt":[1,2,3],"max_tokens":40,"min_tokens":40}`},
		"completion-stream": {"POST", "/v1/completions", `{"prompt":"hello","max_tokens":3,"stream":true,"stream_options":{"include_usage":true}}`},
		"models":            {"GET", "/v1/models", ""},
		"version":           {"GET", "/version", ""},
		"load":              {"GET", "/load", ""},
		"health":            {"GET", "/health", ""},
		"tokenize":          {"POST", "/tokenize", `{"model":"m","prompt":"hello world"}`},
		"tokenize-chat":     {"POST", "/tokenize", `{"messages":[{"role":"user","content":"hello"}]}`},
		"wrong-model":       {"POST", "/v1/chat/completions", `{"model":"gpt","messages":[{"role":"user","content":"hello"}]}`},
		"overflow":          {"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":65536}`},
		"overflow-prompt":   {"POST", "/v1/completions", `{"prompt":"` + strings.Repeat("a ", 70000) + `"}`},
		"stream-options":    {"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],"stream_options":{"include_usage":true}}`},
		"tool-choice":       {"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],"tool_choice":"auto"}`},
		"malformed":         {"POST", "/v1/chat/completions", `{"messages":`},
		"wrong-type":        {"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":"many"}`},
		"wrong-content":     {"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":7}]}`},
		"no-messages":       {"POST", "/v1/chat/completions", `{}`},
		"no-prompt":         {"POST", "/v1/completions", `{}`},
		"bad-max":           {"POST", "/v1/completions", `{"prompt":"a","max_tokens":0}`},
		"not-found":         {"GET", "/v1/nope", ""},
		"wrong-method":      {"GET", "/v1/chat/completions", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, fixed, tape)
				defer s.Close()
				w := do(s, c.method, c.path, c.body)
				out := fmt.Sprintf("%d %s\n%s", w.Code, w.Header().Get("Content-Type"), w.Body)
				golden(t, filepath.Join("answers", name+".txt"), out)
			})
		})
	}
}

// TestIgnoreEOSIsExact: where the end of an answer is ignored it has exactly the
// tokens that were asked for, whole or streamed, whatever the prompt; a
// saturation probe's shape rests on it.
func TestIgnoreEOSIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, sim.Config{Model: "m", Step: sim.Fixed{TTFT: time.Millisecond, ITL: time.Millisecond}}, nil)
		defer s.Close()
		asked, tokens := 0.0, 0.0
		for _, prompt := range []string{`"go on"`, `[7]`, `[7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24]`} {
			for _, n := range []int{1, 2, 15, 16, 17, 64, 255, 256, 1000} {
				for _, how := range []string{``, `,"min_tokens":` + fmt.Sprint(n), `,"stream":true,"stream_options":{"include_usage":true}`} {
					w := do(s, "POST", "/v1/completions", fmt.Sprintf(`{"prompt":%s,"max_tokens":%d,"ignore_eos":true%s}`, prompt, n, how))
					if want := fmt.Sprintf(`"completion_tokens":%d,`, n); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
						t.Errorf("prompt %s, %d tokens%s: %d, without %s:\n%.600s", prompt, n, how, w.Code, want, w.Body)
					}
					asked, tokens = asked+1, tokens+float64(n)
				}
			}
		}
		page := do(s, "GET", "/metrics", "").Body.String()
		for series, want := range map[string]float64{
			`vllm:generation_tokens_total{engine="0",model_name="m"}`:                        tokens,
			`vllm:request_success_total{engine="0",finished_reason="length",model_name="m"}`: asked,
		} {
			if got := sample(t, page, series); got != want {
				t.Errorf("%s = %v, want %v", series, got, want)
			}
		}
	})
}

// TestStreamIsDue: every piece of a stream comes when its token is due.
func TestStreamIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, fixed, nil)
		defer s.Close()
		r, w := net.Pipe()
		began := time.Now()
		go func() {
			defer w.Close()
			req := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(`{"prompt":"go","max_tokens":4,"ignore_eos":true,"stream":true}`))
			s.ServeHTTP(&pipeWriter{ResponseWriter: httptest.NewRecorder(), w: w}, req)
		}()
		var at []string
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if lines.Text() != "" {
				at = append(at, time.Since(began).String())
			}
		}
		want := []string{"200ms", "230ms", "260ms", "290ms", "290ms"} // 4 tokens and [DONE]
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("times of the events (-want +got):\n%s", diff)
		}
	})
}

// pipeWriter is a ResponseWriter that hands the body on as it is written.
type pipeWriter struct {
	http.ResponseWriter
	w io.Writer
}

func (p *pipeWriter) Write(b []byte) (int, error) { return p.w.Write(b) }

// TestDisconnect: a client that goes takes its request out of the engine.
func TestDisconnect(t *testing.T) {
	for name, body := range map[string]string{
		"whole":    hello,
		"streamed": strings.TrimSuffix(hello, "}") + `,"stream":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, fixed, nil)
				defer s.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 270*time.Millisecond)
				defer cancel()
				doCtx(ctx, s, "POST", "/v1/chat/completions", body)
				page := do(s, "GET", "/metrics", "").Body.String()
				for series, want := range map[string]float64{
					`vllm:num_requests_running{engine="0",model_name="m"}`:                           0,
					`vllm:kv_cache_usage_perc{engine="0",model_name="m"}`:                            0,
					`vllm:generation_tokens_total{engine="0",model_name="m"}`:                        3, // 200, 230, 260 ms
					`vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"}`:              0,
					`vllm:request_success_total{engine="0",finished_reason="length",model_name="m"}`: 0,
				} {
					if got := sample(t, page, series); got != want {
						t.Errorf("%s = %v, want %v", series, got, want)
					}
				}
			})
		})
	}
}

// TestClose: requests in progress are told, and later ones too.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, fixed, nil)
		go func() {
			time.Sleep(50 * time.Millisecond)
			s.Close()
		}()
		if w := do(s, "POST", "/v1/chat/completions", hello); w.Code != 503 || !strings.Contains(w.Body.String(), "was closed") {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if w := do(s, "POST", "/v1/chat/completions", hello); w.Code != 503 {
			t.Errorf("after Close: status %d", w.Code)
		}
		if w := do(s, "GET", "/health", ""); w.Code != 503 {
			t.Errorf("after Close: /health %d", w.Code)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestIdleClock: an engine that was idle begins at the arrival, so the time
// in between is in no figure.
func TestIdleClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, sim.Config{Model: "m", Step: steady{}}, nil)
		defer s.Close()
		for range 3 {
			time.Sleep(time.Hour + 7*time.Nanosecond)
			began := time.Now()
			do(s, "POST", "/v1/completions", `{"prompt":"go","max_tokens":6,"ignore_eos":true}`)
			if took, want := time.Since(began), 200*time.Millisecond; took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		}
		page := do(s, "GET", "/metrics", "").Body.String()
		if got := sample(t, page, `vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"}`); got != 0.3 {
			t.Errorf("TTFT sum %v, want 0.3", got)
		}
		if got := sample(t, page, `vllm:request_queue_time_seconds_sum{engine="0",model_name="m"}`); got != 0 {
			t.Errorf("queue time sum %v, want 0", got)
		}
	})
}

// TestDisconnectTCP: the same over a real connection, where the engine hears
// of it from net/http.
func TestDisconnectTCP(t *testing.T) {
	s := newServer(t, sim.Config{Model: "m", Step: sim.Fixed{TTFT: time.Hour}}, nil)
	defer s.Close()
	ts := httptest.NewServer(s)
	defer ts.Close()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", ts.URL+"/v1/chat/completions", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	running := func() float64 {
		return sample(t, do(s, "GET", "/metrics", "").Body.String(), `vllm:num_requests_running{engine="0",model_name="m"}`)
	}
	for running() != 1 { // until the test's own deadline
		runtime.Gosched()
	}
	cancel()
	if err := <-gone; err == nil {
		t.Error("a cancelled request was answered")
	}
	for running() != 0 {
		runtime.Gosched()
	}
}
