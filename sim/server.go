package sim

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Version is what /version answers. Its beginning tells a reader that the
// server is a simulation.
const Version = "dail-sim/0.1.0"

// A Server is an [Engine] behind vLLM's HTTP interface, in real time: it
// answers /v1/chat/completions, /v1/completions, /v1/models, /tokenize,
// /health, /version, /load and /metrics.
//
// The engine keeps to its own schedule, which begins when the server is made.
// An answer is sent when the schedule says so; if the machine is late, the
// answer is late, but the schedule and all that /metrics says stay as they
// were. A request's arrival is the moment at which it is read and encoded, so
// that our own work on it is no part of the engine's figures.
type Server struct {
	cfg      Config
	cassette *Cassette
	tok      *Tokenizer
	mux      *http.ServeMux
	began    time.Time

	stop context.CancelFunc
	quit <-chan struct{}
	wake chan struct{} // cap 1: the schedule may have changed
	loop sync.WaitGroup

	mu         sync.Mutex
	engine     *Engine
	streams    map[int64]*stream
	mismatches map[string]int64
	requests   int64 // ids given out
	load       int64 // requests in progress
}

// stream is how far the answer to a request has come. All but notify is
// guarded by Server.mu.
type stream struct {
	notify chan struct{} // cap 1: look again
	total  int           // tokens that are due
	cached int
	done   bool
}

// NewServer starts an engine. The cassette may be nil: then, and for requests
// that are in none of its phases, the server answers with a canned sentence,
// or with filler text of exactly max_tokens tokens where ignore_eos is set.
// Close ends it.
func NewServer(cfg Config, cassette *Cassette) (*Server, error) {
	engine, err := NewEngine(cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		cfg:        engine.cfg,
		cassette:   cassette,
		tok:        NewTokenizer(),
		mux:        http.NewServeMux(),
		began:      time.Now(),
		stop:       stop,
		quit:       ctx.Done(),
		wake:       make(chan struct{}, 1),
		engine:     engine,
		streams:    make(map[int64]*stream),
		mismatches: make(map[string]int64),
	}
	s.routes()
	s.loop.Add(1)
	go s.run()
	return s, nil
}

// Close stops the engine; requests in progress end with an error. It may be
// called more than once.
func (s *Server) Close() error {
	s.stop()
	s.loop.Wait()
	return nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) routes() {
	handle := func(path string, methods map[string]http.HandlerFunc) {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			h, ok := methods[r.Method]
			if !ok {
				writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"detail": "Method Not Allowed"})
				return
			}
			h(w, r)
		})
	}
	get := func(path string, h http.HandlerFunc) { handle(path, map[string]http.HandlerFunc{"GET": h}) }
	post := func(path string, h http.HandlerFunc) { handle(path, map[string]http.HandlerFunc{"POST": h}) }

	get("/health", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-s.quit:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusOK)
		}
	})
	get("/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": Version})
	})
	get("/load", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		writeJSON(w, http.StatusOK, map[string]int64{"server_load": s.load})
	})
	get("/metrics", s.serveMetrics)
	get("/v1/models", s.serveModels)
	post("/tokenize", s.serveTokenize)
	post("/v1/chat/completions", s.serveChat)
	post("/v1/completions", s.serveCompletions)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"detail": "Not Found"})
	})
}

// now is the engine's time.
func (s *Server) now() time.Duration { return time.Since(s.began) }

// run keeps the schedule: it sleeps until something is due.
func (s *Server) run() {
	defer s.loop.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.mu.Lock()
		s.catchUp()
		next, busy := s.engine.Next()
		s.mu.Unlock()
		if busy {
			timer.Reset(next - s.now())
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.quit:
			return
		}
	}
}

// catchUp does all that is due by now. It needs s.mu.
func (s *Server) catchUp() {
	now := s.now()
	for {
		at, ok := s.engine.Next()
		if !ok || at > now {
			return
		}
		for _, ev := range s.engine.Step() {
			st := s.streams[ev.ID]
			if st == nil {
				continue
			}
			st.total, st.cached, st.done = ev.Total, ev.Cached, ev.Done
			select {
			case st.notify <- struct{}{}:
			default:
			}
		}
	}
}

// generate runs a job and calls progress whenever tokens have become due, with
// how many there are in all and how many of the prompt were cached, until the
// last one. It returns an error where the client has gone, progress failed or
// the server was closed.
func (s *Server) generate(ctx context.Context, j Job, progress func(total, cached int, done bool) error) error {
	st := &stream{notify: make(chan struct{}, 1)}
	s.mu.Lock()
	j.Arrival = s.now()
	id, err := s.engine.Submit(j)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.streams[id] = st
	s.load++
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.engine.Abort(id) // nothing where it is over
		delete(s.streams, id)
		s.load--
	}()
	seen := 0
	for {
		select {
		case <-st.notify:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.quit:
			return errClosed
		}
		s.mu.Lock()
		total, cached, done := st.total, st.cached, st.done
		s.mu.Unlock()
		if total > seen || done {
			seen = total
			if err := progress(total, cached, done); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
	}
}

func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.catchUp()
	families := s.engine.families(float64(s.began.UnixMilli()) / 1000)
	families = append(families, simFamilies(s.cassette, s.mismatches)...)
	s.mu.Unlock()

	w.Header().Set("Content-Type", string(metricsFormat))
	_ = writeFamilies(w, families) // an error: the client has gone
}

func (s *Server) serveModels(w http.ResponseWriter, _ *http.Request) {
	type permission struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
	}
	type model struct {
		ID          string       `json:"id"`
		Object      string       `json:"object"`
		Created     int64        `json:"created"`
		OwnedBy     string       `json:"owned_by"`
		Root        string       `json:"root"`
		Parent      *string      `json:"parent"`
		MaxModelLen int          `json:"max_model_len"`
		Permission  []permission `json:"permission"`
	}
	created := s.began.Unix()
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []model{{
		ID: s.cfg.Model, Object: "model", Created: created, OwnedBy: "vllm", Root: s.cfg.Model, MaxModelLen: s.cfg.MaxModelLen,
		Permission: []permission{{ID: "modelperm-dail-sim", Object: "model_permission", Created: created}},
	}}})
}

// mismatch counts a request that does not follow the cassette.
func (s *Server) mismatch(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mismatches[phase]++
}

// requestID numbers the answers.
func (s *Server) requestID() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	return s.requests
}
