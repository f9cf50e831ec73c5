package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/x/dail/compose"
)

// Roofline is the step time of a model on one or more GPUs of a kind: for each
// layer the weights that must be read and the arithmetic that must be done,
// the KV cache that attention reads, a floor, and what the GPUs say to one
// another (vllm-litellm.md §8.5, with the efficiencies of §8.3).
//
//	step = cpu + Σ layers [ weights(T) + attention + floor + 2·allreduce(T) ] + head
//
// T is the number of tokens in the step. A dense GEMM takes √(read² + compute²):
// between the maximum (perfect overlap) and the sum, and within 13 % of the
// BF16 efficiencies that §8.3 measures between 1 and 256 tokens. The experts of a
// MoE layer take the sum, since each expert's few tokens fill no tile; they
// read E·(1−(1−k/E)^T) experts, as many as T tokens choose on average.
//
// A Roofline is pure and safe for concurrent use.
type Roofline struct {
	// CPU is what the scheduler and the kernel launches add to each step. The
	// default of 0.25 ms is what stays visible with asynchronous scheduling.
	CPU time.Duration

	layers  float64
	gpus    int
	link    link
	hidden  float64
	moe     bool
	experts float64 // all
	chosen  float64 // per token
	gemms   float64 // per layer, without the experts

	bandwidth float64 // bytes/µs, one GPU
	l2        float64 // bytes, one GPU
	eff       efficiency

	denseBytes, denseFLOP   float64 // weights without experts: per layer and GPU; FLOP per token
	denseMBU, denseRate     float64 // rate: FLOP/µs
	denseFloor              float64 // µs per layer
	expertBytes, expertFLOP float64 // one expert of one layer on one GPU; FLOP per token, all chosen
	expertMBU, expertRate   float64
	expertFloor             float64

	kvBytes  float64 // per token, layer and GPU
	pairFLOP float64 // prefill attention: per (query, key) pair, layer and GPU
	pairRate float64

	headRead, headFLOP, headRate float64 // bytes per GPU; FLOP per sample and GPU
}

// NewRoofline returns the step model of a model variant on gpus GPUs, tensor
// parallel.
func NewRoofline(m compose.Model, h compose.Hardware, gpus int) (*Roofline, error) {
	a, g := m.Architecture, h.GPU
	switch {
	case a == nil:
		return nil, fmt.Errorf("sim: model %s-%s has no architecture facts, so its speed cannot be simulated; add \"architecture: {params_b, active_params_b, layers, hidden, kv_heads, head_dim, kv_bytes_per_token, weights_gb, …}\" to its file in configs/models", m.Family, m.Quant)
	case g == nil:
		return nil, fmt.Errorf("sim: hardware %s has no gpu facts, so its speed cannot be simulated; add \"gpu: {memory_gb, bandwidth_gbs, bf16_tflops, fp8_tflops, interconnect}\" to configs/hardware/%s.yaml", h.Key, h.Key)
	case gpus < 1:
		return nil, fmt.Errorf("sim: %d GPUs; give at least 1", gpus)
	}
	if missing := missingFacts(a, g); len(missing) > 0 {
		return nil, fmt.Errorf("sim: %s-%s on %s cannot be simulated: %s must be above 0; set it in configs/models or configs/hardware", m.Family, m.Quant, h.Key, strings.Join(missing, ", "))
	}
	moe := a.Experts > 0
	if moe && (a.ExpertsPerToken < 1 || a.ExpertsPerToken >= a.Experts) {
		return nil, fmt.Errorf("sim: model %s-%s has %d experts and experts_per_token %d; give at least 1 and fewer than experts in its architecture", m.Family, m.Quant, a.Experts, a.ExpertsPerToken)
	}
	l, ok := links[g.Interconnect]
	if !ok && gpus > 1 {
		return nil, fmt.Errorf("sim: hardware %s has the interconnect %q; known are nvlink3, nvlink4, nvlink5, pcie4, pcie5: set gpu.interconnect in configs/hardware/%s.yaml", h.Key, g.Interconnect, h.Key)
	}

	n := float64(gpus)
	eff := byCard[h.Key].withDefaults(g.Architecture)
	r := &Roofline{
		CPU: 250 * time.Microsecond, layers: float64(a.Layers), gpus: gpus, link: l, hidden: float64(a.Hidden), moe: moe,
		bandwidth: g.BandwidthGBs * 1e3, l2: 0.8 * eff.l2MB * 1e6, eff: eff,
	}
	r.weights(m.Quant, a, g, n)
	share := n
	if a.KVReplicated {
		share = 1
	} else {
		share = min(share, float64(max(a.KVHeads, 1)))
	}
	r.kvBytes = float64(a.KVBytesPerToken) / float64(a.Layers) / share

	// Two GEMMs, 2 FLOP each, over the width of the queries: that is the
	// hidden size in dense models and about twice that in MoE ones (Qwen3,
	// MiniMax-M2: 2; GLM-4.6: 2.4).
	width := r.hidden
	if moe {
		width *= 2
	}
	r.pairFLOP = 4 * width / n
	r.pairRate = attentionMFU * g.BF16TFLOPS * 1e6

	r.headRead = vocab * r.hidden * headBytes / n
	r.headFLOP = 2 * vocab * r.hidden / n
	r.headRate = eff.mfu16 * g.BF16TFLOPS * 1e6
	return r, nil
}

