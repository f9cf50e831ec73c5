package configs_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
)

var update = flag.Bool("update", false, "write the golden file")

// scenario asks for what the shipped benchmarks ask for.
const scenario = `
name: load
devs: [4, 8]
slo: {max_ttft: 10, min_tps: 20}
serving: {max_model_len: 65536, max_num_seqs: 64}
task:
  phases: [{id: one, prompt: Do it., allowed_tools: [Write]}]
  gates: [{id: done, cmd: "true"}]
`

var layers = []compose.Layer{{Name: "configs", FS: configs.FS()}}

func merge(model, hardware, quant string, gpus int) (*compose.Run, error) {
	return compose.Merge(compose.Request{
		Configs:    layers,
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: fstest.MapFS{"load/scenario.yaml": {Data: []byte(scenario)}}}},
		Benchmark:  "load", Model: model, Hardware: hardware, Quant: quant, GPUs: gpus,
	})
}

// Everything that ships is listed with what it composes to, or why it does not.
func TestShippedCombinations(t *testing.T) {
	var b strings.Builder
	for _, family := range compose.Models(layers) {
		for _, hardware := range compose.HardwareNames(layers) {
			for _, gpus := range []int{1, 2, 4, 8} {
				fmt.Fprintf(&b, "%-13s %d × %-13s", family, gpus, hardware)
				run, err := merge(family, hardware, "", gpus)
				if err != nil {
					for _, f := range compose.Faults(err) {
						fmt.Fprintf(&b, "refused: %s\n", f.Msg)
					}
					continue
				}
				m, ok := run.Memory()
				if !ok {
					t.Errorf("%s on %s: its memory is not known", family, hardware)
				}
				fmt.Fprintf(&b, "%-5s context %6d, KV cache %5.1f GiB on each = %8d tokens, $%.2f/h\n",
					run.Model.Quant, run.Serving.MaxModelLen, m.KVGB()*1e9/(1<<30), m.KVTokens, run.CostPerHour())
			}
		}
	}
	const golden = "testdata/shipped.golden.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s differs (go test ./configs -update writes it; -want +got):\n%s", golden, diff)
	}
}

func TestShippedNames(t *testing.T) {
	if diff := cmp.Diff([]string{"glm-5.2", "llama3.3-70b", "minimax-m2", "qwen3-14b", "qwen3-coder"}, compose.Models(layers)); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a100-80gb", "a40", "b200", "h100-pcie", "h100-sxm", "h200", "l4", "l40s", "rtx-4090", "rtx-5090", "rtx-a5000", "rtx-pro-6000"},
		compose.HardwareNames(layers)); diff != "" {
		t.Errorf("hardware (-want +got):\n%s", diff)
	}
}

func TestQwen3CoderRunsOnEveryCard(t *testing.T) {
	for _, hardware := range compose.HardwareNames(layers) {
		if _, err := merge("qwen3-coder", hardware, "", 1); err != nil {
			t.Errorf("%s: %v", hardware, err)
		}
	}
}

func TestGLMRunsOnEightH200(t *testing.T) {
	if _, err := merge("glm-5.2", "h200", "", 8); err != nil {
		t.Error(err)
	}
	_, err := merge("glm-5.2", "h200", "", 4)
	if err == nil || !strings.Contains(err.Error(), "8 × h200") {
		t.Errorf("4 GPUs must be refused and 8 named: %v", err)
	}
}

func TestLlamaOn4090IsRefused(t *testing.T) {
	_, err := merge("llama3.3-70b", "rtx-4090", "", 1)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"configs/models/llama3.3-70b-awq.yaml:", "do not fit", "GiB", "4 × rtx-4090", "2 × a40"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestBF16IsRefusedWithTheVariantsThatExist(t *testing.T) {
	_, err := merge("qwen3-coder", "l40s", "bf16", 1)
	if want := `-quant: qwen3-coder has no variant "bf16"; there is awq, fp8, gptq`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// What vLLM printed at start-up in the original lab (lab.md §3), in GiB of KV
// cache, on a 24 GB card each.
func TestKVCacheAgreesWithRealStartups(t *testing.T) {
	for _, c := range []struct {
		hardware, quant string
		gib             float64
		longest         int // vLLM's own estimate; 0: not published
	}{
		{"rtx-a5000", "awq", 5.4, 0},
		{"rtx-a5000", "gptq", 4.03, 43968},
		{"l4", "awq", 3.95, 43168},
	} {
		run, err := merge("qwen3-coder", c.hardware, c.quant, 1)
		if err != nil {
			t.Errorf("%s %s: %v", c.hardware, c.quant, err)
			continue
		}
		m, _ := run.Memory()
		if got := m.KVGB() * 1e9 / (1 << 30); math.Abs(got/c.gib-1) > 0.03 {
			t.Errorf("%s %s: %.2f GiB of KV cache, vLLM had %.2f", c.hardware, c.quant, got, c.gib)
		}
		if c.longest > 0 && math.Abs(float64(m.KVTokens)/float64(c.longest)-1) > 0.03 {
			t.Errorf("%s %s: %d tokens fit, vLLM said %d", c.hardware, c.quant, m.KVTokens, c.longest)
		}
		if bytes := 65536 * m.KVBytesPerToken; bytes != 6<<30 {
			t.Errorf("65536 tokens take %d bytes, not 6 GiB", bytes)
		}
	}
}

// Caps are there because a card could not hold the whole context; one that no
// longer binds, or that is too high, is a mistake.
func TestCapsAreNeededAndSuffice(t *testing.T) {
	for _, hardware := range []string{"l4", "rtx-4090", "rtx-a5000"} {
		run, err := merge("qwen3-coder", hardware, "", 1)
		if err != nil {
			t.Error(err)
			continue
		}
		m, _ := run.Memory()
		if run.Serving.MaxModelLen >= 65536 || m.KVTokens < run.Serving.MaxModelLen || m.KVTokens >= 65536 {
			t.Errorf("%s: context %d, room for %d", hardware, run.Serving.MaxModelLen, m.KVTokens)
		}
	}
}

func TestEveryPriceHasADate(t *testing.T) {
	for _, hardware := range compose.HardwareNames(layers) {
		run, err := merge("qwen3-coder", hardware, "", 1)
		if err == nil && (run.Hardware.PriceAsOf == "" || run.CostPerHour() <= 0) {
			t.Errorf("%s: %v as of %q", hardware, run.CostPerHour(), run.Hardware.PriceAsOf)
		}
	}
}

// Every API that ships can be reckoned with, says when and where its prices
// were seen, and charges no more for a cached token than for a fresh one.
func TestShippedAPIs(t *testing.T) {
	list, err := compose.APIs(layers)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 3 {
		t.Fatalf("%d APIs", len(list))
	}
	for _, a := range list {
		if a.Input <= 0 || a.Output < a.Input || !strings.HasPrefix(a.Source, "https://") || a.AsOf < "2026-08-01" {
			t.Errorf("%s: %+v", a.Key, a)
		}
		if a.CacheRead != nil && *a.CacheRead >= a.Input {
			t.Errorf("%s: a cached token costs %v, a fresh one %v", a.Key, *a.CacheRead, a.Input)
		}
		if a.CacheWrite != nil && *a.CacheWrite < a.Input {
			t.Errorf("%s: writing to the cache costs %v, not doing so %v", a.Key, *a.CacheWrite, a.Input)
		}
	}
}
