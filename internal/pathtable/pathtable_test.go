package pathtable

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/fakevllm"
	"github.com/x/dail/proxy"
	"github.com/x/dail/sim"
)

var update = flag.Bool("update", false, "rewrite testdata and docs/paths.md")

const (
	pageFile     = "../../docs/paths.md"
	nativeFile   = "testdata/paths-native.json"
	litellmFile  = "testdata/paths-litellm.json"
	straightFile = "testdata/paths-straight.json"
)

// beat is a keep-alive's interval in the probes.
const beat = 20 * time.Millisecond

// stand puts a gateway in front of a scripted engine. The header is held back
// for wait.
func stand(t *testing.T, gateway func(proxy.Config) http.Handler, wait time.Duration) *Stand {
	engine := fakevllm.New(nil)
	t.Cleanup(engine.Close)
	return &Stand{URL: serve(t, gateway, engine, wait), Token: "any", Model: "claude-any", Engine: engine}
}

// serve runs a gateway in front of an engine, and returns where.
func serve(t *testing.T, gateway func(proxy.Config) http.Handler, engine *fakevllm.Server, wait time.Duration) string {
	at, err := url.Parse(engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gateway(proxy.Config{Upstream: at, Model: fakevllm.Model, KeepAlive: beat, HeaderWait: wait}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// headerWait is for a path that has one gateway for all probes: long enough for an
// engine that refuses at once, on most machines, and not long for those of late
// things, which wait for it.
const headerWait = 2 * time.Second

// TestNative probes the native path and holds the saved findings to it.
func TestNative(t *testing.T) {
	native := func(c proxy.Config) http.Handler { return proxy.NewMessages(c) }
	s := stand(t, native, time.Minute)
	s.Late = serve(t, native, s.Engine, beat)
	got := Findings{Programs: "dail's proxy.Messages, probed in every `make test`", Cells: Probe(t.Context(), s)}
	settle(t, nativeFile, got)
}

// settle saves the findings where -update is set, and else compares them.
func settle(t *testing.T, file string, got Findings) {
	t.Helper()
	if *update {
		if err := Save(file, got); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Cells, got.Cells); d != "" {
		t.Errorf("%s no longer says the truth; run with -update if it should (-file +found):\n%s", file, d)
	}
}

// TestProbesCanFail runs the probes against a gateway that does the wrong thing
// with everything: none may be satisfied.
func TestProbesCanFail(t *testing.T) {
	deaf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Write([]byte("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"))
	}))
	defer deaf.Close()
	engine := fakevllm.New(nil)
	defer engine.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for id, c := range Probe(ctx, &Stand{URL: deaf.URL, Token: "any", Model: "x", Engine: engine}) {
		if c.Verdict != Lost {
			t.Errorf("%s: %+v", id, c)
		}
	}
}

// TestProbesOfARealEngine runs them against the simulated engine, which behaves
// as a real one and needs no GPU. What it finds is printed nowhere.
func TestProbesOfARealEngine(t *testing.T) {
	engine, err := sim.NewServer(sim.Config{Step: sim.Fixed{TTFT: time.Millisecond, ITL: time.Millisecond}, Model: "m"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	up := httptest.NewServer(engine)
	defer up.Close()
	at, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	// A busy machine may take longer than the default 5 s to count the tokens of the
	// prompt that is too long, and the error would come inside the stream.
	gateway := httptest.NewServer(proxy.NewMessages(proxy.Config{Upstream: at, Model: "m", HeaderWait: 5 * time.Minute}))
	defer gateway.Close()
	cells := Probe(t.Context(), &Stand{URL: gateway.URL, Token: "any", Model: "x"})
	for _, r := range Rows() {
		want := Kept
		if r.ID == "cancel" {
			want = NotProbed // the gateway answers in one piece: there is no middle to leave in
		}
		if c := cells[r.ID]; r.Real != nil && c.Verdict != want {
			t.Errorf("%s: %+v", r.ID, c)
		}
	}
}
