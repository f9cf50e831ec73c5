package sim_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

// The cards and models of vllm-litellm.md §8.1 and §8.2, as configs/ has them.
var cards = map[string]compose.GPU{
	"a100-80gb":    {MemoryGB: 80, BandwidthGBs: 2039, BF16TFLOPS: 312, Interconnect: "nvlink3", Architecture: "ampere"},
	"l40s":         {MemoryGB: 48, BandwidthGBs: 864, BF16TFLOPS: 362, FP8TFLOPS: 733, Interconnect: "pcie4", Architecture: "ada"},
	"l4":           {MemoryGB: 24, BandwidthGBs: 300, BF16TFLOPS: 121, FP8TFLOPS: 242, Interconnect: "pcie4", Architecture: "ada"},
	"h100-sxm":     {MemoryGB: 80, BandwidthGBs: 3350, BF16TFLOPS: 989, FP8TFLOPS: 1979, Interconnect: "nvlink4", Architecture: "hopper"},
	"h200":         {MemoryGB: 141, BandwidthGBs: 4800, BF16TFLOPS: 989, FP8TFLOPS: 1979, Interconnect: "nvlink4", Architecture: "hopper"},
	"b200":         {MemoryGB: 180, BandwidthGBs: 7700, BF16TFLOPS: 2250, FP8TFLOPS: 4500, Interconnect: "nvlink5", Architecture: "blackwell"},
	"rtx-pro-6000": {MemoryGB: 96, BandwidthGBs: 1792, BF16TFLOPS: 468, FP8TFLOPS: 936, Interconnect: "pcie5", Architecture: "blackwell"},
}

func model(name, quant string) compose.Model {
	var a compose.Architecture
	switch name {
	case "qwen3-30b":
		a = compose.Architecture{ParamsB: 30.5, ActiveParamsB: 3.3, Layers: 48, Hidden: 2048, KVHeads: 4, HeadDim: 128, Experts: 128, ExpertsPerToken: 8, KVBytesPerToken: 98304}
	case "qwen3-14b":
		a = compose.Architecture{ParamsB: 14.8, ActiveParamsB: 14.8, Layers: 40, Hidden: 5120, KVHeads: 8, HeadDim: 128, KVBytesPerToken: 163840}
	case "llama-70b":
		a = compose.Architecture{ParamsB: 70.6, ActiveParamsB: 70.6, Layers: 80, Hidden: 8192, KVHeads: 8, HeadDim: 128, KVBytesPerToken: 327680}
	case "minimax-m2":
		a = compose.Architecture{ParamsB: 230, ActiveParamsB: 10, Layers: 62, Hidden: 3072, KVHeads: 8, HeadDim: 128, Experts: 256, ExpertsPerToken: 8, KVBytesPerToken: 253952}
	}
	a.WeightsGB = a.ParamsB * map[string]float64{"bf16": 2, "fp8": 1.02, "awq": 0.56}[quant]
	return compose.Model{Family: name, Quant: quant, Architecture: &a}
}

