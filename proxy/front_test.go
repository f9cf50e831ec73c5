package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/dail/proxy"
	"github.com/x/dail/trace"
)

func newFront(cfg proxy.Config) http.Handler { return proxy.NewFront(cfg) }

// The events of an answer as LiteLLM streams it: message_start at once, the
// rest when the model is done.
const (
	frontStart = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"m\",\"stop_reason\":null,\"usage\":{\"input_tokens\":0,\"output_tokens\":0,\"cache_read_input_tokens\":0}}}\n\n"
	frontText  = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"late but whole\"}}\n\n" +
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
	frontEnd = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":6,\"output_tokens\":3,\"cache_read_input_tokens\":5}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

// piece is what a server sends, and how long it waits before it.
type piece struct {
	after time.Duration
	text  string
}

// streaming answers with pieces; a piece without text ends the connection.
func streaming(pieces ...piece) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, p := range pieces {
			select {
			case <-time.After(p.after):
			case <-r.Context().Done():
				return
			}
			if p.text == "" {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, p.text)
			http.NewResponseController(w).Flush()
		}
	})
}

func TestFrontKeepsASilentStreamAlive(t *testing.T) {
	for _, tc := range []struct {
		name   string
		pieces []piece
		pings  int
		first  float64 // seconds until the answer itself
	}{
		{"between two events", []piece{{0, frontStart}, {20*time.Minute - time.Second, frontText}, {0, frontEnd}}, 119, 1199},
		// One with the header at 5 s, then every 10 s.
		{"before the header", []piece{{2 * time.Minute, frontStart}, {0, frontText}, {0, frontEnd}}, 12, 120},
		{"in the middle of an event", []piece{{0, frontStart + frontText[:20]}, {55 * time.Second, frontText[20:] + frontEnd}}, 0, 55},
		{"between the two bytes that end an event", []piece{{0, frontStart[:len(frontStart)-1]}, {0, "\n"}, {25 * time.Second, frontText + frontEnd}}, 2, 25},
		{"not silent", []piece{{0, frontStart}, {7 * time.Second, frontText}, {7 * time.Second, frontEnd}}, 0, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := stand(t, streaming(tc.pieces...), proxy.Config{}, newFront)
				status, _, got := b.read(t, "/v1/messages", ask(hi))
				if n := strings.Count(got, "event: ping\n"); status != 200 || n != tc.pings {
					t.Errorf("status %d, %d pings, want 200, %d", status, n, tc.pings)
				}
				rest := strings.ReplaceAll(got, "event: ping\ndata: {\"type\":\"ping\"}\n\n", "")
				if rest != frontStart+frontText+frontEnd {
					t.Errorf("the server's events were changed:\n%s", got)
				}
				r := b.rec.list()[0]
				if r.FirstByteS != tc.first || r.PromptTokens != 11 || r.CachedTokens != 5 || r.OutputTokens != 3 || r.StopReason != "end_turn" || !r.OK() {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

func TestFrontTellsFaults(t *testing.T) {
	overflow := `{"error":{"message":"litellm.ContextWindowExceededError: This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens. Please reduce the length of the input messages.","type":null,"param":null,"code":"400"}}`
	refuse := func(after time.Duration, status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.Sleep(after)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	for _, tc := range []struct {
		name    string
		server  http.Handler
		status  int
		text    string // in the answer
		problem string // in the record
	}{
		{"overflow", refuse(0, 400, overflow), 400, "prompt is too long: 9000 tokens > 8192 maximum", "9000"},
		{"queue full", refuse(0, 503, errorBody("full", "ServiceUnavailable", 503)), 529, "overloaded_error", "full"},
		{"late", refuse(time.Minute, 400, overflow), 200, "event: error\n", "9000"},
		{"in the stream", streaming(piece{0, frontStart}, piece{time.Second, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"engine dead\"}}\n\n"}), 200, "engine dead", "engine dead"},
		{"broken off", streaming(piece{0, frontStart}, piece{time.Second, ""}), 200, "message_start", "read the server's stream"},
		{"ended early", streaming(piece{0, frontStart + frontText}), 200, "late but whole", "before the answer was complete"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := stand(t, tc.server, proxy.Config{}, newFront)
				status, _, got := b.read(t, "/v1/messages", ask(hi))
				r := b.rec.list()[0]
				if status != tc.status || !strings.Contains(got, tc.text) || r.Status != tc.status || !strings.Contains(r.Error, tc.problem) || r.OK() {
					t.Errorf("%d\n%s\nrecord %+v", status, got, r)
				}
			})
		})
	}
}

func TestFrontCancelsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := false
		server := after(time.Hour, reply{}, &gone)
		b := stand(t, server, proxy.Config{}, newFront)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		res, err := b.send(ctx, "/v1/messages", ask(hi))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		synctest.Wait()
		if r := b.rec.list(); !gone || len(r) != 1 || !strings.Contains(r[0].Error, "the client left") {
			t.Errorf("gone %v, records %+v", gone, r)
		}
	})
}

