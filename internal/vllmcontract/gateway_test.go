package vllmcontract_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"

	"github.com/x/dail/proxy"
)

// A gateway is one of ours, in front of a server.
type gateway struct {
	*server // asked as a server is
	engine  *server

	mu      sync.Mutex
	records []proxy.Trace
	log     bytes.Buffer
}

// gateway starts make's gateway in front of the server while use runs.
func (s *server) gateway(build func(proxy.Config) http.Handler, use func(*gateway) error) error {
	at, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	g := &gateway{engine: s}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	h := build(proxy.Config{
		Upstream: at, Model: s.model, Transport: transport,
		Trace: func(r proxy.Trace) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.records = append(g.records, r)
		},
		Logger: slog.New(slog.NewTextHandler(&locked{mu: &g.mu, b: &g.log}, nil)),
	})
	front := httptest.NewServer(h)
	defer front.Close()
	g.server = &server{url: front.URL, model: s.model, version: s.version, context: s.context, client: &http.Client{Transport: &http.Transport{}}}
	defer g.client.CloseIdleConnections()
	return use(g)
}

// locked is a buffer that several goroutines write to.
type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// seen is what the gateway has written down: its trace's records and its log.
func (g *gateway) seen() ([]proxy.Trace, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]proxy.Trace(nil), g.records...), g.log.String()
}

// messages starts the gateway that Claude Code talks to.
func (s *server) messages(use func(*gateway) error) error {
	return s.gateway(func(c proxy.Config) http.Handler { return proxy.NewMessages(c) }, use)
}

// destream starts the gateway that LiteLLM talks to.
func (s *server) destream(ctx context.Context, use func(chat func(object) reply) error) error {
	return s.gateway(func(c proxy.Config) http.Handler { return proxy.NewDestream(c) }, func(g *gateway) error {
		return use(func(body object) reply { return g.chat(ctx, body) })
	})
}

// speechless answers {} to everything.
func speechless(t interface{ Cleanup(func()) }) *server {
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
	}))
	s := &server{url: listener.URL, model: servedModel, version: "0", context: contextLength, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() { s.client.CloseIdleConnections(); listener.Close() })
	return s
}
