package compose

import (
	"strconv"
	"strings"
)

// VLLMArgs is the argument list of the server: what follows "vllm serve". The
// first element is the model.
func (r *Run) VLLMArgs() []string {
	s := r.Serving
	args := []string{
		s.Model,
		"--host", s.Host,
		"--port", strconv.Itoa(s.Port),
		"--served-model-name", s.ServedModelName,
		"--download-dir", s.DownloadDir,
		"--gpu-memory-utilization", strconv.FormatFloat(s.GPUMemoryUtilization, 'f', -1, 64),
		"--max-model-len", strconv.Itoa(s.MaxModelLen),
		"--max-num-seqs", strconv.Itoa(s.MaxNumSeqs),
		// Without it an answer's usage does not say what the prefix cache held.
		"--enable-prompt-tokens-details",
	}
	if s.MaxNumBatchedTokens > 0 {
		args = append(args, "--max-num-batched-tokens", strconv.Itoa(s.MaxNumBatchedTokens))
	}
	args = append(args, "--tensor-parallel-size", strconv.Itoa(s.TensorParallelSize))
	for _, o := range []struct{ flag, value string }{
		{"--kv-cache-dtype", s.KVCacheDtype},
		{"--tool-call-parser", s.ToolCallParser},
		{"--reasoning-parser", s.ReasoningParser},
	} {
		if o.value != "" {
			args = append(args, o.flag, o.value)
		}
	}
	if s.EnableAutoToolChoice {
		args = append(args, "--enable-auto-tool-choice")
	}
	return append(args, s.ExtraArgs...)
}

// bigGPU is the memory from which vLLM takes a card for a data-centre one, in
// 10^9 bytes: 70 GiB.
const bigGPU = 70 * gib / 1e9

// MaxNumBatchedTokens is the token budget of one engine step: what is
// configured, else what vLLM takes by itself for an API server: 8192 on a GPU
// of 70 GiB or more that is not an A100, else 2048 (vllm-litellm.md §2.4). A
// hardware without gpu facts counts as a small one.
func (r *Run) MaxNumBatchedTokens() int {
	const small, big = 2048, 8192
	switch {
	case r.Serving.MaxNumBatchedTokens > 0:
		return r.Serving.MaxNumBatchedTokens
	case r.Hardware.GPU == nil || r.Hardware.GPU.MemoryGB < bigGPU:
		return small
	}
	for _, id := range r.Hardware.GPUTypeIDs {
		if strings.Contains(strings.ToLower(id), "a100") {
			return small
		}
	}
	return big
}
