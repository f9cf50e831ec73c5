package pod

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

// Simulated serves dail's own engine from this process, on a free loopback
// port: a model of the composed GPU, whose replies come from the benchmark's
// cassette and whose timing comes from the engine. It costs nothing.
type Simulated struct {
	// Config, where it is not nil, replaces the engine that the run composes
	// to. Tests use it to give an engine a known answer.
	Config *sim.Config
}

// Name is "simulated".
func (Simulated) Name() string { return "simulated" }

// RealModel is false: every answer comes from the benchmark's cassette.
func (Simulated) RealModel() bool { return false }

// Start listens on a free loopback port and serves the engine there.
func (s Simulated) Start(ctx context.Context, run *compose.Run) (Server, error) {
	engine, err := s.engine(run)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no loopback port for the simulated server: %w", err), engine.Close())
	}
	srv := &simServer{
		engine: engine,
		base:   &url.URL{Scheme: "http", Host: ln.Addr().String()},
		http:   &http.Server{Handler: engine, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan error, 1),
	}
	go func() { srv.done <- srv.http.Serve(ln) }()
	return srv, nil
}

func (s Simulated) engine(run *compose.Run) (*sim.Server, error) {
	var cfg sim.Config
	var err error
	if s.Config != nil {
		cfg = *s.Config
	} else if cfg, err = sim.ConfigOf(run); err != nil {
		return nil, err
	}
	var cassette *sim.Cassette
	if b := run.Benchmark; b.Cassette != "" {
		if cassette, err = sim.LoadCassette(b.Dir, b.Cassette, b.Task.Phases); err != nil {
			return nil, err
		}
	}
	return sim.NewServer(cfg, cassette)
}

type simServer struct {
	engine *sim.Server
	base   *url.URL
	http   *http.Server
	done   chan error
}

func (s *simServer) Endpoint() *url.URL { return s.base }

// Stop ends open connections at once: an agent that still waits is one that
// its fleet has already ended.
func (s *simServer) Stop(context.Context) error {
	err := s.http.Close()
	if serve := <-s.done; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	return errors.Join(err, s.engine.Close())
}