func roofline(t *testing.T, name, quant, card string, gpus int) *sim.Roofline {
	t.Helper()
	g := cards[card]
	r, err := sim.NewRoofline(model(name, quant), compose.Hardware{Key: card, GPU: &g}, gpus)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decode(n, context int) sim.Batch {
	return sim.Batch{Decode: n, DecodeTokens: n, DecodeContext: n * context, Samples: n}
}

// TestDecodeTable holds the step times against the rows of §8.4: kernel sums
// at 16k context per sequence, ms. The table has no CPU time; the model's is
// left in.
func TestDecodeTable(t *testing.T) {
	const context = 16384
	var out strings.Builder
	worst := 0.0
	for _, row := range []struct {
		model, quant, card string
		gpus               int
		ms                 [4]float64 // 1, 4, 16, 64 sequences
	}{
		{"qwen3-30b", "bf16", "a100-80gb", 1, [4]float64{7.5, 17, 38, 103}},
		{"qwen3-30b", "bf16", "h100-sxm", 1, [4]float64{5.6, 11, 24, 64}},
		{"qwen3-30b", "fp8", "h100-sxm", 1, [4]float64{5.3, 9, 20, 55}},
		{"qwen3-30b", "bf16", "h200", 1, [4]float64{4.8, 8.7, 19, 45}},
		{"qwen3-30b", "bf16", "b200", 1, [4]float64{3.4, 6.0, 12, 28}},
		{"qwen3-30b", "fp8", "l40s", 1, [4]float64{6.7, 25, 66, 204}},
		{"qwen3-30b", "bf16", "l40s", 2, [4]float64{5.8, 19, 45, 122}},
		{"qwen3-30b", "bf16", "rtx-pro-6000", 1, [4]float64{5.6, 19, 43, 116}},
		{"qwen3-30b", "fp8", "rtx-pro-6000", 1, [4]float64{5.8, 14, 33, 99}},
		{"qwen3-14b", "bf16", "a100-80gb", 1, [4]float64{22, 27, 49, 133}},
		{"qwen3-14b", "bf16", "h100-sxm", 1, [4]float64{12, 16, 29, 81}},
		{"qwen3-14b", "bf16", "l40s", 1, [4]float64{44, 57, 109, 310}},
		{"qwen3-14b", "fp8", "h100-sxm", 1, [4]float64{8.4, 11, 24, 76}},
		{"qwen3-14b", "fp8", "l40s", 1, [4]float64{29, 42, 91, 291}},
		{"qwen3-14b", "fp8", "rtx-pro-6000", 1, [4]float64{14, 20, 44, 140}},
		{"llama-70b", "bf16", "a100-80gb", 4, [4]float64{28, 31, 43, 87}},
		{"llama-70b", "bf16", "h100-sxm", 4, [4]float64{15, 17, 24, 51}},
		{"llama-70b", "fp8", "h100-sxm", 2, [4]float64{19, 22, 35, 87}},
		{"llama-70b", "fp8", "h200", 1, [4]float64{24, 29, 46, 119}},
		{"llama-70b", "fp8", "rtx-pro-6000", 1, [4]float64{60, 67, 115, 308}},
		{"minimax-m2", "fp8", "h100-sxm", 4, [4]float64{6.2, 10, 21, 49}},
		{"minimax-m2", "fp8", "h200", 4, [4]float64{6.0, 8.5, 17, 36}},
		{"minimax-m2", "fp8", "b200", 4, [4]float64{5.5, 7.2, 12, 25}},
	} {
		r := roofline(t, row.model, row.quant, row.card, row.gpus)
		fmt.Fprintf(&out, "%-10s %-4s %dx%-12s", row.model, row.quant, row.gpus, row.card)
		for i, n := range []int{1, 4, 16, 64} {
			got := float64(r.Step(decode(n, context))) / float64(time.Millisecond)
			off := got/row.ms[i] - 1
			worst = max(worst, math.Abs(off))
			fmt.Fprintf(&out, "  %6.1f/%-6.1f%+5.1f%%", got, row.ms[i], 100*off)
			if math.Abs(off) > 0.15 {
				t.Errorf("%s %s on %dx %s, %d sequences: %.1f ms, the table says %.1f", row.model, row.quant, row.gpus, row.card, n, got, row.ms[i])
			}
		}
		out.WriteByte('\n')
	}
	t.Logf("ms model/table at 1, 4, 16, 64 sequences; worst %.1f %%\n%s", 100*worst, out.String())
}

// TestDecodeL4: §8.4 has no L4. Decoding is bound by memory, so the
// expectation is the L40S row by the ratio of the bandwidths, 864/300; the
// floors, which do not scale, make the L4 a little faster than that. The
// weights would not fit; their speed is the point.
func TestDecodeL4(t *testing.T) {
	l4, l40s := roofline(t, "qwen3-30b", "fp8", "l4", 1), [3]float64{6.7, 25, 66}
	for i, n := range []int{1, 4, 16} {
		got, want := l4.Step(decode(n, 16384)).Seconds()*1e3, l40s[i]*864/300
		t.Logf("%d sequences: %.1f ms, expected %.1f (%+.1f %%)", n, got, want, 100*(got/want-1))
		if math.Abs(got/want-1) > 0.15 {
			t.Errorf("%d sequences: %.1f ms, want %.1f within 15 %%", n, got, want)
		}
	}
}

// TestPrefill holds prefill against §8.4's throughput, which counts linear
// layers only: within 25 %, as good as its round thousands.
func TestPrefill(t *testing.T) {
	for _, row := range []struct {
		model, quant, card string
		gpus, chunk        int
		perSecond          float64
	}{
		{"qwen3-30b", "bf16", "a100-80gb", 1, 2048, 19e3},
		{"qwen3-30b", "bf16", "a100-80gb", 1, 8192, 24e3},
		{"qwen3-30b", "fp8", "l40s", 1, 2048, 23e3},
		{"qwen3-30b", "fp8", "l40s", 1, 8192, 33e3},
		{"qwen3-30b", "bf16", "rtx-pro-6000", 1, 2048, 27e3},
		{"qwen3-30b", "bf16", "rtx-pro-6000", 1, 8192, 35e3},
		{"qwen3-30b", "bf16", "h100-sxm", 1, 2048, 52e3},
		{"qwen3-30b", "bf16", "h100-sxm", 1, 8192, 75e3},
		{"qwen3-30b", "bf16", "b200", 1, 2048, 120e3},
		{"qwen3-30b", "bf16", "b200", 1, 8192, 168e3},
		{"qwen3-14b", "bf16", "a100-80gb", 1, 2048, 10.5e3},
		{"qwen3-14b", "bf16", "l40s", 1, 2048, 8e3},
		{"qwen3-14b", "bf16", "h100-sxm", 1, 2048, 27e3},
		{"qwen3-14b", "bf16", "b200", 1, 2048, 55e3},
		{"llama-70b", "bf16", "a100-80gb", 4, 2048, 6.5e3},
		{"llama-70b", "fp8", "h100-sxm", 2, 2048, 14e3},
		{"llama-70b", "fp8", "rtx-pro-6000", 1, 2048, 5.5e3},
	} {
		r := roofline(t, row.model, row.quant, row.card, row.gpus)
		got := float64(row.chunk) / r.Step(sim.Batch{Prefill: row.chunk}).Seconds()
		t.Logf("%-9s %-4s %dx%-12s chunk %4d: %6.0f tok/s, §8.4 %6.0f (%+.0f %%)", row.model, row.quant, row.gpus, row.card, row.chunk, got, row.perSecond, 100*(got/row.perSecond-1))
		if math.Abs(got/row.perSecond-1) > 0.25 {
			t.Errorf("%s %s on %dx %s, chunk %d: %.0f tok/s, §8.4 says %.0f", row.model, row.quant, row.gpus, row.card, row.chunk, got, row.perSecond)
		}
	}
}

// TestStepGrows: more work never takes less time.
func TestStepGrows(t *testing.T) {
	for card := range cards {
		r := roofline(t, "qwen3-30b", "fp8", card, 1)
		if got, less := r.Step(decode(5, 1000)), r.Step(decode(4, 1000)); got < less {
			t.Errorf("%s: 5 sequences take %v, 4 take %v", card, got, less)
		}
		var last time.Duration
		for n := 1; n < 400; n += 7 {
			d := r.Step(sim.Batch{Prefill: n, PrefillPairs: int64(n) * int64(n) / 2, Samples: 1})
			if d < last {
				t.Errorf("%s: %d prompt tokens take %v, fewer took %v", card, n, d, last)
			}
			last = d
		}
	}
}

func TestRooflineRefuses(t *testing.T) {
	gpu := cards["l40s"]
	noLink := gpu
	noLink.Interconnect = "string"
	noBandwidth := gpu
	noBandwidth.BandwidthGBs = 0
	bare := model("qwen3-30b", "fp8")
	bare.Architecture = nil
	for name, c := range map[string]struct {
		m    compose.Model
		h    compose.Hardware
		gpus int
		want string
	}{
		"no architecture": {bare, compose.Hardware{Key: "l40s", GPU: &gpu}, 1, "architecture"},
		"no gpu":          {model("qwen3-30b", "fp8"), compose.Hardware{Key: "l40s"}, 1, "configs/hardware/l40s.yaml"},
		"no GPUs":         {model("qwen3-30b", "fp8"), compose.Hardware{Key: "l40s", GPU: &gpu}, 0, "at least 1"},
		"unknown link":    {model("qwen3-30b", "fp8"), compose.Hardware{Key: "l40s", GPU: &noLink}, 2, "nvlink4"},
		"no bandwidth":    {model("qwen3-30b", "fp8"), compose.Hardware{Key: "l40s", GPU: &noBandwidth}, 1, "gpu.bandwidth_gbs"},
	} {
		_, err := sim.NewRoofline(c.m, c.h, c.gpus)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}
