package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/dail/proxy"
)

// after answers r when d has passed, or notes on gone that the gateway left.
func after(d time.Duration, r reply, gone *bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		select {
		case <-time.After(d):
			write(w, r)
		case <-req.Context().Done():
			if gone != nil {
				*gone = true
			}
		}
	})
}

// send posts a streaming request and returns when the header has come.
func (b *bench) send(ctx context.Context, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://gateway"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	return b.client.Do(req)
}

func (b *bench) read(t *testing.T, path, body string) (status int, header time.Duration, got string) {
	t.Helper()
	start := time.Now()
	res, err := b.send(t.Context(), path, body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	header = time.Since(start)
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, header, string(all)
}

const chatBody = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`

func TestLongAnswerIsKeptAlive(t *testing.T) {
	for _, tc := range []struct {
		name, path, body, beat string
		gateway                func(proxy.Config) http.Handler
	}{
		{"messages", "/v1/messages", ask(hi), "event: ping\n", newMessages},
		{"destream", "/v1/chat/completions", chatBody, ": keep-alive\n", newDestream},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := stand(t, after(20*time.Minute, text("late but whole"), nil), proxy.Config{}, tc.gateway)
				status, header, got := b.read(t, tc.path, tc.body)
				if status != 200 || header != 5*time.Second {
					t.Errorf("status %d after %v, want 200 after 5s", status, header)
				}
				// One with the header at 5 s, then every 10 s until 20 min.
				if n := strings.Count(got, tc.beat); n != 120 {
					t.Errorf("%d keep-alives, want 120", n)
				}
				if !strings.Contains(got, "late but whole") {
					t.Errorf("the answer is missing:\n%s", tail([]byte(got)))
				}
				if tc.name == "messages" {
					checkAnthropicStream(t, got)
				}
				synctest.Wait()
				r := b.rec.list()[0]
				if r.UpstreamS != 1200 || r.FirstByteS != 1200 || r.EndS != 1200 || r.Status != 200 || !r.OK() {
					t.Errorf("record: %+v", r)
				}
			})
		})
	}
}

func TestQuickAnswerHasNoKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := stand(t, after(time.Second, text("quick"), nil), proxy.Config{}, newMessages)
		_, header, got := b.read(t, "/v1/messages", ask(hi))
		if header != time.Second || strings.Contains(got, "ping") {
			t.Errorf("header after %v\n%s", header, got)
		}
	})
}

func TestKeepAliveSettings(t *testing.T) {
	for _, tc := range []struct {
		cfg    proxy.Config
		header time.Duration
		pings  int
	}{
		{proxy.Config{HeaderWait: -1, KeepAlive: -1}, 0, 1},
		{proxy.Config{HeaderWait: -1, KeepAlive: 20 * time.Second}, 0, 3},
		{proxy.Config{HeaderWait: 40 * time.Second}, 40 * time.Second, 2},
		{proxy.Config{HeaderWait: 2 * time.Minute}, 59 * time.Second, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := stand(t, after(59*time.Second, text("x"), nil), tc.cfg, newMessages)
			_, header, got := b.read(t, "/v1/messages", ask(hi))
			if n := strings.Count(got, "event: ping"); header != tc.header || n != tc.pings {
				t.Errorf("%+v: header after %v, %d pings; want %v, %d", tc.cfg, header, n, tc.header, tc.pings)
			}
		})
	}
}

func TestEarlyFaultIsAnHTTPError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := reply{status: 429, body: `{"error":{"message":"slow down","type":"RateLimitError","code":429}}`}
		b := stand(t, after(4*time.Second, refuse, nil), proxy.Config{}, newMessages)
		status, header, got := b.read(t, "/v1/messages", ask(hi))
		if status != 429 || header != 4*time.Second || !strings.Contains(got, `"rate_limit_error"`) {
			t.Errorf("%d after %v: %s", status, header, got)
		}
	})
}

func TestLateFaultIsAnEvent(t *testing.T) {
	busy := reply{status: 503, body: `{"error":{"message":"the engine is full","type":"ServiceUnavailable","code":503}}`}
	for _, tc := range []struct {
		path, body, end string
		gateway         func(proxy.Config) http.Handler
	}{
		{"/v1/messages", ask(hi), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"the engine is full\"}}\n\n", newMessages},
		{"/v1/chat/completions", chatBody, "data: " + busy.body + "\n\ndata: [DONE]\n\n", newDestream},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := stand(t, after(6*time.Second, busy, nil), proxy.Config{}, tc.gateway)
			status, _, got := b.read(t, tc.path, tc.body)
			if status != 200 || !strings.HasSuffix(got, tc.end) || strings.Contains(got, "message_start") {
				t.Errorf("%s: %d: %q", tc.path, status, got)
			}
			synctest.Wait()
			if r := b.rec.list()[0]; r.OK() || r.Status != 200 || r.Error != "503: the engine is full" {
				t.Errorf("record: %+v", r)
			}
		})
	}
}

func TestClientGoneEndsTheUpstreamRequest(t *testing.T) {
	for _, tc := range []struct {
		name   string
		leave  time.Duration
		status int
		body   string
	}{
		{"before the header", 3 * time.Second, 0, ask(hi)},
		{"in the stream", 30 * time.Second, 200, ask(hi)},
		{"without a stream", 30 * time.Second, 0, strings.Replace(ask(hi), `"stream":true`, `"stream":false`, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gone := false
				b := stand(t, after(time.Hour, text("never"), &gone), proxy.Config{}, newMessages)
				ctx, cancel := context.WithTimeout(t.Context(), tc.leave)
				defer cancel()
				res, err := b.send(ctx, "/v1/messages", tc.body)
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if err == nil {
					t.Fatal("the client got a whole answer")
				}
				synctest.Wait()
				if !gone {
					t.Error("the server's request lives on")
				}
				r := b.rec.list()
				if len(r) != 1 || r[0].Status != tc.status || r[0].OK() || r[0].EndS != tc.leave.Seconds() {
					t.Errorf("records: %+v", r)
				}
			})
		})
	}
}

// TestServerDiesMidAnswer cuts the server's body short.
func TestServerDiesMidAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"choices":`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		b := stand(t, h, proxy.Config{}, newMessages)
		status, _, got := b.read(t, "/v1/messages", ask(hi))
		if status != 502 || !strings.Contains(got, "broke off") || !strings.Contains(got, `"api_error"`) {
			t.Errorf("%d: %s", status, got)
		}
	})
}

