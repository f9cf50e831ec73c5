package compose_test

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/x/dail/compose"
)

// rig is a run put together by hand: what Memory looks at and nothing else.
func rig(change func(r *compose.Run)) *compose.Run {
	r := &compose.Run{
		GPUs: 1,
		Model: compose.Model{Architecture: &compose.Architecture{
			Layers: 48, Hidden: 2048, KVHeads: 4, HeadDim: 128, KVBytesPerToken: 98304, WeightsGB: 16.94,
		}},
		Hardware: compose.Hardware{GPU: &compose.GPU{MemoryGB: 23.68}},
		Serving:  compose.Serving{GPUMemoryUtilization: 0.92, TensorParallelSize: 1},
	}
	if change != nil {
		change(r)
	}
	return r
}

func TestKVBytesPerToken(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *compose.Run)
		want   int
	}{
		"one GPU":                           {nil, 98304},
		"two GPUs halve it":                 {func(r *compose.Run) { r.Serving.TensorParallelSize = 2 }, 49152},
		"beyond the KV heads it stays":      {func(r *compose.Run) { r.Serving.TensorParallelSize = 8 }, 24576},
		"MLA is not divided":                {func(r *compose.Run) { r.Serving.TensorParallelSize = 8; r.Model.Architecture.KVReplicated = true }, 98304},
		"serving asks for fp8":              {func(r *compose.Run) { r.Serving.KVCacheDtype = "fp8" }, 49152},
		"the model's own fp8 counts once":   {func(r *compose.Run) { r.Model.KVCacheDtype, r.Serving.KVCacheDtype = "fp8", "fp8_e4m3" }, 98304},
		"serving goes back to 16 bits":      {func(r *compose.Run) { r.Model.KVCacheDtype, r.Serving.KVCacheDtype = "fp8", "auto" }, 196608},
		"an unknown dtype changes nothing":  {func(r *compose.Run) { r.Serving.KVCacheDtype = "turboquant_k8v4" }, 98304},
		"a division that leaves a fraction": {func(r *compose.Run) { r.Serving.TensorParallelSize = 4; r.Model.Architecture.KVBytesPerToken = 101 }, 26},
	} {
		m, ok := rig(c.change).Memory()
		if !ok || m.KVBytesPerToken != c.want {
			t.Errorf("%s: %d (%v), want %d", name, m.KVBytesPerToken, ok, c.want)
		}
	}
}

func TestMemoryAddsUp(t *testing.T) {
	for _, tp := range []int{1, 2, 4, 8} {
		m, ok := rig(func(r *compose.Run) { r.Serving.TensorParallelSize = tp }).Memory()
		if !ok {
			t.Fatal("not known")
		}
		if math.Abs(m.UsableGB-0.92*23.68) > 1e-9 || math.Abs(m.WeightsGB-16.94/float64(tp)) > 1e-9 {
			t.Errorf("%d GPUs: %+v", tp, m)
		}
		if m.KVTokens%m.BlockSize != 0 {
			t.Errorf("%d tokens are not whole blocks of %d", m.KVTokens, m.BlockSize)
		}
		used := float64(m.KVTokens*m.KVBytesPerToken) / 1e9
		if used > m.KVGB() || m.KVGB()-used > float64(m.BlockSize*m.KVBytesPerToken)/1e9 {
			t.Errorf("%d GPUs: %v GB of cache in %v GB", tp, used, m.KVGB())
		}
	}
}

