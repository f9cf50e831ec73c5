package sim

// efficiency is how much of a card's datasheet a kernel reaches. The figures
// are those of vllm-litellm.md §8.3: vLLM's own kernels, measured on each card
// (ai-dynamo/aiconfigurator), medians over weight shapes.
type efficiency struct {
	mbu16 float64 // BF16 GEMM: weight bytes ÷ time ÷ bandwidth, one token
	mfu16 float64 // BF16 GEMM: FLOP/s ÷ peak, 2048 tokens
	mfu8  float64 // FP8 GEMM, 2048 tokens; 0: the card has no FP8 units
	// moeMFU16 and moeMFU8 are those of the expert GEMMs, solved from the MoE
	// layer's time at 8192 tokens less the time to read all experts.
	moeMFU16, moeMFU8 float64
	// moeFloor16 and moeFloor8 are the time of a MoE layer that reads nothing.
	moeFloor16, moeFloor8 float64 // µs
	layerFloor            float64 // µs; attention, norms, routing, rotary embedding of a MoE layer
	// l2MB is the last-level cache, where it is large enough to matter; about
	// four fifths of it hold weights.
	l2MB float64
}

// byCard holds the cards that §8.3 measures, by the name of their file in
// configs/hardware, and the cache sizes of their relatives.
//
// mfu16, mfu8: the column m=2048. mbu16: the column m=1. The floors are solved
// from the MoE rows: a layer takes floor + bytes/(0.85·bandwidth), which meets
// the Qwen3 rows at 8 and 64 tokens within 13 % on every card. The rows of
// MiniMax-M2 and GLM-5.2 over 4 and 8 GPUs are up to a quarter slower at 8
// tokens than this says, and met at 64.
var byCard = map[string]efficiency{
	"a100-80gb":    {mbu16: 0.68, mfu16: 0.84, moeMFU16: 0.41},
	"l40s":         {mbu16: 0.84, mfu16: 0.65, mfu8: 0.47, moeMFU16: 0.54, moeMFU8: 0.33, moeFloor8: 14, l2MB: 96},
	"h100-sxm":     {mbu16: 0.77, mfu16: 0.82, mfu8: 0.54, moeMFU16: 0.50, moeMFU8: 0.23},
	"h100-pcie":    {mbu16: 0.77, mfu16: 0.82, mfu8: 0.54, moeMFU16: 0.50, moeMFU8: 0.23},
	"h200":         {mbu16: 0.71, mfu16: 0.82, mfu8: 0.60, moeMFU16: 0.56, moeMFU8: 0.25},
	"b200":         {mbu16: 0.64, mfu16: 0.68, mfu8: 0.42, moeMFU16: 0.50, moeMFU8: 0.39, moeFloor16: 8, moeFloor8: 18},
	"rtx-pro-6000": {mbu16: 0.81, mfu16: 0.82, mfu8: 0.72, moeMFU16: 0.43, moeMFU8: 0.30, l2MB: 128},
	"rtx-4090":     {mbu16: 0.84, moeFloor8: 14, l2MB: 72}, // Ada, as L40S; caches from the datasheets
	"l4":           {mbu16: 0.84, moeFloor8: 14, l2MB: 48},
	"rtx-5090":     {mbu16: 0.81, l2MB: 96}, // Blackwell, as RTX PRO 6000
}

// byArchitecture fills in what is not known of a card; §8.5's defaults, and
// the floor of a MoE layer: 36 µs beside the experts on Ampere, Hopper and
// Blackwell alike (solved from §8.4's A100, H100, H200 and B200 rows), 0.7 of
// everything on Ada (L40S), whose clock is that much higher.
func (e efficiency) withDefaults(architecture string) efficiency {
	scale := 1.0
	if architecture == "ada" {
		scale = 0.7
	}
	def := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&e.mbu16, 0.70)
	def(&e.mfu16, 0.65)
	def(&e.mfu8, 0.50)
	def(&e.moeMFU16, 0.40)
	def(&e.moeMFU8, 0.27)
	def(&e.moeFloor16, 20*scale)
	def(&e.moeFloor8, 30*scale)
	def(&e.layerFloor, 36*scale)
	return e
}

