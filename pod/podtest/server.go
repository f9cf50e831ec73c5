package podtest

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/clock"
	"github.com/x/dail/pod/podtest/internal/contract"
)

// Config says what a server is like. The zero value is ready.
type Config struct {
	// Key is the account's API key; random where it is empty.
	Key string
	// Addr is where the API listens: a port of the loopback; a free one where it
	// is empty. Elsewhere anybody could run commands here.
	Addr string
	// Run is what the machines' vllm serves: the engine that the run composes
	// to, with its benchmark's cassette. Where it is nil, vllm serves a small
	// engine of fixed times and canned answers under whatever name it is given.
	Run *compose.Run
	// GPUs is the catalogue; Catalogue() where it is nil.
	GPUs []GPU
	// Clock is the time of the API: bill, boot, rate limits, delays of faults.
	// nil is the wall clock. Processes on the machines live by the wall.
	Clock clock.Clock
	// Balance is the account's credit, USD; 100 where it is 0. A create needs
	// credit for an hour. Nothing is ended when it is used up.
	Balance float64
	// Boot is the time of Clock from the create to an SSH server that can be
	// reached; 200 ms where it is 0.
	Boot time.Duration
	// Startup is the wall time that vllm takes until it serves; 300 ms where it
	// is 0.
	Startup time.Duration
	// RequestsPerMinute is how many calls a key may make; 6000 where it is 0.
	RequestsPerMinute int
	// Root is the folder of the machines' disks, which are kept. Where it is
	// empty, a temporary one is made, and removed by Close.
	Root string
	// Sshd is the path of OpenSSH's sshd, to serve logins in the place of the
	// package's own server. It runs as this user, who is the only one to log in.
	Sshd string
	// NoMachines leaves out the machines: pods are entries of the API with an
	// address where nobody listens. Nothing is started, and Main is not needed.
	NoMachines bool
	// Log gets a line for every call; nil: none.
	Log io.Writer
}

//go:embed openapi/runpod-v2.json
var documents embed.FS

// compiled is the contract, which is the same for every server.
var compiled = sync.OnceValues(func() (*contract.Contract, error) {
	raw, err := documents.ReadFile("openapi/runpod-v2.json")
	if err != nil {
		return nil, err
	}
	return contract.Load(raw)
})

// Server is RunPod's API on a free loopback port. Its methods may be called by
// several goroutines.
type Server struct {
	URL string // base URL of REST v2: http://127.0.0.1:PORT/v2
	Key string // the account's API key

	cfg      Config
	clk      clock.Clock
	contract *contract.Contract
	handlers map[string]handler
	root     string
	dropRoot bool
	image    *image

	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	http   *http.Server
	served chan error
	work   sync.WaitGroup // handlers, lives of pods

	limits *limiter
	faults faultSet
	log    *eventLog

	mu         sync.Mutex // guards what follows
	pods       []*pod     // in the order of their creation
	volumes    []volume
	sshKeys    []string
	violations []string
	requests   int
	closed     bool
}

// NewServer starts a server. Close ends it.
func NewServer(cfg Config) (*Server, error) {
	if !cfg.NoMachines && !mainCalled.Load() {
		return nil, errors.New("podtest: the pods' programs are this program under other names, so podtest.Main() must be the first line of its main, or of TestMain (or set Config.NoMachines)")
	}
	doc, err := compiled()
	if err != nil {
		return nil, fmt.Errorf("podtest: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &Server{
		Key: cfg.Key, cfg: cfg, clk: clock.Or(cfg.Clock), contract: doc, root: cfg.Root,
		served: make(chan error, 1),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.handlers = s.routes()
	s.limits = newLimiter(s.clk, cfg.RequestsPerMinute)
	s.log = &eventLog{w: cfg.Log}
	if err := s.prepare(); err != nil {
		s.stop()
		return nil, errors.Join(fmt.Errorf("podtest: %w", err), s.removeRoot())
	}
	ln, err := listen(cfg.Addr)
	if err != nil {
		s.stop()
		return nil, errors.Join(fmt.Errorf("podtest: %w", err), s.removeRoot())
	}
	s.URL = "http://" + ln.Addr().String() + "/v2"
	if s.image != nil {
		s.image.API = s.URL
	}
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	go func() { s.served <- s.http.Serve(ln) }()
	return s, nil
}

// listen listens on the loopback, and nowhere else.
func listen(addr string) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("Config.Addr: %w", err)
	}
	if !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("Config.Addr %s is not on the loopback: whoever reaches the API can run commands on this machine; use 127.0.0.1:PORT", addr)
	}
	return net.ListenTCP("tcp", tcp)
}

func (c Config) withDefaults() Config {
	if c.Key == "" {
		c.Key = "rpa_" + rand.Text()
	}
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.GPUs == nil {
		c.GPUs = Catalogue()
	}
	if c.Balance == 0 {
		c.Balance = 100
	}
	if c.Boot == 0 {
		c.Boot = 200 * time.Millisecond
	}
	if c.Startup == 0 {
		c.Startup = 300 * time.Millisecond
	}
	if c.RequestsPerMinute == 0 {
		c.RequestsPerMinute = 6000
	}
	return c
}

// prepare makes the folder of the machines and what they have in common.
func (s *Server) prepare() (err error) {
	if s.cfg.NoMachines {
		return nil
	}
	if s.root == "" {
		s.dropRoot = true
		if s.root, err = os.MkdirTemp("", "podtest-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(s.root, 0o700); err != nil {
		return err
	}
	if s.root, err = filepath.Abs(s.root); err != nil {
		return err
	}
	s.image, err = s.newImage()
	return err
}

func (s *Server) removeRoot() error {
	if !s.dropRoot || s.root == "" {
		return nil
	}
	return os.RemoveAll(s.root)
}

// Close ends every machine, whoever made it, and waits for all that the server
// started. The bill, the events and the violations can still be read. It may be
// called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	s.stop()
	err := s.http.Close()
	if serve := <-s.served; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	s.work.Wait()
	return errors.Join(err, s.removeRoot())
}

// Violations lists what the server did or was asked to do that its contract
// forbids to it: an answer that does not fit the OpenAPI document, a machine
// that did not die. It should be empty at the end of every test.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.log.line(s.clk.Now(), "VIOLATION "+text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, text)
}