func TestMemoryIsNotKnownWithoutFacts(t *testing.T) {
	for name, change := range map[string]func(r *compose.Run){
		"no architecture": func(r *compose.Run) { r.Model.Architecture = nil },
		"no gpu":          func(r *compose.Run) { r.Hardware.GPU = nil },
		"zero run":        func(r *compose.Run) { *r = compose.Run{} },
	} {
		if m, ok := rig(change).Memory(); ok {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestMaxNumBatchedTokens(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *compose.Run)
		want   int
	}{
		"a small card":     {nil, 2048},
		"a big card":       {func(r *compose.Run) { r.Hardware.GPU.MemoryGB = 85 }, 8192},
		"70 GB is not GiB": {func(r *compose.Run) { r.Hardware.GPU.MemoryGB = 75 }, 2048},
		"an A100": {func(r *compose.Run) {
			r.Hardware.GPU.MemoryGB, r.Hardware.GPUTypeIDs = 85, []string{"NVIDIA A100 80GB PCIe"}
		}, 2048},
		"configured": {func(r *compose.Run) { r.Serving.MaxNumBatchedTokens = 4096 }, 4096},
		"no facts":   {func(r *compose.Run) { r.Hardware.GPU = nil }, 2048},
	} {
		if got := rig(c.change).MaxNumBatchedTokens(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// The refusals that vLLM would only speak after the pod is paid for.
func TestMisfits(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, config, bench fstest.MapFS, r *compose.Request)
		want   []string
	}{
		"the weights are too large": {
			func(_ *testing.T, _, _ fstest.MapFS, r *compose.Request) { r.Hardware, r.Quant = "small", "fp8" },
			[]string{"configs/models/coder-fp8.yaml:26: architecture.weights_gb:", "29.1 GiB of each GPU", "0.92 of the card's 22.1 GiB is 20.3 GiB",
				"1 × small with -quant awq", "2 × small (fp8, $0.78/h)", "1 × mid (fp8, $0.99/h)"},
		},
		"the context is too long": {
			func(t *testing.T, config, _ fstest.MapFS, r *compose.Request) {
				edit(t, config, "hardware/small.yaml", "max_model_len_cap: 40960\n", "")
				r.Hardware = "small"
			},
			[]string{"benchmarks/load/scenario.yaml:8: serving.max_model_len:", "65536 tokens: that needs 6.0 GiB", "4.0 GiB is left", "about 43216 tokens",
				"set serving.max_model_len to 43216 or less, or kv_cache_dtype to fp8", "2 × small (awq, $0.78/h)", "1 × mid (fp8, $0.99/h)"},
		},
		"MLA is not divided": {
			func(t *testing.T, config, bench fstest.MapFS, r *compose.Request) {
				edit(t, config, "models/coder-fp8.yaml", "  weights_gb: 31.2", "  weights_gb: 31.2\n  kv_replicated_over_tp: true")
				edit(t, bench, "load/scenario.yaml", "65536", "1000000")
				r.GPUs = 2
			},
			[]string{"which every GPU holds whole: MLA is not divided by more GPUs"},
		},
		"more GPUs than KV heads": {
			func(t *testing.T, config, bench fstest.MapFS, r *compose.Request) {
				edit(t, config, "models/coder-awq.yaml", "kv_heads: 4", "kv_heads: 2")
				edit(t, config, "models/coder-awq.yaml", "98304", "49152")
				edit(t, bench, "load/scenario.yaml", "65536", "8000000")
				r.GPUs, r.Quant = 8, "awq"
			},
			[]string{"divided by the 2 KV heads and not by 8 GPUs"},
		},
		"more sequences than tokens of a step": {
			func(_ *testing.T, _, _ fstest.MapFS, r *compose.Request) { r.Devs = []int{4096} },
			[]string{"serving.max_num_seqs: 4096 sequences at once are more than the 2048 tokens of an engine step", "set serving.max_num_batched_tokens to 4096 or more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compose.Merge(request(t, func(config, bench fstest.MapFS, r *compose.Request) { c.change(t, config, bench, r) }))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
		})
	}
}

// Without the facts the check cannot be made, and is not: a model whose card
// gives no architecture can still be tried.
func TestNoFactsNoRefusal(t *testing.T) {
	run := merge(t, func(config, _ fstest.MapFS, r *compose.Request) {
		text := string(config["models/coder-fp8.yaml"].Data)
		config["models/coder-fp8.yaml"] = &fstest.MapFile{Data: []byte(text[:strings.Index(text, "architecture:")])}
		r.Hardware, r.Quant = "small", "fp8"
	})
	if _, ok := run.Memory(); ok {
		t.Error("the memory of an unknown model is known")
	}
}
