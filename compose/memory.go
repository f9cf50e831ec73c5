package compose

import "math"

const gib = 1 << 30

// Memory is how the memory of one GPU of a run is divided, and what that
// leaves for the KV cache. All sizes are per GPU, in 10^9 bytes.
type Memory struct {
	TotalGB    float64 // what CUDA reports
	UsableGB   float64 // Total × gpu_memory_utilization
	WeightsGB  float64 // this GPU's share
	ReservedGB float64 // activations, context, NCCL

	// KVBytesPerToken is what one token's cache takes on each GPU, after
	// tensor parallelism; it is divided among GPUs by KV head, so there is no
	// gain beyond kv_heads GPUs, and none at all for MLA.
	KVBytesPerToken int
	KVTokens        int // tokens that the cache holds, whole blocks
	BlockSize       int // tokens in a block
}

// KVGB is the room for the KV cache on each GPU; not above 0 where the weights
// do not fit.
func (m Memory) KVGB() float64 { return m.UsableGB - m.WeightsGB - m.ReservedGB }

// The reserve is what vLLM's profiling run leaves out of the cache. It is not
// the flat 2-4 GB of vllm-litellm.md §8.5, which is right for dense models on
// data-centre cards and would leave a 24 GB card with nothing: the three known
// start-ups of the original lab (lab.md §3: A5000 5.4 GiB and 4.03 GiB, L4
// 3.95 GiB of KV cache) leave 0.55 GiB. Activations grow with the tokens of one
// step and with the hidden size; 40 bytes each meets these three, and gives
// 1.0 GiB for a 30B MoE and 2.9 GiB for a dense 70B at 8192 tokens a step.
const (
	blockSize           = 16 // vLLM's default on CUDA
	contextGB           = 0.4 * gib / 1e9
	activationBytes     = 40                                 // × tokens of a step × hidden
	nccl2GB, ncclMoreGB = 0.342 * 1.048576, 0.392 * 1.048576 // vllm-litellm.md §8.2: 342 and 392 MB
)

// Memory answers how much of each GPU is left for the KV cache; false where the
// model's architecture or the hardware's gpu facts are not known.
//
//	KV tokens = (utilization × memory − weights ÷ GPUs − reserve) ÷ bytes per token and GPU
func (r *Run) Memory() (Memory, bool) {
	a, g, s := r.Model.Architecture, r.Hardware.GPU, r.Serving
	if a == nil || g == nil || s.TensorParallelSize < 1 {
		return Memory{}, false
	}
	tp := float64(s.TensorParallelSize)
	m := Memory{
		TotalGB:    g.MemoryGB,
		UsableGB:   g.MemoryGB * s.GPUMemoryUtilization,
		WeightsGB:  a.WeightsGB / tp,
		ReservedGB: contextGB + float64(r.MaxNumBatchedTokens())*float64(a.Hidden)*activationBytes/1e9,
		BlockSize:  blockSize,
	}
	switch {
	case tp == 2:
		m.ReservedGB += nccl2GB
	case tp > 2:
		m.ReservedGB += ncclMoreGB
	}
	bytes := r.kvBytesPerToken()
	m.KVBytesPerToken = int(math.Ceil(bytes))
	blocks := math.Floor(m.KVGB() * 1e9 / float64(m.KVBytesPerToken) / blockSize)
	m.KVTokens = int(min(max(blocks, 0), 1<<40)) * blockSize
	return m, true
}

// kvBytesPerToken is one token's share of each GPU's cache. The architecture
// has it at the variant's own dtype; where serving.kv_cache_dtype differs, it
// is scaled.
func (r *Run) kvBytesPerToken() float64 {
	a := r.Model.Architecture
	bytes := float64(a.KVBytesPerToken)
	own, ok1 := dtypeBytes(r.Model.KVCacheDtype)
	now, ok2 := dtypeBytes(r.Serving.KVCacheDtype)
	if ok1 && ok2 {
		bytes *= now / own
	}
	if !a.KVReplicated {
		bytes /= float64(max(1, min(r.Serving.TensorParallelSize, a.KVHeads)))
	}
	return max(bytes, 1)
}
