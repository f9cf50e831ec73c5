package dail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/x/dail/pod"
	"github.com/x/dail/proxy"
	"github.com/x/dail/trace"
)

// gateway is the listener that the agents of one run talk to. It alone knows
// the server's address; an agent holds a token that is worth nothing elsewhere.
type gateway struct {
	url    string
	tokens proxy.Tokens
	http   *http.Server
	served chan error
	file   *os.File

	mu      sync.Mutex
	writer  *trace.Writer
	records map[string][]trace.Record // by level
}

// openGateway listens on a free loopback port and writes its trace to path.
func openGateway(ctx context.Context, p *pod.Pod, model, path string) (*gateway, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gateway: %w", err), file.Close())
	}
	g := &gateway{
		url:     "http://" + ln.Addr().String(),
		file:    file,
		writer:  trace.NewWriter(file),
		records: map[string][]trace.Record{},
		served:  make(chan error, 1),
	}
	g.http = &http.Server{
		Handler: proxy.NewMessages(proxy.Config{
			Upstream:    p.Endpoint,
			Model:       model,
			MaxModelLen: p.MaxModelLen,
			Identify:    g.tokens.Lookup,
			Trace:       g.record,
		}),
		ReadHeaderTimeout: 30 * time.Second,
	}
	go func() { g.served <- g.http.Serve(ln) }()
	return g, nil
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
	return append([]trace.Record(nil), g.records[level]...)
}

// token makes one for an agent's phase in a level.
func (g *gateway) token(level string) func(int, string) string {
	return func(agent int, phase string) string {
		return g.tokens.Issue(proxy.Caller{Level: level, Agent: agent, Phase: phase})
	}
}

// close ends the listener. The trace's first failure, if there was one, is part
// of the answer: a report whose trace has a hole must not look whole.
func (g *gateway) close() error {
	err := g.http.Close()
	if serve := <-g.served; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(err, g.writer.Err(), g.file.Sync(), g.file.Close())
}

// levelName is how a team size is called in traces and folders.
func levelName(n int) string { return "n" + strconv.Itoa(n) }
