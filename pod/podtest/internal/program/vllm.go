package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

// vllm is the server's command: --version, and serve.
func vllm(image Image, args []string) int {
	if len(args) == 1 && (args[0] == "--version" || args[0] == "-v") {
		fmt.Println(image.VLLM.Version)
		return 0
	}
	if len(args) == 0 || args[0] != "serve" {
		fmt.Fprintf(os.Stderr, "usage: vllm serve [model] [options]\nvllm: error: argument subparser: invalid choice: %q (podtest has only serve)\n", strings.Join(args, " "))
		return 2
	}
	a, err := parseServe(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "usage: vllm serve [model_tag] [options]\nvllm serve: error: %v\n", err)
		return 2
	}
	// Not by signal.NotifyContext alone: SIGTERM ends vLLM by itself, and the
	// program that started it reads the status.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serve(ctx, image, a); err != nil {
		return 1 // its log has said why
	}
	return 0
}

// said is a failure in the words of another program, which end as they end.
type said string

func (s said) Error() string { return string(s) }

func saying(format string, args ...any) error { return said(fmt.Sprintf(format, args...)) }

// errFailed ends a server whose log has said why.
var errFailed = errors.New("vllm failed")

// serve is vllm from its first line to its last.
func serve(ctx context.Context, image Image, a serveArgs) error {
	out := newStartup(image.VLLM, os.Stdout, os.Stderr)
	out.banner(a, sim.Version)
	engine, run, err := buildEngine(image, a)
	if err != nil {
		return out.crash(err.Error())
	}
	defer engine.Close()
	facts := startFacts{model: a.model, maxLen: a.integer("max-model-len", 0), batched: a.integer("max-num-batched-tokens", 2048)}
	if run != nil {
		facts.weightsGB = 0
		if m, ok := run.Memory(); ok {
			facts.weightsGB, facts.kvTokens, facts.kvGB = m.WeightsGB, m.KVTokens, m.KVGB()
		}
		facts.maxLen, facts.batched = run.Serving.MaxModelLen, run.MaxNumBatchedTokens()
	}
	if err := out.load(ctx, facts); err != nil {
		return err
	}
	address := net.JoinHostPort(a.text("host", "0.0.0.0"), strconv.Itoa(a.integer("port", 8000)))
	listen := net.ListenConfig{Control: sharePort}
	ln, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return out.crash(fmt.Sprintf("OSError: [Errno 98] Address already in use: %v", err))
	}
	server := &http.Server{Handler: engine, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	out.ready(address)

	var dies <-chan time.Time
	if image.VLLM.Dies > 0 {
		dies = time.After(image.VLLM.Dies)
	}
	select {
	case <-ctx.Done():
		out.uvicorn("Shutting down")
		server.Close()
		<-served
		out.uvicorn("Finished server process")
		return nil
	case <-dies:
		server.Close()
		<-served
		return out.crash("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.")
	case err := <-served:
		return out.crash(err.Error())
	}
}

// sharePort lets the server have the port that the machine keeps for it.
func sharePort(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); e != nil {
		return e
	}
	return err
}

// buildEngine makes what answers: the run's engine, as the arguments say it
// is to be, or a small one. An error is in vLLM's words.
func buildEngine(image Image, a serveArgs) (*sim.Server, *compose.Run, error) {
	if tp := a.integer("tensor-parallel-size", 1); tp > image.GPU.Count {
		return nil, nil, saying("ValueError: World size (%d) is larger than the number of available GPUs (%d) in this node.", tp, image.GPU.Count)
	}
	if image.VLLM.RunFile == "" {
		engine, err := sim.NewServer(sim.Config{
			Step:  sim.Fixed{TTFT: 20 * time.Millisecond, ITL: 2 * time.Millisecond},
			Model: a.text("served-model-name", a.model), MaxModelLen: a.integer("max-model-len", 0),
		}, nil)
		return engine, nil, err
	}
	text, err := os.ReadFile(image.VLLM.RunFile)
	if err != nil {
		return nil, nil, err
	}
	var run compose.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return nil, nil, fmt.Errorf("podtest: %s: %w", image.VLLM.RunFile, err)
	}
	if a.model != run.Serving.Model {
		return nil, nil, saying("OSError: %s is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models' (podtest serves %s)", a.model, run.Serving.Model)
	}
	s := &run.Serving
	s.ServedModelName = a.text("served-model-name", a.model)
	s.MaxModelLen = a.integer("max-model-len", s.MaxModelLen)
	s.MaxNumSeqs = a.integer("max-num-seqs", s.MaxNumSeqs)
	s.MaxNumBatchedTokens = a.integer("max-num-batched-tokens", s.MaxNumBatchedTokens)
	s.TensorParallelSize = a.integer("tensor-parallel-size", 1)
	s.KVCacheDtype = a.text("kv-cache-dtype", s.KVCacheDtype)
	if u, err := strconv.ParseFloat(a.values["gpu-memory-utilization"], 64); err == nil {
		s.GPUMemoryUtilization = u
	}
	if m, ok := run.Memory(); ok && m.KVTokens < s.MaxModelLen {
		return nil, nil, saying("ValueError: To serve at least one request with the models's max seq len (%d), (%.2f GiB KV cache is needed, which is larger than the available KV cache memory (%.2f GiB). Based on the available memory, the estimated maximum model length is %d. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.",
			s.MaxModelLen, float64(s.MaxModelLen*m.KVBytesPerToken)/(1<<30), max(m.KVGB(), 0)*1e9/(1<<30), m.KVTokens)
	}
	cfg, err := sim.ConfigOf(&run)
	if err != nil {
		return nil, nil, err
	}
	var cassette *sim.Cassette
	if name := run.Benchmark.Cassette; name != "" {
		if cassette, err = sim.LoadCassette(os.DirFS(image.VLLM.Files), name, run.Benchmark.Task.Phases); err != nil {
			return nil, nil, err
		}
	}
	engine, err := sim.NewServer(cfg, cassette)
	return engine, &run, err
}
