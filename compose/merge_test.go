package compose_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
)

// edit replaces text in a file of a test's copy.
func edit(t testing.TB, files fstest.MapFS, name, old, new string) {
	t.Helper()
	text := string(files[name].Data)
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	files[name] = &fstest.MapFile{Data: []byte(strings.Replace(text, old, new, 1)), Mode: 0o644}
}

func TestRequestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(req *compose.Request)
		want   string
	}{
		"unknown model":     {func(r *compose.Request) { r.Model = "coderr" }, `-model: no model family is called "coderr"; did you mean coder? there is coder`},
		"no model":          {func(r *compose.Request) { r.Model = "" }, `-model: no model family was named; there is coder`},
		"unknown hardware":  {func(r *compose.Request) { r.Hardware = "smal" }, `-hardware: no hardware is called "smal"; did you mean small? there is mid, small`},
		"no hardware":       {func(r *compose.Request) { r.Hardware = "" }, `-hardware: no hardware was named; there is mid, small`},
		"hardware is path":  {func(r *compose.Request) { r.Hardware = "../mid" }, `-hardware: no hardware is called "../mid"; there is mid, small`},
		"unknown benchmark": {func(r *compose.Request) { r.Benchmark = "lod" }, `-benchmark: no benchmark is called "lod"; did you mean load? there is load`},
		"no benchmark":      {func(r *compose.Request) { r.Benchmark = "" }, `-benchmark: no benchmark was named; there is load`},
		"missing path":      {func(r *compose.Request) { r.Benchmark = "./nowhere.yaml" }, `-benchmark: ./nowhere.yaml: it cannot be read: no such file or directory; check that it is there, and who may read it; give a benchmark's name, its folder, or its scenario.yaml`},
		"quant of no file":  {func(r *compose.Request) { r.Quant = "bf16" }, `-quant: coder has no variant "bf16"; there is awq, fp8`},
		"quant misspelt":    {func(r *compose.Request) { r.Quant = "fp9" }, `-quant: coder has no variant "fp9"; did you mean fp8? there is awq, fp8`},
		"no GPU":            {func(r *compose.Request) { r.GPUs = 0 }, `-gpus: 0 GPUs cannot serve anything; give at least 1`},
		"minus one GPU":     {func(r *compose.Request) { r.GPUs = -1 }, `-gpus: -1 GPUs cannot serve anything; give at least 1`},
		"devs 0":            {func(r *compose.Request) { r.Devs = []int{4, 0} }, `-devs: 0 is no team size; a team has at least 1 developer`},
		"uneven GPUs":       {func(r *compose.Request) { r.GPUs = 3 }, `-gpus: coder-fp8 cannot be divided among 3 GPUs: its 32 attention heads are not divisible by 3; what would do: 1 × mid (fp8, $0.99/h), 1 × small (awq, $0.39/h)`},
		"experts cut":       {func(r *compose.Request) { r.GPUs = 4 }, `-gpus: coder-fp8 cannot be divided among 4 GPUs: its experts are 768 wide, and a part of 1/4 is not a multiple of the quantisation block 128, unless extra_args has --enable-expert-parallel; what would do: 4 × mid with -quant awq, 1 × mid (fp8, $0.99/h), 1 × small (awq, $0.39/h)`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compose.Merge(request(t, func(_, _ fstest.MapFS, r *compose.Request) { c.change(r) }))
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if f := compose.Faults(err); f[0].File != compose.FlagFile {
				t.Errorf("a fault of the request is said to lie in %q", f[0].File)
			}
		})
	}
}

