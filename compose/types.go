package compose

import "io/fs"

// Model is one variant of a model family: the recipe by which it is served
// (configs/models/*.yaml).
type Model struct {
	Family               string            `yaml:"family"`
	Quant                string            `yaml:"quant"`
	Model                string            `yaml:"model"` // Hugging Face id
	ServedModelName      string            `yaml:"served_model_name"`
	VLLMVersion          string            `yaml:"vllm_version"`
	Image                string            `yaml:"image"`
	ContainerDiskGB      int               `yaml:"container_disk_gb"`
	PipConstraints       []string          `yaml:"pip_constraints,omitempty"`
	PipExtraIndexURL     string            `yaml:"pip_extra_index_url,omitempty"`
	ToolCallParser       string            `yaml:"tool_call_parser,omitempty"`
	ReasoningParser      string            `yaml:"reasoning_parser,omitempty"`
	EnableAutoToolChoice bool              `yaml:"enable_auto_tool_choice,omitempty"`
	KVCacheDtype         string            `yaml:"kv_cache_dtype,omitempty"`
	ExtraArgs            []string          `yaml:"extra_args,omitempty"`
	Env                  map[string]string `yaml:"env,omitempty"`
	MaxModelLenCap       int               `yaml:"max_model_len_cap,omitempty"`
	WeightsCached        bool              `yaml:"weights_cached,omitempty"`
	Architecture         *Architecture     `yaml:"architecture,omitempty"`
	Speculative          *Speculative      `yaml:"speculative,omitempty"`
}

// Architecture holds the facts of a model that its speed and its memory follow
// from. Sizes are of the variant as it is served.
type Architecture struct {
	ParamsB         float64 `yaml:"params_b"`        // billions, all
	ActiveParamsB   float64 `yaml:"active_params_b"` // billions, per token; equal to ParamsB for a dense model
	Layers          int     `yaml:"layers"`
	Hidden          int     `yaml:"hidden"`
	KVHeads         int     `yaml:"kv_heads"`
	HeadDim         int     `yaml:"head_dim"`
	Experts         int     `yaml:"experts,omitempty"`               // 0 for a dense model
	ExpertsPerToken int     `yaml:"experts_per_token,omitempty"`     // routed experts a token visits
	Heads           int     `yaml:"heads,omitempty"`                 // attention (query) heads; 0: not known, a GPU count is not checked against it
	ExpertSize      int     `yaml:"expert_size,omitempty"`           // intermediate size of one expert; 0: not known
	WeightBlock     int     `yaml:"weight_block,omitempty"`          // side of a quantisation block that tensor parallelism must not cut; 0: none
	KVBytesPerToken int     `yaml:"kv_bytes_per_token"`              // at the variant's kv_cache_dtype
	KVReplicated    bool    `yaml:"kv_replicated_over_tp,omitempty"` // MLA: every GPU holds the whole cache
	WeightsGB       float64 `yaml:"weights_gb"`                      // 10^9 bytes, all GPUs together
}

// Speculative describes multi-token prediction: Tokens are drafted per step,
// each accepted with probability Acceptance.
type Speculative struct {
	Tokens     int     `yaml:"tokens"`
	Acceptance float64 `yaml:"acceptance"`
}

// Hardware is one GPU type, priced per GPU (configs/hardware/*.yaml). Its key
// is the file's name.
type Hardware struct {
	Key                  string   `yaml:"-"`
	GPUTypeIDs           []string `yaml:"gpu_type_ids"`
	PriceUSDPerGPUHour   float64  `yaml:"price_usd_per_gpu_hour"`
	PriceAsOf            string   `yaml:"price_as_of,omitempty"` // YYYY-MM-DD, when the price was seen
	GPUMemoryUtilization float64  `yaml:"gpu_memory_utilization"`
	SupportedQuants      []string `yaml:"supported_quants"`
	Provider             string   `yaml:"provider,omitempty"`
	Instance             string   `yaml:"instance,omitempty"`
	MaxModelLenCap       int      `yaml:"max_model_len_cap,omitempty"`
	MaxUSDPerHour        float64  `yaml:"max_usd_per_hour,omitempty"`
	GPU                  *GPU     `yaml:"gpu,omitempty"`
}

// GPU holds the datasheet facts of one card: dense figures, FP32 accumulate.
type GPU struct {
	MemoryGB     float64 `yaml:"memory_gb"` // 10^9 bytes, what CUDA reports (ECC taken off), not what the box says
	BandwidthGBs float64 `yaml:"bandwidth_gbs"`
	BF16TFLOPS   float64 `yaml:"bf16_tflops"`
	FP8TFLOPS    float64 `yaml:"fp8_tflops,omitempty"`   // 0 where the card has no FP8 units
	Interconnect string  `yaml:"interconnect"`           // nvlink3 nvlink4 nvlink5 pcie4 pcie5
	Architecture string  `yaml:"architecture,omitempty"` // ampere ada hopper blackwell
}

