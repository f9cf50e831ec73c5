package vllm

import (
	"regexp"
	"strconv"
	"strings"
)

// Cause is a failure that is known, and what to do about it.
type Cause struct {
	// Name is the kind of failure, e.g. "context-too-long".
	Name string
	// Text is the line of the log that says it, without secrets.
	Text string
	// Advice says what to change, in terms of dail's configuration.
	Advice string
	// MaxModelLen is the longest context that would have fitted, in tokens, where
	// vLLM said so; else 0.
	MaxModelLen int
	// general is a failure of which another line may say the cause.
	general bool
}

// failure is a row of the table: what a line says, and the advice, which may
// use the groups of the expression.
type failure struct {
	name    string
	re      *regexp.Regexp
	advice  string
	general bool
}

// maxLen is the name of the group that is a context length which would do.
const maxLen = "max"

// failures are the known ones, the more telling before the less (the texts are
// vLLM's, torch's, the Hub's, pip's and uv's; vllm-litellm.md §2.3).
var failures = []failure{
	// Room on the GPU.
	{name: "context-too-long", re: regexp.MustCompile(`estimated maximum model length is (?P<max>[1-9][\d,]*)`),
		advice: "set serving.max_model_len to at most ${max} (the benchmark's serving:, or max_model_len_cap of the model or hardware file), or take more GPUs, or an fp8 kv_cache_dtype"},
	{name: "context-too-long", re: regexp.MustCompile(`To serve at least one request with the model'?s'?s? max(?:imum)? seq(?:uence)? len`),
		advice: "lower serving.max_model_len (the benchmark's serving:, or max_model_len_cap), or take more GPUs, or an fp8 kv_cache_dtype"},
	{name: "no-kv-memory", re: regexp.MustCompile(`No available memory for the cache blocks`),
		advice: "the weights leave no room for a KV cache: take more GPUs, a smaller quant, or raise gpu_memory_utilization in the hardware file"},
	{name: "gpu-memory-taken", re: regexp.MustCompile(`Free memory on device .*?\(([\d.]+)/([\d.]+) GiB\) on startup is less than desired GPU memory utilization \(([\d.]+)`),
		advice: "only $1 of $2 GiB are free where ${3} of it is wanted: another process holds the GPU's memory, so end it or take another machine; on a card of your own that also drives a display, lower gpu_memory_utilization in the hardware file"},
	{name: "sampler-memory", re: regexp.MustCompile(`(?:dummy requests.*max_num_seqs|max_num_seqs.*dummy requests)`),
		advice: "lower serving.max_num_seqs (it is at least the largest team in devs) or gpu_memory_utilization"},
	{name: "batched-tokens", re: regexp.MustCompile(`max_num_batched_tokens \((\d+)\) (?:must be greater than or equal to|is smaller than) (max_\w+) \((\d+)\)`),
		advice: "set serving.max_num_batched_tokens to at least $3, or lower serving.$2"},
	{name: "context-above-model", re: regexp.MustCompile(`User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \([^)]*?=(?P<max>[1-9]\d*)`),
		advice: "the model was made for ${max} tokens: set max_model_len_cap: ${max} in the model file, or stretch it by --rope-scaling in extra_args"},
	{name: "context-above-model", re: regexp.MustCompile(`User-specified max_model_len .*is greater than the derived max_model_len`),
		advice: "lower max_model_len_cap in the model file to what the model was made for"},

	// The model and how it is cut.
	{name: "quant-unsupported", re: regexp.MustCompile(`quantization method (\S+) is not supported for the current GPU\. Minimum capability: (\d+)\. Current capability: (\d+)`),
		advice: "$1 needs a GPU of capability $2 and this one has $3: choose another quant, or newer hardware, and take the quant out of supported_quants in the hardware file"},
	{name: "quant-unknown", re: regexp.MustCompile(`Unknown quantization method: ([^\s.]+)`),
		advice: "this vLLM does not know $1: correct the model's extra_args, or raise vllm_version"},
	{name: "quant-block", re: regexp.MustCompile(`not divisible by .*block_[nk] = (\d+)`),
		advice: "the weights are quantised in blocks of $1 that so many GPUs would cut: take fewer GPUs, or --enable-expert-parallel in extra_args"},
	{name: "tensor-parallel", re: regexp.MustCompile(`(?:attention heads|KV heads|num_heads|vocab size|experts)\D*\((\d+)\) must be divisible by tensor parallel size \((\d+)\)`),
		advice: "$2 GPUs do not divide the model's $1: take a number of GPUs that does"},
	{name: "too-few-gpus", re: regexp.MustCompile(`World size \(?(\d+)\)? is larger than the number of available GPUs \(?(\d+)`),
		advice: "vLLM sees $2 GPUs and was to use $1: check gpus and CUDA_VISIBLE_DEVICES in the model's env"},
	{name: "model-unsupported", re: regexp.MustCompile(`Model architectures \[.*\] (?:are not supported|failed to be inspected)|does not recognize this architecture`),
		advice: "this vLLM (or its transformers) does not know the model: raise vllm_version, or loosen pip_constraints"},

	// Arguments.
	{name: "arguments", re: regexp.MustCompile(`(?i)(?:^|: )error: (unrecognized arguments: .+|argument \S+: .+|the following arguments are required: .+)`),
		advice: "this version of vLLM does not take that: correct extra_args and the parsers in the model file, or vllm_version"},
	{name: "parser", re: regexp.MustCompile(`(?i)invalid (?:tool call|reasoning) parser: (\S+)`),
		advice: "this version of vLLM has no parser of that name: correct tool_call_parser and reasoning_parser in the model file, or vllm_version"},
	{name: "tool-choice", re: regexp.MustCompile(`"auto" tool choice requires --enable-auto-tool-choice`),
		advice: "set enable_auto_tool_choice: true and a tool_call_parser in the model file"},
	{name: "port-taken", re: regexp.MustCompile(`(?i)address already in use`),
		advice: "another server holds the port on the machine: end it, or set serving.port in the benchmark"},

	// The Hub.
	{name: "hub-gated", re: regexp.MustCompile(`GatedRepoError|access a gated repo|Cannot access gated repo|not in the authorized list|awaiting a review`),
		advice: "accept the model's licence on its page at huggingface.co with your account, and set HF_TOKEN to a token of that account that may read gated repos"},
	{name: "hub-missing", re: regexp.MustCompile(`RepositoryNotFoundError|Repository Not Found|is not a local folder and is not a valid model identifier|RevisionNotFoundError`),
		advice: "there is no such repo, or HF_TOKEN may not see it: check model: in the model file, and set HF_TOKEN for a private one"},
	{name: "hub-rate", re: regexp.MustCompile(`429 Client Error|Too Many Requests`),
		advice: "Hugging Face limits this machine's address: set HF_TOKEN, which has a limit of its own, or wait some minutes"},
	{name: "hub-unauthorized", re: regexp.MustCompile(`401 Client Error|Invalid credentials in Authorization header|Invalid user token`),
		advice: "Hugging Face does not accept the token, or wants one: set HF_TOKEN to a valid one (huggingface.co/settings/tokens)"},
	{name: "hub-forbidden", re: regexp.MustCompile(`403 Client Error|403 Forbidden`),
		advice: "Hugging Face refuses this token: accept the model's licence on its page, and give HF_TOKEN the right to read gated repos"},
	{name: "hub-not-found", re: regexp.MustCompile(`404 Client Error|EntryNotFoundError`),
		advice: "a file of the model is not there: check model: in the model file"},

	// The machine.
	{name: "disk-full", re: regexp.MustCompile(`(?i)No space left on device|Not enough (?:free )?disk space|Disk quota exceeded`),
		advice: "the weights and vLLM need more disk: raise container_disk_gb in the model file, or take a larger volume"},
	{name: "driver", re: regexp.MustCompile(`(?i)CUDA driver version is insufficient|NVIDIA driver on your system is too old|forward compatibility was attempted|no kernel image is available`),
		advice: "the machine's driver is too old for this build of vLLM: take another machine, or a vllm_version and image for an older CUDA"},
	{name: "cuda-mismatch", re: regexp.MustCompile(`lib(?:cudart|cublas|cudnn|nvrtc)\w*\.so[\d.]*: cannot open shared object file|undefined symbol: \S*(?:cuda|c10)\S*`),
		advice: "vLLM was built for another CUDA or torch than the image has: match image and vllm_version, or give pip_extra_index_url for the image's CUDA"},
	{name: "gpu-lost", re: regexp.MustCompile(`(?i)GPU is lost|CUDA error: (?:unknown error|an illegal memory access|uncorrectable ECC|device-side assert)|No CUDA GPUs are available|CUDA-capable device\(s\) is/are busy`),
		advice: "the GPU does not work: take another machine"},
	{name: "nccl", re: regexp.MustCompile(`NCCL error|ncclUnhandledCudaError|ncclSystemError|ncclInternalError`),
		advice: `the GPUs cannot talk to each other: set NCCL_P2P_DISABLE: "1" in the model's env, or --disable-custom-all-reduce in extra_args, or take another machine`},
	{name: "gpu-memory", re: regexp.MustCompile(`OutOfMemoryError: CUDA out of memory|CUDA out of memory\. Tried to allocate|CUDA error: out of memory`),
		advice: "the model does not fit: take more GPUs, a smaller quant or a larger card; where the weights did fit, lower gpu_memory_utilization or serving.max_num_batched_tokens"},
	{name: "host-memory", re: regexp.MustCompile(`DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|^MemoryError\b|std::bad_alloc`),
		advice: "the machine has too little memory (RAM) for the model: take another one"},

	// The install.
	{name: "pip-missing", re: regexp.MustCompile(`No matching distribution found for (\S+)|Could not find a version that satisfies the requirement (\S+)|there is no version of (\S+)`),
		advice: "the package index has no $1$2$3 for this Python: check vllm_version, pip_constraints and pip_extra_index_url in the model file, and the image's Python"},
	{name: "pip-conflict", re: regexp.MustCompile(`ResolutionImpossible|No solution found when resolving dependencies|conflicting dependencies`),
		advice: "vllm_version and pip_constraints in the model file contradict each other"},
	{name: "pip-venv", re: regexp.MustCompile(`ensurepip is not available|No module named venv|No module named 'venv'|python3: (?:command )?not found`),
		advice: "the image has no usable Python: choose one with python3-venv, or one with the pinned vLLM (image in the model file)"},
	{name: "network", re: regexp.MustCompile(`Temporary failure in name resolution|Name or service not known|Network is unreachable|Max retries exceeded|ConnectTimeout`),
		advice: "the machine does not reach the internet: take another one"},

	// What only says that it failed; the last row.
	{name: "engine", general: true, re: regexp.MustCompile(`EngineCore failed to start|Engine core initialization failed|EngineDeadError|EngineCore encountered a fatal error`),
		advice: "the cause stands above in the log"},
}

