package vllm_test

import (
	"strings"
	"testing"

	"github.com/x/dail/internal/vllm"
)

// TestKnownFailures has a row for each row of vllm-litellm.md §2.3, and for
// what was seen beside it. The lines are as the log has them.
func TestKnownFailures(t *testing.T) {
	const core = "(EngineCore_DP0 pid=272) ERROR 11-24 03:02:31 [core.py:708] "
	for _, tt := range []struct {
		line, name, advice string
		max                int
	}{
		{core + "ValueError: Free memory on device (7.34/139.72 GiB) on startup is less than desired GPU memory utilization (0.9, 125.75 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
			"gpu-memory-taken", "only 7.34 of 139.72 GiB are free where 0.9 of it", 0},
		{core + "ValueError: Free memory on device cuda:0 (7.34/139.72 GiB) on startup is less than desired GPU memory utilization (0.92, 128.54 GiB).",
			"gpu-memory-taken", "another process holds", 0},
		{"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 44.40 GiB",
			"gpu-memory", "more GPUs, a smaller quant", 0},
		{"ERROR 05-02 09:11:02 [core.py:396] torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.", "gpu-memory", "", 0},
		{core + "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
			"no-kv-memory", "gpu_memory_utilization", 0},
		{core + "ValueError: To serve at least one request with the models's max seq len (131072), (20.00 GiB KV cache is needed, which is larger than the available KV cache memory (11.02 GiB). Based on the available memory, the estimated maximum model length is 72192. Try increasing",
			"context-too-long", "set serving.max_model_len to at most 72192 ", 72192},
		{core + "ValueError: To serve at least one request with the model's max seq len (131072), 20.0 GiB KV cache is needed, …, the estimated maximum model length is 72,192.",
			"context-too-long", "at most 72,192 ", 72192},
		{core + "ValueError: To serve at least one request with the models's max seq len (131072), (20.00 GiB KV cache is needed, which is larger than the available KV cache memory (0.10 GiB).",
			"context-too-long", "lower serving.max_model_len", 0},
		{"(APIServer pid=1) Value error, User-specified max_model_len (131072) is greater than the derived max_model_len (max_position_embeddings=40960 or model_max_length=None in model's config.json). [type=value_error]",
			"context-above-model", "max_model_len_cap: 40960", 40960},
		{core + "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
			"sampler-memory", "max_num_seqs", 0},
		{"ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 80. Current capability: 75.",
			"quant-unsupported", "fp8 needs a GPU of capability 80 and this one has 75", 0},
		{"ValueError: Unknown quantization method: nvfp5. Must be one of ['awq', 'fp8'].", "quant-unknown", "does not know nvfp5", 0},
		{core + "ValueError: Weight output_size = 192 is not divisible by weight quantization block_n = 128.", "quant-block", "blocks of 128", 0},
		{"ValueError: max_num_batched_tokens (2048) must be greater than or equal to max_num_seqs (4096).", "batched-tokens", "max_num_batched_tokens to at least 4096, or lower serving.max_num_seqs", 0},
		{"ValueError: max_num_batched_tokens (8192) is smaller than max_model_len (65536). This effectively limits", "batched-tokens", "at least 65536", 0},
		{"ValueError: Total number of attention heads (40) must be divisible by tensor parallel size (3).", "tensor-parallel", "3 GPUs do not divide", 0},
		{"ValueError: World size (4) is larger than the number of available GPUs (2) in this node.", "too-few-gpus", "sees 2 GPUs and was to use 4", 0},
		{"ValueError: Model architectures ['GlmMoeDsaForCausalLM'] are not supported for now.", "model-unsupported", "vllm_version", 0},
		{"vllm serve: error: unrecognized arguments: --no-such-flag", "arguments", "extra_args", 0},
		{"vllm: error: argument --kv-cache-dtype: invalid choice: 'fp9' (choose from 'auto', 'fp8')", "arguments", "", 0},
		{"(APIServer pid=1) KeyError: 'invalid tool call parser: qwen9 (chose from { hermes,qwen3_xml })'", "parser", "tool_call_parser", 0},
		{`ERROR 11-24 03:02:31 [serving_chat.py:1] "auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set`, "tool-choice", "enable_auto_tool_choice: true", 0},
		{"OSError: [Errno 98] Address already in use", "port-taken", "serving.port", 0},
		{"OSError: You are trying to access a gated repo.", "hub-gated", "accept the model's licence", 0},
		{"Access to model x/y is restricted and you are not in the authorized list. Visit https://huggingface.co/x/y to ask for access.", "hub-gated", "HF_TOKEN", 0},
		{"requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/x/y", "hub-unauthorized", "valid one", 0},
		{"huggingface_hub.errors.HfHubHTTPError: 403 Client Error: Forbidden for url: https://huggingface.co/x/y", "hub-forbidden", "licence", 0},
		{"huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://huggingface.co/x/y", "hub-rate", "HF_TOKEN", 0},
		{"huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: Root=1)", "hub-missing", "model:", 0},
		{"OSError: x/y is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'", "hub-missing", "", 0},
		{"OSError: [Errno 28] No space left on device: '/workspace/huggingface'", "disk-full", "container_disk_gb", 0},
		{"RuntimeError: The NVIDIA driver on your system is too old (found version 12040).", "driver", "another machine", 0},
		{"ImportError: libcudart.so.13: cannot open shared object file: No such file or directory", "cuda-mismatch", "pip_extra_index_url", 0},
		{"RuntimeError: No CUDA GPUs are available", "gpu-lost", "another machine", 0},
		{"RuntimeError: NCCL error: unhandled cuda error (run with NCCL_DEBUG=INFO for details)", "nccl", "NCCL_P2P_DISABLE", 0},
		{"RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory", "host-memory", "RAM", 0},
		{"ERROR: No matching distribution found for vllm==0.99.0", "pip-missing", "vllm==0.99.0", 0},
		{"  × No solution found when resolving dependencies:", "pip-conflict", "pip_constraints", 0},
		{"The virtual environment was not created successfully because ensurepip is not available.", "pip-venv", "python3-venv", 0},
		{"ERROR: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url: /simple/vllm/", "network", "internet", 0},
		{core + "EngineCore failed to start.", "engine", "", 0},
		{"RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}", "engine", "", 0},
		{"[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.", "gpu-memory", "", 0},
		{"\x1b[0;36m(Worker_TP0 pid=611)\x1b[0;0m ERROR 08-19 14:02:26 [v1/executor/multiproc.py:1] RuntimeError: NCCL error: x", "nccl", "", 0},
	} {
		c, ok := vllm.Diagnose([]string{"INFO 11-24 03:02:31 [a.py:1] before", tt.line, "after"})
		if !ok || c.Name != tt.name || c.MaxModelLen != tt.max || !strings.Contains(c.Advice, tt.advice) {
			t.Errorf("%s\n got %v %+v\nwant %s, %q, %d", tt.line, ok, c, tt.name, tt.advice, tt.max)
		}
		if strings.Contains(c.Advice, "$") {
			t.Errorf("unfilled advice: %s", c.Advice)
		}
		if c.Text == "" || strings.Contains(c.Text, "pid=") {
			t.Errorf("text %q", c.Text)
		}
	}
}