// What passes to the server is the body as it was, the server's own key, and
// no header by which somebody could steer LiteLLM.
func TestFrontPassesOnlyWhatItShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens proxy.Tokens
		token := tokens.Issue(proxy.Caller{Level: "n4", Agent: 2, Phase: "spec"})
		var seen []string
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			seen = append(seen, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header, " ", string(body)))
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":"msg_1","type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":4,"output_tokens":2}}`)
		})
		b := stand(t, server, proxy.Config{Header: http.Header{"authorization": {"Bearer sk-server"}}, Identify: tokens.Lookup, Trace: func(trace.Record) {}}, newFront)
		do := func(method, path, body, token string) int {
			req, _ := http.NewRequestWithContext(t.Context(), method, "http://gateway"+path, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("X-Claude-Code-Session-Id", "s1")
			req.Header.Set("X-Litellm-Api-Base", "http://elsewhere")
			res, err := b.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			return res.StatusCode
		}
		body := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a < b & c"}],"x":1.50}`
		for _, tc := range []struct {
			method, path, token string
			status              int
			reaches             bool
		}{
			{"POST", "/v1/messages?beta=true", token, 200, true},
			{"POST", "/v1/messages/count_tokens", token, 200, true},
			{"GET", "/v1/models", token, 200, true},
			{"POST", "/v1/messages", "guess", 401, false},
			{"GET", "/v1/models", "guess", 401, false},
			{"POST", "/key/generate", token, 404, false},
			{"GET", "/config/yaml", token, 404, false},
			{"HEAD", "/", token, 200, false},
		} {
			seen = nil
			if status := do(tc.method, tc.path, body, tc.token); status != tc.status || (len(seen) == 1) != tc.reaches {
				t.Errorf("%s %s: %d, the server saw %q", tc.method, tc.path, status, seen)
			}
			for _, s := range seen {
				if !strings.Contains(s, tc.path) || !strings.Contains(s, body) || !strings.Contains(s, "Bearer sk-server") || !strings.Contains(s, "X-Claude-Code-Session-Id:[s1]") ||
					strings.Contains(s, tc.token) || strings.Contains(s, "elsewhere") {
					t.Errorf("the server saw %s", s)
				}
			}
		}
		r := b.rec.list()[0]
		if r.Agent != 2 || r.Level != "n4" || r.Phase != "spec" || r.PromptTokens != 4 || r.OutputTokens != 2 || r.Session != "s1" || r.PromptBytes == 0 || r.Streamed {
			t.Errorf("record %+v", r)
		}
	})
}

// FuzzFrontStream: whatever a server streams, cut wherever, passes unchanged.
func FuzzFrontStream(f *testing.F) {
	f.Add(frontStart+frontText+frontEnd, 7)
	f.Add("event: error\r\ndata: {}\r\n\r\n", 1)
	f.Add("data:\n\n\n", 3)
	f.Fuzz(func(t *testing.T, stream string, cut int) {
		whole, err := proxy.ReadFrontStream(stream, len(stream)+1)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := proxy.ReadFrontStream(stream, max(1, cut))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", whole) != fmt.Sprintf("%+v", pieces) {
			t.Errorf("%+v in one piece, %+v in pieces of %d", whole, pieces, cut)
		}
	})
}
