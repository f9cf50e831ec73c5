package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

// newServer starts a server that is closed at the end of the test or bubble.
func newServer(t *testing.T, cfg sim.Config, c *sim.Cassette) *sim.Server {
	t.Helper()
	s, err := sim.NewServer(cfg, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func do(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	return doCtx(context.Background(), h, method, path, body)
}

func doCtx(ctx context.Context, h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
	return w
}

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

var _ = fmt.Sprint
var _ = bytes.NewReader
var _ = json.Marshal
var _ fstest.MapFS
var _ compose.Phase