// Diagnose finds the cause of a failure in lines of vLLM's log. Only what says
// that it is an error, or says nothing of its level (a traceback), counts: an
// INFO or WARNING that mentions a failure is none. Of several causes the more
// telling one is taken, of its lines the first.
func Diagnose(lines []string) (Cause, bool) {
	best := len(failures)
	var cause Cause
	for _, line := range lines {
		lvl, msg := split(line)
		if lvl == quiet || isBar(msg) {
			continue
		}
		for i, f := range failures[:best] {
			if m := f.re.FindStringSubmatchIndex(msg); m != nil {
				best, cause = i, f.cause(msg, m)
				break
			}
		}
	}
	return cause, best < len(failures)
}

// exceptionRE is the last line of a traceback that says what went wrong.
var exceptionRE = regexp.MustCompile(`^(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit): \S`)

// exception is the first exception that lines tell of and that is not merely
// the echo of another one; empty where there is none.
func exception(lines []string) string {
	for _, line := range lines {
		lvl, msg := split(line)
		if lvl == quiet || !exceptionRE.MatchString(msg) || failures[len(failures)-1].re.MatchString(msg) {
			continue
		}
		return clip(redact(msg), 600)
	}
	return ""
}

// cause is what a row says about a line that it matches.
func (f failure) cause(msg string, m []int) Cause {
	c := Cause{
		Name: f.name, general: f.general,
		Text:   clip(redact(strings.TrimSpace(msg)), 600),
		Advice: redact(string(f.re.ExpandString(nil, f.advice, msg, m))),
	}
	if i := f.re.SubexpIndex(maxLen); i > 0 {
		// vLLM writes some numbers with commas.
		n, err := strconv.Atoi(strings.ReplaceAll(msg[m[2*i]:m[2*i+1]], ",", ""))
		if err == nil {
			c.MaxModelLen = n
		}
	}
	return c
}
