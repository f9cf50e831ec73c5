package dail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/x/dail/proxy"
	"github.com/x/dail/trace"
)

// The gateways, as the flag names them.
const (
	gatewayNative  = "native"
	gatewayLiteLLM = "litellm"
)

func knownGateway(name string) bool { return name == gatewayNative || name == gatewayLiteLLM }

// gateway is the listener that the agents of one run talk to. It alone knows
// the server's address; an agent holds a token that is worth nothing elsewhere.
type gateway struct {
	url     string
	tokens  proxy.Tokens
	front   *listener
	litellm *litellmPath // nil with the native gateway
	file    *os.File

	mu      sync.Mutex
	writer  *trace.Writer
	records map[string][]trace.Record // by level
	repairs map[string][]string       // by request: what was mended behind LiteLLM
}

// openGateway listens on a free loopback port and writes the run's trace. The
// context that it returns ends where the gateway does so by itself; its cause
// is a gatewayEnd then.
func (r *runner) openGateway(ctx context.Context) (*gateway, context.Context, error) {
	file, err := os.OpenFile(r.place.Trace(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("trace: %w", err)
	}
	g := &gateway{
		file:    file,
		writer:  trace.NewWriter(file),
		records: map[string][]trace.Record{},
		repairs: map[string][]string{},
	}
	engine := proxy.Config{
		Upstream:    r.pod.Endpoint,
		Model:       r.plan.Run.Serving.ServedModelName,
		MaxModelLen: r.pod.MaxModelLen,
	}
	var handler http.Handler
	if r.plan.Gateway == gatewayLiteLLM {
		handler, ctx, err = g.openLiteLLM(ctx, r, engine)
	} else {
		engine.Identify, engine.Trace = g.tokens.Lookup, g.record
		handler = proxy.NewMessages(engine)
	}
	if err == nil {
		g.front, err = listen(ctx, handler)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("gateway: %w", err), g.close())
	}
	g.url = g.front.url.String()
	return g, ctx, nil
}

func (g *gateway) record(r trace.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records[r.Level] = append(g.records[r.Level], r)
	g.writer.Write(r) // a failure is kept by the writer, and told by close
}

// of returns a level's records so far.
func (g *gateway) of(level string) []trace.Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := append([]trace.Record(nil), g.records[level]...)
	for i := range list {
		if mended := g.repairs[list[i].ID]; mended != nil {
			list[i].Repairs = mended
		}
	}
	return list
}

// token makes one for an agent's phase in a level.
func (g *gateway) token(level string) func(int, string) string {
	return func(agent int, phase string) string {
		return g.tokens.Issue(proxy.Caller{Level: level, Agent: agent, Phase: phase})
	}
}

// close ends the listener and what is behind it. The trace's first failure, if
// there was one, is part of the answer: a report whose trace has a hole must
// not look whole.
func (g *gateway) close() error {
	var errs []error
	if g.front != nil {
		errs = append(errs, g.front.close())
	}
	if g.litellm != nil {
		errs = append(errs, g.litellm.close())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(append(errs, g.writer.Err(), g.file.Sync(), g.file.Close())...)
}

// listener serves a handler on a free loopback port.
type listener struct {
	url    *url.URL
	http   *http.Server
	served chan error
}

func listen(ctx context.Context, h http.Handler) (*listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &listener{
		url:    &url.URL{Scheme: "http", Host: ln.Addr().String()},
		http:   &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second},
		served: make(chan error, 1),
	}
	go func() { l.served <- l.http.Serve(ln) }()
	return l, nil
}

func (l *listener) close() error {
	err := l.http.Close()
	if serve := <-l.served; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	return err
}

// levelName is how a team size is called in traces and folders.
func levelName(n int) string { return "n" + strconv.Itoa(n) }
