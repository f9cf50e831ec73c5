package program

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// startup writes the log of a vLLM that starts, in the order and the words of
// the V1 engine (vllm-litellm.md §2.2), and takes as long as it is told.
type startup struct {
	vllm           VLLM
	stdout, stderr io.Writer
	began          time.Time
	serving        bool
}

// startFacts are the figures in the log.
type startFacts struct {
	model           string
	maxLen, batched int
	weightsGB, kvGB float64
	kvTokens        int
}

func newStartup(v VLLM, stdout, stderr io.Writer) *startup {
	return &startup{vllm: v, stdout: stdout, stderr: stderr, began: time.Now()}
}

func (s *startup) log(who, where, format string, args ...any) {
	fmt.Fprintf(s.stdout, "(%s pid=%d) INFO %s [%s] %s\n", who, os.Getpid(), time.Now().Format("01-02 15:04:05"), where, fmt.Sprintf(format, args...))
}

func (s *startup) api(where, format string, args ...any) { s.log("APIServer", where, format, args...) }
func (s *startup) core(where, format string, args ...any) {
	s.log("EngineCore_DP0", where, format, args...)
}

func (s *startup) uvicorn(line string) {
	fmt.Fprintf(s.stderr, "(APIServer pid=%d) INFO:     %s\n", os.Getpid(), line)
}

// banner says first of all that nothing here is a measurement.
func (s *startup) banner(a serveArgs, version string) {
	fmt.Fprintf(s.stdout, "podtest: this vllm is the simulated engine %s; there is no model and no GPU\n", version)
	s.api("api_server.py:1839", "vLLM API server version %s", s.vllm.Version)
	s.api("utils.py:233", "non-default args: {'model_tag': '%s', 'port': %d, 'max_model_len': %s}", a.model, a.integer("port", 8000), a.text("max-model-len", "None"))
}

// load goes through the phases until the server listens. Each takes its share
// of the time.
func (s *startup) load(ctx context.Context, f startFacts) error {
	steps := s.steps(f)
	for i, step := range steps {
		step()
		if s.vllm.Fails != "" && i == len(steps)/2 {
			return s.crash(s.vllm.Fails)
		}
		if s.vllm.Stalls && i == len(steps)/3 {
			<-ctx.Done()
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.vllm.Startup / time.Duration(len(steps))):
		}
	}
	return nil
}

func (s *startup) steps(f startFacts) []func() {
	seconds := func() float64 { return time.Since(s.began).Seconds() }
	const shards = 4
	steps := []func(){
		func() {
			s.api("model.py:547", "Resolved architecture: %s", "SimulatedForCausalLM")
			s.api("model.py:1510", "Using max model len %d", f.maxLen)
			s.api("scheduler.py:205", "Chunked prefill is enabled with max_num_batched_tokens=%d.", f.batched)
		},
		func() {
			s.core("core.py:77", "Initializing a V1 LLM engine (v%s) with config: model='%s', max_seq_len=%d", s.vllm.Version, f.model, f.maxLen)
		},
		func() { s.core("gpu_model_runner.py:2602", "Starting to load model %s...", f.model) },
		func() {
			s.core("weight_utils.py:392", "Time spent downloading weights for %s: %.6f seconds", f.model, seconds())
		},
	}
	for i := range shards + 1 {
		steps = append(steps, func() {
			fmt.Fprintf(s.stderr, "\rLoading safetensors checkpoint shards: %3d%% Completed | %d/%d [%s<%s, %5.2fs/it]",
				100*i/shards, i, shards, minutes(seconds()), minutes(seconds()), seconds())
			if i == shards {
				fmt.Fprintln(s.stderr)
			}
		})
	}
	return append(steps,
		func() {
			s.core("default_loader.py:267", "Loading weights took %.2f seconds", seconds())
			s.core("gpu_model_runner.py:2653", "Model loading took %.4f GiB and %.6f seconds", f.weightsGB*1e9/(1<<30), seconds())
		},
		func() {
			s.core("backends.py:548", "Using cache directory: /root/.cache/vllm/torch_compile_cache/0123456789/rank_0_0/backbone for vLLM's torch.compile")
			s.core("backends.py:559", "Dynamo bytecode transform time: %.2f s", seconds())
		},
		func() {
			s.core("backends.py:215", "Compiling a graph for dynamic shape takes %.2f s", seconds())
			s.core("monitor.py:34", "torch.compile takes %.2f s in total", seconds())
		},
		func() {
			s.core("gpu_worker.py:298", "Available KV cache memory: %.2f GiB", f.kvGB*1e9/(1<<30))
			s.core("kv_cache_utils.py:1087", "GPU KV cache size: %s tokens", thousands(f.kvTokens))
			s.core("kv_cache_utils.py:1091", "Maximum concurrency for %s tokens per request: %.2fx", thousands(f.maxLen), float64(f.kvTokens)/float64(max(f.maxLen, 1)))
		},
		func() {
			fmt.Fprintf(s.stderr, "\rCapturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%%|##########| 67/67 [%s<00:00, 30.00it/s]\n", minutes(seconds()))
			s.core("gpu_model_runner.py:3480", "Graph capturing finished in %.0f secs, took 0.45 GiB", seconds())
		},
		func() {
			s.core("core.py:210", "init engine (profile, create kv cache, warmup model) took %.2f seconds", seconds())
		},
	)
}

func (s *startup) ready(address string) {
	s.serving = true
	s.api("loggers.py:147", "Engine 000: vllm cache_config_info with initialization after num_gpu_blocks is: 0")
	s.api("api_server.py:1634", "Starting vLLM API server 0 on http://%s", address)
	s.uvicorn(fmt.Sprintf("Started server process [%d]", os.Getpid()))
	s.uvicorn("Waiting for application startup.")
	s.uvicorn("Application startup complete.")
}

// crash prints a failure as vLLM does, the cause first and what follows from
// it last, and returns the error that ends the program.
func (s *startup) crash(cause string) error {
	for line := range strings.Lines(cause + "\n") {
		fmt.Fprintf(s.stdout, "(EngineCore_DP0 pid=%d) ERROR %s [core.py:708] %s", os.Getpid(), time.Now().Format("01-02 15:04:05"), line)
	}
	if !s.serving {
		fmt.Fprintf(s.stderr, "(APIServer pid=%d) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n", os.Getpid())
	}
	return errFailed
}

func minutes(seconds float64) string {
	return fmt.Sprintf("%02d:%02d", int(seconds)/60, int(seconds)%60)
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
