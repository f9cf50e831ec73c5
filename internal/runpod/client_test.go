package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/internal/runpod"
)

const aPod = `{"id":"p1","name":"n","status":"PROVISIONING","createdAt":"2026-06-01T12:00:00Z","cost":0.99}`

// Every status, and every odd answer, has one meaning; a create is sent once.
func TestWhatAnAnswerToACreateMeans(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer answer
		want   runpod.Kind
		words  string // part of the error's text
	}{
		{"broken rule", problem(400, "globalNetworking is not supported here"), runpod.Invalid, "globalNetworking is not supported here"},
		{"no capacity", problem(400, "There are no longer any instances available with the requested specifications. Please refresh and try again."), runpod.Capacity, "no longer any instances"},
		{"no capacity, disk", problem(400, "There are no longer any instances available with enough disk space."), runpod.Capacity, ""},
		{"no capacity, currently", problem(400, "There are no instances currently available"), runpod.Capacity, ""},
		{"no capacity, short", problem(400, "No Instances Available"), runpod.Capacity, ""},
		{"no capacity, machine", problem(400, "This machine does not have the resources to deploy your pod. Please try a different machine"), runpod.Capacity, ""},
		{"no capacity, host", problem(400, "not enough free GPUs on the host machine"), runpod.Capacity, ""},
		{"no capacity, specifications", problem(400, "could not find any pods with required specifications"), runpod.Capacity, ""},
		{"400 that is not JSON", answer{status: 400, body: "<html>no instances available</html>"}, runpod.Invalid, "<html>"},
		{"no key", problem(401, "missing bearer token"), runpod.Unauthorized, "RUNPOD_API_KEY"},
		{"no credit", problem(402, "insufficient balance"), runpod.NoCredit, "load credit"},
		{"pool denied", problem(403, "access denied"), runpod.Denied, "access denied"},
		{"Cloudflare", answer{status: 403, body: "error code: 1010"}, runpod.Blocked, "error code: 1010"},
		{"unknown volume", problem(404, "network volume not found"), runpod.Invalid, "network volume not found"},
		{"a page of another server", answer{status: 404, body: "404 page not found"}, runpod.Gone, "https://api.runpod.io/v2"},
		{"timeout", problem(408, "timeout"), runpod.Unclear, ""},
		{"conflict", problem(409, "conflict"), runpod.Invalid, ""},
		{"old API", problem(410, "REST v1 is gone"), runpod.Gone, "https://api.runpod.io/v2"},
		{"too big", problem(413, "too big"), runpod.Invalid, ""},
		{"contract violated", problem(422, "Request validation failed.", "$.a: no", "$.b: no"), runpod.Invalid, "$.a: no; $.b: no"},
		{"rate, without a time", problem(429, "rate limit exceeded"), runpod.RateLimited, ""},
		{"a redirect", answer{status: 307, header: http.Header{"Location": {"https://elsewhere.example/v2/pods"}}}, runpod.Gone, "elsewhere.example"},
		{"500", problem(500, "create pod: upstream"), runpod.Unclear, "create pod: upstream"},
		{"500 that speaks of capacity", problem(500, "no instances available"), runpod.Unclear, ""},
		{"502", answer{status: 502, body: "<html>bad gateway</html>"}, runpod.Unclear, "bad gateway"},
		{"Cloudflare's timeout", answer{status: 524, body: "error code: 524"}, runpod.Unclear, ""},
		{"cut connection", answer{cut: true}, runpod.Unclear, ""},
		{"201 with half a body", answer{status: 201, body: `{"id":"p1`}, runpod.Unclear, "cannot be used"},
		{"201 without an id", answer{status: 201, body: `{}`}, runpod.Unclear, "names no pod"},
		{"201 of another kind", answer{status: 201, body: `[]`}, runpod.Unclear, ""},
		{"201 and a body cut short", answer{status: 201, body: aPod, header: http.Header{"Content-Length": {"1000"}}}, runpod.Unclear, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := say(tc.answer)
			c, _ := serve(t, srv.ServeHTTP)
			err := create(c)
			var e *runpod.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Kind != tc.want || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("kind %v (want %v): %v", e.Kind, tc.want, err)
			}
			if e.Status != tc.answer.status || (e.Status != 0 && e.RequestID != "req-7") {
				t.Errorf("status %d, request %q", e.Status, e.RequestID)
			}
			if srv.count() != 1 {
				t.Errorf("it was sent %d times", srv.count())
			}
		})
	}
}