func TestForcedQuantMustBeSupported(t *testing.T) {
	_, err := compose.Merge(request(t, func(config, _ fstest.MapFS, r *compose.Request) {
		edit(t, config, "hardware/mid.yaml", "[fp8, awq, bf16]", "[fp8, bf16]")
		r.Quant = "awq"
	}))
	if want := "-quant: mid does not serve awq (configs/hardware/mid.yaml:5); it serves fp8, bf16; of these coder has fp8"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNoVariantForTheHardware(t *testing.T) {
	_, err := compose.Merge(request(t, func(config, _ fstest.MapFS, _ *compose.Request) {
		edit(t, config, "hardware/mid.yaml", "[fp8, awq, bf16]", "[bf16, int3]")
	}))
	if want := "-model: coder has awq, fp8, and mid serves bf16, int3 (configs/hardware/mid.yaml:5); add a model file of the family with one of these quants, or choose a hardware that serves awq or fp8"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestQuantFollowsTheHardwaresOrder(t *testing.T) {
	for _, c := range []struct{ hardware, quant, want string }{
		{"mid", "", "fp8"}, {"mid", "awq", "awq"}, {"small", "", "awq"},
	} {
		run := merge(t, func(_, _ fstest.MapFS, r *compose.Request) { r.Hardware, r.Quant = c.hardware, c.quant })
		if run.Model.Quant != c.want {
			t.Errorf("%s with -quant %q: %s, want %s", c.hardware, c.quant, run.Model.Quant, c.want)
		}
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, err := compose.Merge(request(t, func(config, bench fstest.MapFS, r *compose.Request) {
		edit(t, config, "models/coder-fp8.yaml", "image: acme/pytorch:1\n", "colour: red\n")
		edit(t, config, "hardware/mid.yaml", "0.92", "92")
		edit(t, bench, "load/scenario.yaml", "max_model_len", "max_model_length")
		r.GPUs = 0
		r.Devs = []int{-3}
	}))
	var got []string
	for _, f := range compose.Faults(err) {
		got = append(got, f.File+" "+f.Key)
	}
	want := []string{
		"flag gpus", "flag devs",
		"benchmarks/load/scenario.yaml serving.max_model_length",
		"configs/models/coder-fp8.yaml colour", "configs/models/coder-fp8.yaml image",
		"configs/hardware/mid.yaml gpu_memory_utilization",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var first *compose.Error
	if !errors.As(err, &first) || first.Key != "gpus" {
		t.Errorf("errors.As gives %+v", first)
	}
}

func TestTwoFilesOfOneVariant(t *testing.T) {
	_, err := compose.Merge(request(t, func(config, _ fstest.MapFS, _ *compose.Request) {
		config["models/zz.yaml"] = config["models/coder-fp8.yaml"]
	}))
	want := "configs/models/zz.yaml:1:9: family: coder-fp8 is described already by configs/models/coder-fp8.yaml:1; remove one, or give it the other's file name in a later folder so that it takes its place"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLaterLayersShadowFileByFile(t *testing.T) {
	run := merge(t, func(config, bench fstest.MapFS, r *compose.Request) {
		mine := fstest.MapFS{"hardware/mid.yaml": config["hardware/mid.yaml"], "hardware/mine.yaml": config["hardware/mid.yaml"]}
		edit(t, mine, "hardware/mid.yaml", "0.99", "0.50")
		r.Configs = append(r.Configs, compose.Layer{Name: "/home/me/configs", FS: mine})
		r.Benchmarks = append(r.Benchmarks, compose.Layer{Name: "more", FS: fstest.MapFS{"other/scenario.yaml": bench["load/scenario.yaml"]}})
		if diff := cmp.Diff([]string{"mid", "mine", "small"}, compose.HardwareNames(r.Configs)); diff != "" {
			t.Errorf("hardware (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"load", "other"}, compose.BenchmarkNames(r.Benchmarks)); diff != "" {
			t.Errorf("benchmarks (-want +got):\n%s", diff)
		}
	})
	if run.CostPerHour() != 0.5 {
		t.Errorf("the price is %v, not the overlay's", run.CostPerHour())
	}
	if o, _ := run.Origin("hardware.price_usd_per_gpu_hour"); o.String() != "/home/me/configs/hardware/mid.yaml:2" {
		t.Errorf("the price came from %s", o)
	}
	if o, _ := run.Origin("model.quant"); o.String() != "configs/models/coder-fp8.yaml:2" {
		t.Errorf("the quant came from %s", o)
	}
}

func TestBenchmarkOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	if err := os.CopyFS(dir, os.DirFS("testdata/good/bench/load")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "scenario.yaml"), filepath.Join(dir, "big.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"testdata/good/bench/load", "testdata/good/bench/load/scenario.yaml", filepath.Join(dir, "big.yaml")} {
		run := merge(t, func(_, _ fstest.MapFS, r *compose.Request) { r.Benchmark = path })
		if !strings.HasPrefix(run.Benchmark.Task.Phases[0].Prompt, "Write docs/spec.md.") {
			t.Errorf("%s: the first prompt is %q", path, run.Benchmark.Task.Phases[0].Prompt)
		}
		if o, _ := run.Origin("benchmark.name"); !strings.HasPrefix(o.File, strings.TrimSuffix(path, ".yaml")) {
			t.Errorf("%s: the name came from %s", path, o)
		}
		if _, err := run.Benchmark.Dir.Open("cassette.yaml"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDefaultsOfAScenario(t *testing.T) {
	b := merge(t, nil).Benchmark
	type phase struct {
		title          string
		turns, timeout int
	}
	got := []phase{}
	for _, p := range b.Task.Phases {
		got = append(got, phase{p.Title, p.MaxTurns, p.TimeoutS})
	}
	want := []phase{{"Write the specification", 8, 1800}, {"implement", 30, 600}}
	if !slices.Equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
	if b.Task.Gates[0].TimeoutS != 300 || b.Task.Gates[1].TimeoutS != 120 || b.Task.Gates[1].ExpectExit != 0 {
		t.Errorf("gates %+v", b.Task.Gates)
	}
	if b.SLO.Percentile != "p50" {
		t.Errorf("percentile %q", b.SLO.Percentile)
	}
}

func TestDevs(t *testing.T) {
	run := merge(t, func(_, _ fstest.MapFS, r *compose.Request) { r.Devs = []int{32, 16, 128, 16} })
	if !slices.Equal(run.Devs, []int{16, 32, 128}) || run.Serving.MaxNumSeqs != 128 {
		t.Errorf("devs %v, max_num_seqs %d", run.Devs, run.Serving.MaxNumSeqs)
	}
	if o, _ := run.Origin("devs"); o.File != compose.FlagFile {
		t.Errorf("devs came from %s", o)
	}
	if run := merge(t, nil); !slices.Equal(run.Devs, []int{4, 8}) {
		t.Errorf("the scenario's devs are %v", run.Devs)
	}
}

func TestPrecedence(t *testing.T) {
	run := merge(t, func(_, bench fstest.MapFS, r *compose.Request) {
		edit(t, bench, "load/scenario.yaml", "max_num_seqs: 64", `port: 9000
  gpu_memory_utilization: 0.8
  tool_call_parser: hermes
  extra_args: [--stream-interval, "4"]
  env: {A: "1"}
  tensor_parallel_size: 2
  max_num_batched_tokens: 4096`)
		r.GPUs = 2
	})
	want := compose.Serving{
		Host: "127.0.0.1", Port: 9000, DownloadDir: "/workspace/huggingface", // constants, one of them overridden
		Model: "Acme/Coder-30B-FP8", ServedModelName: "coder-30b-fp8", VLLMVersion: "0.11.0", // the model's
		GPUMemoryUtilization: 0.8, // the hardware's, overridden
		MaxModelLen:          65536, MaxNumSeqs: 8, MaxNumBatchedTokens: 4096, TensorParallelSize: 2,
		ToolCallParser: "hermes", EnableAutoToolChoice: true, ExtraArgs: []string{"--stream-interval", "4"},
		PipConstraints: []string{"transformers<5"}, Env: map[string]string{"A": "1"},
	}
	if diff := cmp.Diff(want, run.Serving); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if keys := slices.Sorted(maps.Keys(run.Benchmark.Serving)); len(keys) != 8 {
		t.Errorf("the record of serving: has %v", keys)
	}
}

func TestMaxNumSeqs(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     int
		note     string
	}{
		"serving is above devs":   {"", "", 64, "serving.max_num_seqs, benchmarks/load/scenario.yaml:9, is above the largest team 8"},
		"devs are above serving":  {"max_num_seqs: 64", "max_num_seqs: 2", 8, "the largest team: devs, benchmarks/load/scenario.yaml:3"},
		"the probe is above both": {"serving:", "saturation_probe: {concurrency: 96, duration_s: 1, output_tokens: 1}\nserving:", 96, "saturation_probe.concurrency, benchmarks/load/scenario.yaml:7"},
	} {
		t.Run(name, func(t *testing.T) {
			run := merge(t, func(_, bench fstest.MapFS, _ *compose.Request) {
				if c.old != "" {
					edit(t, bench, "load/scenario.yaml", c.old, c.new)
				}
			})
			o, ok := run.Origin("serving.max_num_seqs")
			if run.Serving.MaxNumSeqs != c.want || !ok || o.File != "derived" || o.Note != c.note {
				t.Errorf("%d from %s", run.Serving.MaxNumSeqs, o)
			}
		})
	}
}

// A probe is the scenario's, or the default one where the request asks for one
// and there is none; without the request's word the scenario's stands.
func TestSaturationProbe(t *testing.T) {
	const written = "saturation_probe: {concurrency: 96, duration_s: 30, output_tokens: 100}\nserving:"
	for name, c := range map[string]struct {
		scenario string
		asked    bool
		want     *compose.SaturationProbe
		seqs     int
		origin   string
	}{
		"none":                 {"", false, nil, 64, ""},
		"the request's":        {"", true, &compose.SaturationProbe{Concurrency: 64, DurationS: 120, OutputTokens: 256, PromptTokens: 768}, 64, "flag (-probe; the scenario has none)"},
		"the scenario's":       {written, false, &compose.SaturationProbe{Concurrency: 96, DurationS: 30, OutputTokens: 100, PromptTokens: 300}, 96, "benchmarks/load/scenario.yaml:7"},
		"both: the scenario's": {written, true, &compose.SaturationProbe{Concurrency: 96, DurationS: 30, OutputTokens: 100, PromptTokens: 300}, 96, "benchmarks/load/scenario.yaml:7"},
		"a shape of its own": {"saturation_probe: {concurrency: 8, duration_s: 30, output_tokens: 100, prompt_tokens: 5000}\nserving:", false,
			&compose.SaturationProbe{Concurrency: 8, DurationS: 30, OutputTokens: 100, PromptTokens: 5000}, 64, "benchmarks/load/scenario.yaml:7"},
		"small is a block all the same": {"saturation_probe: {concurrency: 8, duration_s: 30, output_tokens: 1}\nserving:", false,
			&compose.SaturationProbe{Concurrency: 8, DurationS: 30, OutputTokens: 1, PromptTokens: 32}, 64, "benchmarks/load/scenario.yaml:7"},
	} {
		t.Run(name, func(t *testing.T) {
			run := merge(t, func(_, bench fstest.MapFS, r *compose.Request) {
				r.Probe = c.asked
				if c.scenario != "" {
					edit(t, bench, "load/scenario.yaml", "serving:", c.scenario)
				}
			})
			if diff := cmp.Diff(c.want, run.Benchmark.SaturationProbe); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if run.Serving.MaxNumSeqs != c.seqs {
				t.Errorf("max_num_seqs %d, want %d", run.Serving.MaxNumSeqs, c.seqs)
			}
			if o, ok := run.Origin("benchmark.saturation_probe.concurrency"); ok != (c.want != nil) || ok && o.String() != c.origin {
				t.Errorf("from %q, want %q", o, c.origin)
			}
		})
	}
}

// The default probe in a context that does not hold it is the flag's fault.
func TestProbeBeyondTheContext(t *testing.T) {
	_, err := compose.Merge(request(t, func(_, bench fstest.MapFS, r *compose.Request) {
		r.Probe = true
		edit(t, bench, "load/scenario.yaml", "65536", "1000")
	}))
	if err == nil || !strings.Contains(err.Error(), "768 prompt and 256 output tokens are more than max_model_len, which is 1000") || !strings.Contains(err.Error(), "probe") {
		t.Errorf("%v", err)
	}
}

func TestContextCaps(t *testing.T) {
	capModel := func(t *testing.T, config fstest.MapFS, n string) {
		edit(t, config, "models/coder-awq.yaml", "architecture:", "max_model_len_cap: "+n+"\narchitecture:")
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, config, bench fstest.MapFS)
		want   int
		origin string
	}{
		"the hardware caps": {nil, 40960, "configs/hardware/small.yaml:5 (the cap; benchmarks/load/scenario.yaml:8 asks for 65536)"},
		"the model caps further": {func(t *testing.T, config, _ fstest.MapFS) { capModel(t, config, "32768") }, 32768,
			"configs/models/coder-awq.yaml:13 (the cap; benchmarks/load/scenario.yaml:8 asks for 65536)"},
		"the model's cap is above": {func(t *testing.T, config, _ fstest.MapFS) { capModel(t, config, "262144") }, 40960,
			"configs/hardware/small.yaml:5 (the cap; benchmarks/load/scenario.yaml:8 asks for 65536)"},
		"less is asked for": {func(t *testing.T, _, bench fstest.MapFS) { edit(t, bench, "load/scenario.yaml", "65536", "16384") }, 16384,
			"benchmarks/load/scenario.yaml:8"},
		"nothing is asked for": {func(t *testing.T, _, bench fstest.MapFS) {
			edit(t, bench, "load/scenario.yaml", "  max_model_len: 65536\n", "")
		}, 40960, "configs/hardware/small.yaml:5 (the cap; the scenario asks for none)"},
	} {
		t.Run(name, func(t *testing.T) {
			run := merge(t, func(config, bench fstest.MapFS, r *compose.Request) {
				r.Hardware = "small"
				if c.change != nil {
					c.change(t, config, bench)
				}
			})
			o, _ := run.Origin("serving.max_model_len")
			if run.Serving.MaxModelLen != c.want || o.String() != c.origin {
				t.Errorf("%d from %s, want %d from %s", run.Serving.MaxModelLen, o, c.want, c.origin)
			}
		})
	}
}

func TestVLLMArgs(t *testing.T) {
	run := merge(t, func(config, _ fstest.MapFS, r *compose.Request) {
		edit(t, config, "models/coder-awq.yaml", "env:", "reasoning_parser: qwen3\nkv_cache_dtype: auto\nenv:")
		r.Quant, r.GPUs = "awq", 2
	})
	want := []string{
		"Acme/Coder-30B-AWQ", "--host", "127.0.0.1", "--port", "8000", "--served-model-name", "coder-30b-awq",
		"--download-dir", "/workspace/huggingface", "--gpu-memory-utilization", "0.92", "--max-model-len", "65536",
		"--max-num-seqs", "64", "--enable-prompt-tokens-details", "--tensor-parallel-size", "2", "--kv-cache-dtype", "auto",
		"--tool-call-parser", "qwen3_xml", "--reasoning-parser", "qwen3", "--enable-auto-tool-choice", "--enable-expert-parallel",
	}
	if diff := cmp.Diff(want, run.VLLMArgs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
