package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/dail/proxy"
)

// An answer of 20 minutes at Claude Code's idle limit of 5, on a clock that runs
// 30 times as fast: the client has a variable for its limit, the gateway's two
// intervals are divided by the same number.
const (
	clockScale  = 30
	scaledLimit = "10000" // ms: 5 min
	scaledReply = 20 * time.Minute / clockScale
)

// TestClaudeCodeWaitsForALongAnswer: the model server says nothing at all for
// four times as long as the client waits for a byte, and the client takes its
// answer. (The two variables of the client's limit have an effect in 2.1.330,
// which is pinned, and none in 2.1.197.) In the control the same gateway sends no keep-alives, and the same
// client gives up and asks again: a test that could not fail would prove
// nothing.
func TestClaudeCodeWaitsForALongAnswer(t *testing.T) {
	claude := os.Getenv("DAIL_CLAUDE")
	if claude == "" {
		t.Skip("DAIL_CLAUDE is unset: set it to the path of a Claude Code program to test with the real one")
	}
	for _, tc := range []struct {
		name      string
		keepAlive time.Duration
		asks      int
		answer    string
	}{
		{"with pings", 10 * time.Second / clockScale, 1, "late but whole"},
		{"control without pings", -1, 2, "asked again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var asked, left atomic.Int64
			u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/chat/completions" {
					http.NotFound(w, r)
					return
				}
				if asked.Add(1) > 1 {
					write(w, text("asked again"))
					return
				}
				gone := false
				after(scaledReply, text("late but whole"), &gone).ServeHTTP(w, r)
				if gone {
					left.Add(1)
				}
			}))
			defer u.Close()
			rec := &records{}
			gateway := httptest.NewServer(proxy.NewMessages(proxy.Config{
				Upstream: mustURL(t, u.URL), Model: "m", Trace: rec.add,
				KeepAlive: tc.keepAlive, HeaderWait: 5 * time.Second / clockScale,
			}))
			defer gateway.Close()

			cmd := claudeCommand(t, claude, gateway.URL, "any", t.TempDir(), "Think for long.",
				"CLAUDE_ENABLE_BYTE_WATCHDOG=1", "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS="+scaledLimit)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("claude: %v\n%s\n%s", err, stderr.String(), tail(out))
			}
			if got := lastResult(out); got.Subtype != "success" || got.IsError || got.Result != tc.answer {
				t.Errorf("result %+v, want %q\n%s", got, tc.answer, tail(out))
			}
			gateway.Close()
			u.Close() // both wait for their requests to end
			if n := int(asked.Load()); n != tc.asks || int(left.Load()) != tc.asks-1 {
				t.Errorf("the model was asked %d times and left alone %d times, want %d and %d", n, left.Load(), tc.asks, tc.asks-1)
			}
			for _, r := range rec.list() {
				t.Logf("ok=%v streamed=%v after %.1f s: %s", r.OK(), r.Streamed, r.EndS, r.Error)
			}
		})
	}
}
