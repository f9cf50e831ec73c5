package pathtable

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/fakevllm"
	"github.com/x/dail/proxy"
)

var update = flag.Bool("update", false, "rewrite testdata and docs/paths.md")

const (
	pageFile     = "../../docs/paths.md"
	nativeFile   = "testdata/paths-native.json"
	litellmFile  = "testdata/paths-litellm.json"
	straightFile = "testdata/paths-straight.json"
)

// beat is a keep-alive's interval in the probes; the header is sent at once,
// so that no probe waits for it.
const beat = 20 * time.Millisecond

// stand puts a gateway in front of a scripted engine. The header is held back
// for wait.
func stand(t *testing.T, gateway func(proxy.Config) http.Handler, wait time.Duration) *Stand {
	engine := fakevllm.New(nil)
	at, err := url.Parse(engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gateway(proxy.Config{Upstream: at, Model: fakevllm.Model, KeepAlive: beat, HeaderWait: wait}))
	t.Cleanup(func() { srv.Close(); engine.Close() })
	return &Stand{URL: srv.URL, Token: "any", Model: "claude-any", Engine: engine}
}

// headerWait is long enough for an engine that refuses at once, on any machine
// that runs tests, and bounds how long the probes of late things take.
const headerWait = 2 * time.Second

// TestNative probes the native path and holds the saved findings to it.
func TestNative(t *testing.T) {
	native := func(c proxy.Config) http.Handler { return proxy.NewMessages(c) }
	got := Findings{Programs: "dail's proxy.Messages, probed in every `make test`", Cells: Probe(t.Context(), stand(t, native, headerWait))}
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

// TestPage comes after the probes, so that one -update does it all.
func TestPage(t *testing.T) {
	paths := []Path{
		{Name: "native", Route: "client → dail's Messages gateway → vLLM"},
		{Name: "litellm", Route: "client → LiteLLM → dail's Destream gateway → vLLM"},
		{Name: "straight", Route: "client → vLLM's own `/v1/messages`"},
	}
	for i, file := range []string{nativeFile, litellmFile, straightFile} {
		f, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		paths[i].Findings = f
	}
	page := Page(paths)
	if *update {
		if err := os.MkdirAll(filepath.Dir(pageFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pageFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatalf("%v; run with -update to write it", err)
	}
	if d := cmp.Diff(string(want), page); d != "" {
		t.Errorf("docs/paths.md differs from what was found; run with -update (-file +found):\n%s", d)
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