// Efficiencies that hold for every card.
const (
	// moeMBU: bytes of experts ÷ (time − floor) ÷ bandwidth, §8.3's MoE rows.
	moeMBU = 0.85
	// FP8 GEMMs read as fast as this, and each takes fp8Overhead µs more, for
	// the quantisation of its input. §8.3's single median per card (0.48 on
	// H200, 0.69 on L40S) mixes the two: with 0.48, Llama-70B on one H200
	// would take 32 ms, not the 24 of §8.4; with both, every FP8 row of §8.4
	// is met, since its GEMMs are large there.
	fp8MBU      = 0.75
	fp8Overhead = 9.0 // µs per GEMM; solved from Hopper rows, kept for the others
	// int4MBU is that of 4-bit weights including their unpacking, §8.5.
	int4MBU = 0.40
	// weightOnlyMBU is that of FP8 weights on a card without FP8 units, which
	// unpacks them (Marlin): §8.5's figure for FP8.
	weightOnlyMBU = 0.55
	// attentionMBU: KV bytes ÷ time ÷ bandwidth at a large batch, §8.3. The
	// lower figure for one sequence is the floor's doing.
	attentionMBU   = 0.75
	attentionFloor = 10.0 // µs per dense layer; a MoE layer has it in layerFloor
	attentionMFU   = 0.50 // prefill attention against BF16 peak; estimate
	// hotReads: weights that fit the last-level cache are read this much
	// faster (L40S and RTX PRO 6000 at one token in §8.3: 25 to 40 µs where
	// the memory alone would need 35 to 100). The tables were measured with
	// the same experts again and again; a real model changes them, so a single
	// stream on these cards is somewhat slower than they say.
	hotReads = 4.0

	headBytes = 2      // the LM head stays BF16 in every quantisation
	vocab     = 151936 // Qwen3's; the others lie between 128k and 200k, and the head is a few per cent of a step
)

// link is what connects the GPUs of a tensor-parallel group. An all-reduce
// takes latency + 2(n−1)/n·bytes/bandwidth, solved from §8.3's all-reduce
// figures at few and at 16M elements.
type link struct {
	latency func(gpus int) float64 // µs
	gbs     float64                // for long messages
	shortKB float64                // messages up to this many kB …
	short   float64                // … go at this many GB/s
}

func steps(two, four, eight float64) func(int) float64 {
	return func(gpus int) float64 {
		switch {
		case gpus <= 2:
			return two
		case gpus <= 4:
			return four
		}
		return eight
	}
}

// links by compose.GPU.Interconnect. The 3.5 GB/s of PCIe 4 is the L40S
// figure (13.6 ms for 32 MB on four cards): it makes prefill over TP collapse
// there. The source doubts that it is general, and so do we; nothing better
// was measured.
var links = map[string]link{
	"nvlink3": {latency: steps(6, 6, 8), gbs: 167},
	"nvlink4": {latency: steps(6, 6, 8), gbs: 251},
	"nvlink5": {latency: steps(6, 6, 8), gbs: 500},
	"pcie5":   {latency: steps(6, 13, 26), gbs: 27},
	"pcie4":   {latency: steps(6, 14, 27), gbs: 3.5, shortKB: 256, short: 26},
}

// allReduce returns the µs of one all-reduce of so many bytes.
func (l link) allReduce(gpus int, bytes float64) float64 {
	if gpus < 2 {
		return 0
	}
	moved := 2 * float64(gpus-1) / float64(gpus) * bytes
	if bytes <= l.shortKB*1e3 {
		return l.latency(gpus) + moved/l.short/1e3
	}
	return l.latency(gpus) + moved/l.gbs/1e3
}