func TestACreateIsRepeatedOnlyAfterA429ThatSaysWhen(t *testing.T) {
	srv := say(
		answer{status: 429, body: `{"title":"Too Many Requests","status":429,"detail":"slow"}`, header: http.Header{"Retry-After": {"12"}}},
		answer{status: 201, body: aPod},
	)
	c, h := serve(t, srv.ServeHTTP)
	if err := create(c); err != nil {
		t.Fatal(err)
	}
	if w := h.waits(); len(w) != 1 || w[0] != 12*time.Second || srv.count() != 2 {
		t.Errorf("waited %v, sent %d times", w, srv.count())
	}

	srv = say(answer{status: 429, header: http.Header{"Retry-After": {"1812"}}})
	c, h = serve(t, srv.ServeHTTP)
	var e *runpod.Error
	if err := create(c); !errors.As(err, &e) || e.Kind != runpod.RateLimited || e.RetryAfter != 1812*time.Second {
		t.Errorf("an hour's limit: %v", err)
	}
	if len(h.waits()) != 0 || srv.count() != 1 {
		t.Errorf("an hour's limit: waited %v, sent %d times", h.waits(), srv.count())
	}
}

func TestWhatCanBeRepeatedIs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		list  []answer
		calls int
		kind  runpod.Kind // where it fails
		fails bool
	}{
		{"500 ×3, then gone", []answer{problem(500, "x"), problem(503, "x"), {cut: true}, {status: 204}}, 4, 0, false},
		{"429 twice", []answer{problem(429, "x"), {status: 429, header: http.Header{"Retry-After": {"2"}}}, {status: 204}}, 3, 0, false},
		{"408", []answer{problem(408, "x"), {status: 204}}, 2, 0, false},
		{"500 for ever", []answer{problem(500, "x")}, 4, runpod.Transient, true},
		{"cut for ever", []answer{{cut: true}}, 4, runpod.Transient, true},
		{"not there", []answer{problem(404, "pod not found")}, 1, runpod.NotFound, true},
		{"member of a cluster", []answer{problem(409, "pod is a cluster member")}, 1, runpod.Conflict, true},
		{"another server's 404", []answer{{status: 404, body: "not found"}}, 1, runpod.Gone, true},
		{"key revoked", []answer{problem(401, "x")}, 1, runpod.Unauthorized, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := say(tc.list...)
			c, _ := serve(t, srv.ServeHTTP)
			err := c.Delete(context.Background(), "p1")
			if (err != nil) != tc.fails || (err != nil && runpod.KindOf(err) != tc.kind) || srv.count() != tc.calls {
				t.Errorf("%v (%v) after %d calls, want %v after %d", err, runpod.KindOf(err), srv.count(), tc.kind, tc.calls)
			}
		})
	}
}

func TestAnAnswerThatCannotBeReadIsAskedForAgain(t *testing.T) {
	srv := say(answer{status: 200, body: `{"id":"p2"}`}, answer{status: 200, body: `{"id":"p1","cost":"much"}`},
		answer{status: 200, body: `<html>`}, answer{status: 200, body: aPod})
	c, _ := serve(t, srv.ServeHTTP)
	p, err := c.Get(context.Background(), "p1")
	if err != nil || p.Cost != 0.99 || srv.count() != 4 {
		t.Errorf("%+v, %v after %d calls", p, err, srv.count())
	}
	c, _ = serve(t, say(answer{status: 200, body: `{"pods":[{"id":"a","env":{"TOKEN":"` + secret + `"}},{"id":7}]}`}).ServeHTTP)
	if _, err := c.List(context.Background()); err == nil || strings.Contains(err.Error(), "TOKEN") {
		t.Errorf("a pod's environment is in the error: %v", err)
	}
}

func TestTheMinutesQuotaIsRespected(t *testing.T) {
	head := http.Header{"RateLimit": {`"minute";r=0;t=12, "hour";r=2800;t=1812, "day";r=49500;t=45012`}}
	c, h := serve(t, say(answer{status: 204, header: head}, answer{status: 204}).ServeHTTP)
	for range 3 {
		if err := c.Delete(context.Background(), "p1"); err != nil {
			t.Fatal(err)
		}
	}
	if w := h.waits(); len(w) != 1 || w[0] != 12*time.Second {
		t.Errorf("waited %v, want 12 s before the second call only", w)
	}
}

