package pod

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

// Simulated serves dail's own engine from this process, each machine on a free
// loopback port: a model of the composed GPU, whose replies come from the
// benchmark's cassette and whose timing comes from the engine. It costs
// nothing. The zero value is ready; it must not be copied.
type Simulated struct {
	// Config, where it is not nil, replaces the engine that the run composes
	// to. Tests use it to give an engine a known answer.
	Config *sim.Config

	mu       sync.Mutex
	machines map[string]*simServer
}

// About implements [Provider]. Every answer comes from the benchmark's
// cassette, so there is no real model; and the engine dies with this process.
func (*Simulated) About() About { return About{Name: "simulated"} }

// Offers is the price that the composed configuration names: what the GPU
// would cost.
func (*Simulated) Offers(_ context.Context, run *compose.Run) ([]Offer, error) {
	return []Offer{listOffer(run)}, nil
}

// listOffer is a machine at the hardware file's price.
func listOffer(run *compose.Run) Offer {
	o := Offer{GPUs: run.GPUs, USDPerHour: run.CostPerHour(), PriceSource: "list price of hardware " + run.Hardware.Key}
	if origin, ok := run.Origin("hardware.price_usd_per_gpu_hour"); ok {
		o.PriceSource = origin.File
	}
	if len(run.Hardware.GPUTypeIDs) > 0 {
		o.GPU = run.Hardware.GPUTypeIDs[0]
	}
	return o
}

// Create listens on a free loopback port and serves the engine there.
func (s *Simulated) Create(ctx context.Context, spec Spec) (Machine, error) {
	engine, err := s.engine(spec.Run)
	if err != nil {
		return Machine{}, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Machine{}, errors.Join(fmt.Errorf("no loopback port for the simulated server: %w", err), engine.Close())
	}
	marker := spec.Marker
	srv := &simServer{
		engine: engine,
		http:   &http.Server{Handler: engine, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan error, 1),
		machine: Machine{
			ID: ln.Addr().String(), Name: spec.Name, State: Running, Status: "serving", Marker: &marker,
			URL: &url.URL{Scheme: "http", Host: ln.Addr().String()}, Created: time.Now(),
		},
	}
	go func() { srv.done <- srv.http.Serve(ln) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machines == nil {
		s.machines = make(map[string]*simServer)
	}
	s.machines[srv.machine.ID] = srv
	return srv.machine, nil
}

func (s *Simulated) engine(run *compose.Run) (*sim.Server, error) {
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

// Get implements [Provider].
func (s *Simulated) Get(_ context.Context, id string) (Machine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	srv, ok := s.machines[id]
	if !ok {
		return Machine{}, s.notFound("get", id)
	}
	return srv.machine, nil
}

// List implements [Provider].
func (s *Simulated) List(context.Context) ([]Machine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Machine
	for _, srv := range s.machines {
		all = append(all, srv.machine)
	}
	return all, nil
}

// Terminate ends open connections at once: an agent that still waits is one
// that its fleet has already ended.
func (s *Simulated) Terminate(_ context.Context, id string) error {
	s.mu.Lock()
	srv, ok := s.machines[id]
	delete(s.machines, id)
	s.mu.Unlock()
	if !ok {
		return s.notFound("terminate", id)
	}
	return srv.close()
}

// Logs implements [Provider]. The engine says nothing.
func (*Simulated) Logs(context.Context, string, int) ([]string, error) { return nil, nil }

func (*Simulated) notFound(op, id string) error {
	return &ProviderError{Provider: "simulated", Op: op, ID: id, Kind: ErrNotFound}
}

// simServer is one engine that listens.
type simServer struct {
	machine Machine
	engine  *sim.Server
	http    *http.Server
	done    chan error
}

func (s *simServer) close() error {
	err := s.http.Close()
	if serve := <-s.done; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	return errors.Join(err, s.engine.Close())
}