// TestPingsArriveOneByOne reads a stream while it is made.
func TestPingsArriveOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := stand(t, after(26*time.Second, text("x"), nil), proxy.Config{}, newMessages)
		start := time.Now()
		res, err := b.send(t.Context(), "/v1/messages", ask(hi))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var at []time.Duration
		for sc := bufio.NewScanner(res.Body); sc.Scan(); {
			if sc.Text() == "event: ping" {
				at = append(at, time.Since(start))
			}
		}
		want := []time.Duration{5 * time.Second, 15 * time.Second, 25 * time.Second}
		if len(at) != 3 || at[0] != want[0] || at[1] != want[1] || at[2] != want[2] {
			t.Errorf("pings at %v, want %v", at, want)
		}
	})
}

func TestToolGapAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := stand(t, after(2*time.Second, text("x"), nil), proxy.Config{}, newMessages)
		do := func(session, body string) {
			req, err := http.NewRequest("POST", "http://gateway/v1/messages", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Claude-Code-Session-Id", session)
			res, err := b.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			synctest.Wait()
		}
		turn2 := ask(`[{"role":"user","content":"hi"},{"role":"assistant","content":"x"},{"role":"user","content":"more"}]`)
		do("s1", ask(hi))
		time.Sleep(3 * time.Second) // the agent's tool
		do("s1", turn2)
		time.Sleep(time.Second)
		// Claude Code's silent re-send: no stream, another limit, the same
		// content in its other form.
		do("s1", strings.NewReplacer(`"stream":true,`, "", "32000", "64000", `"content":"hi"`, `"content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]`).Replace(turn2))
		do("s2", turn2)
		type seen struct {
			session string
			gap     float64
			retry   bool
		}
		want := []seen{{"s1", 0, false}, {"s1", 3, false}, {"s1", 0, true}, {"s2", 0, false}}
		for i, r := range b.rec.list() {
			if got := (seen{r.Session, r.ToolGapS, r.Retry}); got != want[i] {
				t.Errorf("request %d: %+v, want %+v", i, got, want[i])
			}
		}
	})
}
