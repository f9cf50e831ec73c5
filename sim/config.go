package sim

import (
	"fmt"

	"github.com/x/dail/compose"
)

// Config is what an engine is built from. [ConfigOf] makes one from a composed
// run; the zero values of the sizes are good for tests.
type Config struct {
	Step  StepModel // how long a step takes; required
	Model string    // served name: what requests must ask for, and the label model_name; "dail-sim" where empty

	KVTokens            int // KV cache, tokens; 0: eight requests of MaxModelLen
	BlockSize           int // tokens per KV block; 0: 16
	MaxNumSeqs          int // sequences in a step at most; 0: 256
	MaxNumBatchedTokens int // tokens in a step at most; 0: 2048
	MaxModelLen         int // prompt and output tokens of a request at most; 0: 65536

	Speculative compose.Speculative // zero: one token per sequence and step

	// Jitter is the standard deviation σ of the logarithm of a step's time
	// around the model's; the mean stays. 0: every step takes exactly the
	// model's time. A Pace is never jittered.
	Jitter float64
	// Seed is the seed of the jitter and of the speculation's luck: same seed,
	// same submissions, same bytes.
	Seed uint64

	// GPUMemoryUtilization and CacheDtype are only shown, in the labels of
	// vllm:cache_config_info.
	GPUMemoryUtilization float64
	CacheDtype           string
}

// withDefaults fills in what was left out, and refuses what cannot be served.
func (c Config) withDefaults() (Config, error) {
	if c.Step == nil {
		return c, fmt.Errorf("sim: Config.Step is nil; use NewRoofline or Fixed{TTFT: …, ITL: …}")
	}
	if v, ok := c.Step.(interface{ validate() error }); ok {
		if err := v.validate(); err != nil {
			return c, err
		}
	}
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Model == "" {
		c.Model = "dail-sim"
	}
	def(&c.BlockSize, 16)
	def(&c.MaxNumSeqs, 256)
	def(&c.MaxNumBatchedTokens, 2048)
	def(&c.MaxModelLen, 65536)
	def(&c.KVTokens, 8*c.MaxModelLen)
	for _, v := range []struct {
		name  string
		value int
	}{
		{"BlockSize", c.BlockSize}, {"MaxNumSeqs", c.MaxNumSeqs}, {"MaxNumBatchedTokens", c.MaxNumBatchedTokens},
		{"MaxModelLen", c.MaxModelLen}, {"KVTokens", c.KVTokens},
	} {
		if v.value < 1 {
			return c, fmt.Errorf("sim: Config.%s is %d; give at least 1, or 0 for the default", v.name, v.value)
		}
	}
	if c.MaxNumBatchedTokens < c.MaxNumSeqs {
		return c, fmt.Errorf("sim: max_num_batched_tokens (%d) must be greater than or equal to max_num_seqs (%d), as in vLLM; raise the first or lower the second",
			c.MaxNumBatchedTokens, c.MaxNumSeqs)
	}
	if s := c.Speculative; s.Tokens < 0 || s.Acceptance < 0 || s.Acceptance > 1 {
		return c, fmt.Errorf("sim: Config.Speculative is %+v; give tokens of 0 or more and an acceptance from 0 to 1", s)
	}
	if c.Jitter < 0 || c.Jitter > 1 {
		return c, fmt.Errorf("sim: Config.Jitter is %v; it is a standard deviation: give 0 (none) to 1", c.Jitter)
	}
	if _, paced := c.Step.(Pace); !paced && c.KVTokens/c.BlockSize*c.BlockSize < c.MaxModelLen {
		return c, fmt.Errorf("sim: the KV cache holds %d tokens, less than one request of max_model_len %d; lower max_model_len to %d or take a card with more memory",
			c.KVTokens, c.MaxModelLen, c.KVTokens/c.BlockSize*c.BlockSize)
	}
	return c, nil
}

// ConfigOf returns the engine of a composed run: the roofline of its model on
// its GPUs, the KV cache that compose.Run.Memory leaves, and vLLM's sizes. Its
// steps are jittered by 5 % with a fixed seed; change Jitter and Seed freely.
func ConfigOf(run *compose.Run) (Config, error) {
	s := run.Serving
	step, err := NewRoofline(run.Model, run.Hardware, s.TensorParallelSize)
	if err != nil {
		return Config{}, err
	}
	mem, ok := run.Memory()
	if !ok {
		return Config{}, fmt.Errorf("sim: the memory of %s-%s on %d× %s is not known; complete architecture in the model's file and gpu in configs/hardware/%s.yaml",
			run.Model.Family, run.Model.Quant, run.GPUs, run.Hardware.Key, run.Hardware.Key)
	}
	if mem.KVTokens < s.MaxModelLen {
		return Config{}, fmt.Errorf("sim: %s-%s on %d× %s leaves a KV cache of %d tokens, less than max_model_len %d, so vLLM would not start; lower max_model_len or take more memory",
			run.Model.Family, run.Model.Quant, run.GPUs, run.Hardware.Key, mem.KVTokens, s.MaxModelLen)
	}
	step.kvBytes = float64(mem.KVBytesPerToken) / step.layers // the run's own dtype of the cache
	cfg := Config{
		Step: step, Model: s.ServedModelName,
		KVTokens: mem.KVTokens, BlockSize: mem.BlockSize,
		MaxNumSeqs: s.MaxNumSeqs, MaxNumBatchedTokens: max(run.MaxNumBatchedTokens(), s.MaxNumSeqs), MaxModelLen: s.MaxModelLen,
		Jitter: 0.05, Seed: 1,
		GPUMemoryUtilization: s.GPUMemoryUtilization, CacheDtype: s.KVCacheDtype,
	}
	if run.Model.Speculative != nil {
		cfg.Speculative = *run.Model.Speculative
	}
	return cfg, nil
}