func missingFacts(a *compose.Architecture, g *compose.GPU) []string {
	var missing []string
	for name, v := range map[string]float64{
		"architecture.params_b": a.ParamsB, "architecture.active_params_b": a.ActiveParamsB, "architecture.layers": float64(a.Layers),
		"architecture.hidden": float64(a.Hidden), "architecture.kv_bytes_per_token": float64(a.KVBytesPerToken), "architecture.weights_gb": a.WeightsGB,
		"gpu.bandwidth_gbs": g.BandwidthGBs, "gpu.bf16_tflops": g.BF16TFLOPS,
	} {
		if v <= 0 {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// weights splits the parameters into experts and the rest, and chooses the
// kernels' efficiencies by how the weights are stored.
//
// With E experts of which a token visits k, all = rest + X and
// active = rest + X·k/E, so X = (all − active)/(1 − k/E).
func (r *Roofline) weights(quant string, a *compose.Architecture, g *compose.GPU, gpus float64) {
	all, active := a.ParamsB*1e9, a.ActiveParamsB*1e9
	embedding := vocab * r.hidden
	var experts float64
	if r.moe {
		r.experts, r.chosen = float64(a.Experts), float64(a.ExpertsPerToken)
		experts = (all - active) / (1 - r.chosen/r.experts)
	}
	// Neither the embedding (a table) nor the head (counted by itself) is a
	// layer's. Small models tie the two; those served here do not.
	rest := max(all-experts-2*embedding, 0)
	bytesPer := a.WeightsGB * 1e9 / all

	r.denseBytes = rest * bytesPer / r.layers / gpus
	r.denseFLOP = 2 * rest / r.layers / gpus
	r.gemms = 4
	if r.moe {
		r.gemms = 2
		r.expertBytes = experts * bytesPer / r.layers / r.experts / gpus
		r.expertFLOP = 2 * experts / r.layers / r.experts * r.chosen / gpus
	}
	eff := r.eff
	r.expertMBU, r.expertFloor = moeMBU, eff.moeFloor16
	bf16, fp8 := g.BF16TFLOPS*1e6, g.FP8TFLOPS*1e6
	r.denseMBU, r.denseRate, r.expertRate = eff.mbu16, eff.mfu16*bf16, eff.moeMFU16*bf16
	r.denseFloor = attentionFloor
	if r.moe {
		r.denseFloor = eff.layerFloor
	}
	switch {
	case quant == "fp8" && fp8 > 0:
		r.denseMBU, r.denseRate, r.expertRate = fp8MBU, eff.mfu8*fp8, eff.moeMFU8*fp8
		r.expertFloor = eff.moeFloor8
		if !r.moe {
			r.denseFloor += fp8Overhead * r.gemms
		}
	case quant == "fp8":
		r.denseMBU, r.expertMBU = weightOnlyMBU, weightOnlyMBU
	case bytesPer < 1: // 4 bit, whatever it is called
		r.denseMBU, r.expertMBU = int4MBU, int4MBU
	}
}

// Step implements [StepModel].
func (r *Roofline) Step(b Batch) time.Duration {
	us := r.layers*r.layer(b.Tokens(), b.DecodeContext, b.PrefillPairs) + r.head(b.Samples*(1+b.Draft))
	if b.Draft > 0 && b.Decode > 0 {
		// Multi-token prediction drafts one token after the other, each with
		// one layer and the head.
		us += float64(b.Draft) * (r.layer(b.Decode, b.DecodeContext, 0) + r.head(b.Decode))
	}
	return r.CPU + time.Duration(us*1e3)
}

// layer returns the µs of one layer for so many tokens.
func (r *Roofline) layer(tokens, context int, pairs int64) float64 {
	t := float64(tokens)
	us := r.denseFloor + r.link.allReduce(r.gpus, t*r.hidden*2)*2
	us += math.Hypot(r.denseBytes/(r.denseMBU*r.bandwidth), t*r.denseFLOP/r.denseRate)
	if r.moe {
		distinct := r.experts * (1 - math.Pow(1-r.chosen/r.experts, t))
		us += r.expertFloor + r.read(distinct*r.expertBytes, r.expertMBU) + t*r.expertFLOP/r.expertRate
	}
	us += float64(context) * r.kvBytes / (attentionMBU * r.bandwidth)
	us += float64(pairs) * r.pairFLOP / r.pairRate
	return us
}

// read returns the µs to read so many bytes of weights: faster where they fit
// the last-level cache, blending over the next quarter of its size.
func (r *Roofline) read(bytes, mbu float64) float64 {
	cold := bytes / (mbu * r.bandwidth)
	if r.l2 == 0 {
		return cold
	}
	hot := cold * moeMBU / hotReads // hotReads is against full bandwidth; a kernel that unpacks gains no more
	missed := min(max((bytes/r.l2-1)/0.25, 0), 1)
	return hot + missed*(cold-hot)
}

// head returns the µs of the LM head for so many rows.
func (r *Roofline) head(rows int) float64 {
	if rows == 0 {
		return 0
	}
	return math.Hypot(r.headRead/(r.eff.mbu16*r.bandwidth), float64(rows)*r.headFLOP/r.headRate)
}
