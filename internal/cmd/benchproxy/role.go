package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/x/dail/proxy"
	"github.com/x/dail/trace"
)

// roleFlag starts this program as one of its own children; what follows is a
// roleSpec in JSON. It is no flag for users.
const roleFlag = "-role"

// maxAgents is how many callers a gateway knows, so the most concurrency.
const maxAgents = 256

// roleSpec is what a child shall be.
type roleSpec struct {
	Role     string // upstream, copy, native, destream
	Upstream string
	// Delay and Answer are the upstream's.
	Delay  time.Duration
	Answer string
}

// hello is the child's first and only line on its stdout.
type hello struct{ URL, Control string }

// roleMain is a child's life. It ends when its stdin does, which also happens
// when its parent is killed.
func roleMain(arg string) int {
	var spec roleSpec
	if err := json.Unmarshal([]byte(arg), &spec); err != nil {
		fmt.Fprintln(os.Stderr, "benchproxy: role:", err)
		return 2
	}
	if err := serveRole(spec, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "benchproxy: role %s: %v\n", spec.Role, err)
		return 1
	}
	return 0
}

func serveRole(spec roleSpec, in io.Reader, out io.Writer) error {
	ctl := &control{}
	h, err := spec.handler(ctl)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	// The gateway of a run is served in just this way (gateway.go).
	face, err := listen(&http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second}, failed)
	if err != nil {
		return err
	}
	side, err := listen(&http.Server{Handler: ctl.mux(), ReadHeaderTimeout: 30 * time.Second}, failed)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(hello{face, side}); err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, in)
		failed <- nil
	}()
	return <-failed
}

func listen(srv *http.Server, failed chan<- error) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { failed <- srv.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

func (spec roleSpec) handler(ctl *control) (http.Handler, error) {
	switch spec.Role {
	case "upstream":
		return newUpstream(spec.Delay, spec.Answer, ctl), nil
	case "copy":
		return &copier{upstream: spec.Upstream, transport: newTransport()}, nil
	}
	u, err := url.Parse(spec.Upstream)
	if err != nil {
		return nil, err
	}
	// Records are encoded and written as in a run, only to nowhere: a file
	// would fill the disk.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	w := trace.NewWriter(null)
	cfg := proxy.Config{
		Upstream: u,
		Model:    modelName,
		Identify: ctl.tokens.Lookup,
		Trace:    func(r trace.Record) { w.Write(r) },
	}
	switch spec.Role {
	case "native":
		return proxy.NewMessages(cfg), nil
	case "destream":
		return proxy.NewDestream(cfg), nil
	}
	return nil, fmt.Errorf("there is no role %q", spec.Role)
}

// A copier is a proxy that knows nothing but bytes: the honest baseline.
type copier struct {
	upstream  string
	transport http.RoundTripper
}

func newTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: maxAgents, DisableCompression: true}
}

func (c *copier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, c.upstream+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.WriteHeader(res.StatusCode)
	io.Copy(w, res.Body) // a break shows at the client, as a short answer
}

// control is the side entrance of a child: figures, tokens, profiles.
type control struct {
	tokens proxy.Tokens

	mu       sync.Mutex
	issued   []string
	level    int
	requests int // that the upstream has seen
	profile  bytes.Buffer
}

func (c *control) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
}

func (c *control) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("gc") {
			// Also give back what is free, since how much of that is kept for
			// later says nothing about what is needed.
			debug.FreeOSMemory()
		}
		c.mu.Lock()
		n := c.requests
		c.mu.Unlock()
		json.NewEncoder(w).Encode(ownStats(n))
	})
	mux.HandleFunc("POST /level", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(c.nextLevel())
	})
	mux.HandleFunc("POST /profile/start", func(w http.ResponseWriter, r *http.Request) {
		if err := pprof.StartCPUProfile(&c.profile); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	mux.HandleFunc("POST /profile/stop", func(w http.ResponseWriter, r *http.Request) {
		pprof.StopCPUProfile()
		w.Write(c.profile.Bytes())
		c.profile.Reset()
	})
	return mux
}

// nextLevel begins a level: each of its agents has a token of its own.
func (c *control) nextLevel() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.issued {
		c.tokens.Revoke(t)
	}
	c.issued = nil
	c.level++
	for i := range maxAgents {
		c.issued = append(c.issued, c.tokens.Issue(proxy.Caller{Level: fmt.Sprintf("n%d", c.level), Agent: i, Phase: "bench"}))
	}
	return c.issued
}

// askControl makes a request to a child's side entrance.
func askControl(ctx context.Context, method, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // no idle connection into the next measurement
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, res.Status, body)
	}
	return body, err
}