func TestTheMoreTellingCauseIsTaken(t *testing.T) {
	c, ok := vllm.Diagnose([]string{
		"ERROR 11-24 03:02:31 [core.py:708] EngineCore failed to start.",
		"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1 GiB",
		"RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests. Please try lowering `max_num_seqs`",
		"RuntimeError: Engine core initialization failed. See root cause above.",
	})
	if !ok || c.Name != "sampler-memory" {
		t.Errorf("%+v", c)
	}
}

func TestWhatIsNoFailure(t *testing.T) {
	for _, line := range []string{
		"", "all is well",
		"INFO 11-24 03:02:31 [x.py:1] ValueError: No available memory for the cache blocks",
		"(EngineCore_DP0 pid=2) WARNING 11-24 03:02:31 [x.py:1] CUDA out of memory. Tried to allocate 1 GiB",
		"INFO:     127.0.0.1:5000 - \"POST /v1/chat/completions HTTP/1.1\" 404 Not Found",
		"WARNING: Retrying after connection broken by 'Temporary failure in name resolution'",
		"[W1124 03:00:25.813242511 ProcessGroupNCCL.cpp:981] Warning: NCCL error handling",
		"/usr/lib/x.py:3: FutureWarning: 429 Client Error",
		"Traceback (most recent call last):",
		"non-default args: {'model_tag': 'x/y', 'max_num_seqs': 256}",
		"DEBUG 11-24 03:02:31 [x.py:1] EngineCore failed to start",
	} {
		if c, ok := vllm.Diagnose([]string{line}); ok {
			t.Errorf("%q is taken for %+v", line, c)
		}
	}
}

func TestACauseRepeatsNoSecret(t *testing.T) {
	c, ok := vllm.Diagnose([]string{"ERROR: No matching distribution found for https://kim:hunter2hunter2@x.example/vllm?token=abcdefghijkl"})
	if !ok || strings.Contains(c.Text+c.Advice, "hunter2") || strings.Contains(c.Text+c.Advice, "abcdefghijkl") {
		t.Errorf("%+v", c)
	}
}