// Benchmark is the task and how it is judged (benchmarks/<name>/scenario.yaml).
type Benchmark struct {
	Name            string           `yaml:"name"`
	Description     string           `yaml:"description"`
	Devs            []int            `yaml:"devs"`
	SLO             SLO              `yaml:"slo"`
	SaturationProbe *SaturationProbe `yaml:"saturation_probe,omitempty"`
	Serving         map[string]any   `yaml:"serving,omitempty"`
	Agent           AgentSettings    `yaml:"agent,omitempty"`
	Task            Task             `yaml:"task"`
	Cassette        string           `yaml:"cassette,omitempty"` // file beside the scenario

	// Dir is the benchmark's folder: phases, cassette, gate files.
	Dir fs.FS `yaml:"-"`
}

// SLO is what a developer must get. Percentile is p50 where it is not given.
type SLO struct {
	MaxTTFT    float64 `yaml:"max_ttft"` // s
	MinTPS     float64 `yaml:"min_tps"`  // tokens/s per stream, while decoding
	Percentile string  `yaml:"percentile,omitempty"`
}

// SaturationProbe is the shape of the Θmax measurement. It stands in the
// scenario, and is not taken from the levels of a run: a shape that followed
// their cache hits would be another one on every card, and Θmax with it.
type SaturationProbe struct {
	Concurrency  int `yaml:"concurrency"`   // streams at once
	DurationS    int `yaml:"duration_s"`    // s, of the steady window
	OutputTokens int `yaml:"output_tokens"` // per request
	PromptTokens int `yaml:"prompt_tokens"` // per request; ProbePromptRatio × OutputTokens where it is not given
}

// AgentSettings overrides how the agent is run.
type AgentSettings struct {
	Tools []string          `yaml:"tools,omitempty"` // narrows the tools offered to the model
	Env   map[string]string `yaml:"env,omitempty"`   // over the defaults of agents.ClaudeCode
	// Network gives agents in containers the engine's network; without it they
	// reach the gateway and nothing else.
	Network bool `yaml:"network,omitempty"`
}

// Task is what every agent does, and what its work is checked by.
type Task struct {
	Phases []Phase `yaml:"phases"`
	Gates  []Gate  `yaml:"gates"`
	// GateFiles names a folder beside the scenario whose files enter a copy of
	// the workspace when the gates run, and never before.
	GateFiles string `yaml:"gate_files,omitempty"`
}

// Phase is one headless session of the agent.
type Phase struct {
	ID           string   `yaml:"id"`
	Title        string   `yaml:"title"`
	Prompt       string   `yaml:"prompt"` // resolved: the text, also where the file named a file under phases/
	AllowedTools []string `yaml:"allowed_tools"`
	MaxTurns     int      `yaml:"max_turns"`           // model requests; 30 where it is not given
	TimeoutS     int      `yaml:"timeout_s,omitempty"` // wall clock; 1800 where it is not given
}

// Gate is one check of the work: a shell command at the workspace's root.
type Gate struct {
	ID          string `yaml:"id"`
	Description string `yaml:"description,omitempty"`
	Cmd         string `yaml:"cmd"`
	ExpectExit  int    `yaml:"expect_exit"`
	TimeoutS    int    `yaml:"timeout_s,omitempty"` // 300 where it is not given
}

// Serving is the flat configuration by which vLLM is started.
type Serving struct {
	Host                 string            `yaml:"host"`
	Port                 int               `yaml:"port"`
	DownloadDir          string            `yaml:"download_dir"`
	Model                string            `yaml:"model"`
	ServedModelName      string            `yaml:"served_model_name"`
	VLLMVersion          string            `yaml:"vllm_version"`
	GPUMemoryUtilization float64           `yaml:"gpu_memory_utilization"`
	MaxModelLen          int               `yaml:"max_model_len"`
	MaxNumSeqs           int               `yaml:"max_num_seqs"`
	MaxNumBatchedTokens  int               `yaml:"max_num_batched_tokens,omitempty"` // 0: vLLM's own default for the card
	TensorParallelSize   int               `yaml:"tensor_parallel_size"`
	KVCacheDtype         string            `yaml:"kv_cache_dtype,omitempty"`
	ToolCallParser       string            `yaml:"tool_call_parser,omitempty"`
	ReasoningParser      string            `yaml:"reasoning_parser,omitempty"`
	EnableAutoToolChoice bool              `yaml:"enable_auto_tool_choice,omitempty"`
	ExtraArgs            []string          `yaml:"extra_args,omitempty"`
	PipConstraints       []string          `yaml:"pip_constraints,omitempty"`
	PipExtraIndexURL     string            `yaml:"pip_extra_index_url,omitempty"`
	Env                  map[string]string `yaml:"env,omitempty"`
}

// Run is one composed benchmark × model × hardware: flat, validated, every
// key's origin known. It is what a pod consumes.
type Run struct {
	Benchmark Benchmark
	Model     Model
	Hardware  Hardware
	GPUs      int
	Devs      []int // ascending, distinct; the request's, or the scenario's
	Serving   Serving

	origins map[string]Origin
}

// Origin is where a value came from.
type Origin struct {
	File string // as it is shown: a path, or "constant", "derived", "flag"
	Line int    // 0 where File is not a file
	Note string // e.g. how a derived value was derived
}