func TestWhatIsSent(t *testing.T) {
	var got *http.Request
	var body []byte
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, aPod)
	})
	if err := create(c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"User-Agent": "dail/0.1 (+https://github.com/x/dail)", "Authorization": "Bearer " + secret, "Content-Type": "application/json",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	var sent runpod.CreateRequest
	if err := json.Unmarshal(body, &sent); err != nil || got.Method != "POST" || got.URL.Path != "/v2/pods" {
		t.Errorf("%s %s: %s (%v)", got.Method, got.URL, body, err)
	}
	if _, err := c.Get(context.Background(), "a/b c"); err == nil || got.URL.EscapedPath() != "/v2/pods/a%2Fb%20c" {
		t.Errorf("an id is not escaped: %s", got.URL.EscapedPath())
	}
	got = nil
	for _, id := range []string{"", ".", ".."} {
		if err := c.Delete(context.Background(), id); runpod.KindOf(err) != runpod.Invalid || got != nil {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

// The key goes nowhere else: not to another host, not by redirect, not in the
// clear.
func TestTheKeyStaysHere(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer other.Close()
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusMovedPermanently)
	})
	if _, err := c.List(context.Background()); runpod.KindOf(err) != runpod.Gone {
		t.Errorf("a redirect: %v", err)
	}
	for _, url := range []string{"http://api.runpod.io/v2", "http://192.168.1.2/v2", "ftp://x/v2", "api.runpod.io/v2", "https://u:p@x/v2", ":"} {
		c := &runpod.Client{Key: secret, URL: url}
		if err := create(c); runpod.KindOf(err) != runpod.Invalid || strings.Contains(err.Error(), "u:p") {
			t.Errorf("base URL %s: %v", url, err)
		}
	}
	c, _ = serve(t, say(problem(401, "invalid key "+secret), answer{status: 403, body: secret}).ServeHTTP)
	for range 2 {
		if err := create(c); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("the key is in the error: %v", err)
		}
	}
	for _, key := range []runpod.Key{"", "abc\n", "a b"} {
		c.Key = key
		if err := create(c); runpod.KindOf(err) != runpod.Unauthorized {
			t.Errorf("key %q: %v", string(key), err)
		}
	}
}

func TestATooLargeBodyIsNotSent(t *testing.T) {
	srv := say(answer{status: 201, body: aPod})
	c, _ := serve(t, srv.ServeHTTP)
	req := full()
	req.Args = strings.Repeat("x", 102400)
	if _, err := c.Create(context.Background(), req); runpod.KindOf(err) != runpod.Invalid || srv.count() != 0 {
		t.Errorf("%v; sent %d times", err, srv.count())
	}
}

func TestACreateThatIsNotAnswered(t *testing.T) {
	arrived := make(chan struct{}, 1)
	handler := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the client go
		arrived <- struct{}{}
		<-r.Context().Done()
	}
	t.Run("for too long", func(t *testing.T) {
		c, _ := serve(t, handler)
		c.Timeout = 20 * time.Millisecond
		err := create(c)
		if runpod.KindOf(err) != runpod.Unclear && runpod.KindOf(err) != runpod.Transient { // before the connection stood
			t.Errorf("%v: %v", runpod.KindOf(err), err)
		}
		if !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("the error does not say why: %v", err)
		}
	})
	t.Run("until the caller goes", func(t *testing.T) {
		for len(arrived) > 0 {
			<-arrived
		}
		c, _ := serve(t, handler)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := c.Create(ctx, full()); runpod.KindOf(err) != runpod.Unclear || !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", runpod.KindOf(err), err)
		}
	})
}

// Nobody listens: no pod can have been made.
func TestACreateThatNeverLeft(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String() + "/v2"
	ln.Close()
	c := &runpod.Client{Key: secret, URL: url, Clock: &hasty{}}
	if err := create(c); runpod.KindOf(err) != runpod.Transient || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v: %v", runpod.KindOf(err), err)
	}
}

func TestACallerThatGoesIsNotHeldUp(t *testing.T) {
	srv := say(problem(500, "x"))
	c, _ := serve(t, srv.ServeHTTP)
	ctx, cancel := context.WithCancel(context.Background())
	c.Clock = &cancelling{cancel: cancel}
	if err := c.Delete(ctx, "p1"); runpod.KindOf(err) != runpod.Transient || srv.count() != 1 {
		t.Errorf("%v after %d calls", err, srv.count())
	}
	if err := c.Delete(ctx, "p1"); !errors.Is(err, context.Canceled) || srv.count() != 1 {
		t.Errorf("%v after %d calls", err, srv.count())
	}
}

// cancelling ends the caller's context in the first pause.
type cancelling struct {
	hasty
	cancel func()
}

func (c *cancelling) Sleep(ctx context.Context, _ time.Duration) error {
	c.cancel()
	return ctx.Err()
}
