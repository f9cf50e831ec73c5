package sim_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

const scenarioYAML = `
name: tiny
description: for tests
devs: [2]
slo: {max_ttft: 10, min_tps: 20}
serving: {max_model_len: 32768}
task:
  phases:
    - {id: one, title: One, prompt: Say something., allowed_tools: [Read], max_turns: 2}
  gates:
    - {id: there, cmd: "true"}
`

func compose1(t *testing.T, model, hardware, quant string, gpus int) *compose.Run {
	t.Helper()
	run, err := compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: os.DirFS("../configs")}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: fstest.MapFS{"tiny/scenario.yaml": {Data: []byte(scenarioYAML)}}}},
		Benchmark:  "tiny", Model: model, Hardware: hardware, Quant: quant, GPUs: gpus,
	})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// TestConfigOf: the shipped configurations become engines that decode at the
// pace of §8.4.
func TestConfigOf(t *testing.T) {
	for _, c := range []struct {
		model, hardware, quant string
		gpus, batched          int
		fast, slow             time.Duration // one stream at 16k context
	}{
		{"qwen3-coder", "l40s", "", 1, 2048, 5700 * time.Microsecond, 7700 * time.Microsecond},
		{"qwen3-coder", "l40s", "awq", 1, 2048, 4 * time.Millisecond, 12 * time.Millisecond},
		{"qwen3-coder", "h200", "", 1, 8192, 3 * time.Millisecond, 6 * time.Millisecond},
		{"qwen3-coder", "l4", "awq", 1, 2048, 10 * time.Millisecond, 40 * time.Millisecond},
		{"llama3.3-70b", "h200", "", 1, 8192, 20 * time.Millisecond, 28 * time.Millisecond},
		{"glm-5.2", "h200", "", 8, 8192, 8 * time.Millisecond, 60 * time.Millisecond},
		{"minimax-m2", "h200", "", 4, 8192, 5 * time.Millisecond, 7 * time.Millisecond},
	} {
		run := compose1(t, c.model, c.hardware, c.quant, c.gpus)
		cfg, err := sim.ConfigOf(run)
		if err != nil {
			t.Errorf("%s on %s: %v", c.model, c.hardware, err)
			continue
		}
		step := cfg.Step.Step(sim.Batch{Decode: 1, DecodeTokens: 1 + cfg.Speculative.Tokens, DecodeContext: 16384, Samples: 1, Draft: cfg.Speculative.Tokens})
		t.Logf("%s-%s on %d× %s: %v a step, KV %d tokens, speculation %+v", c.model, run.Model.Quant, c.gpus, c.hardware, step, cfg.KVTokens, cfg.Speculative)
		if step < c.fast || step > c.slow {
			t.Errorf("%s-%s on %d× %s: a step takes %v, want %v to %v", c.model, run.Model.Quant, c.gpus, c.hardware, step, c.fast, c.slow)
		}
		if cfg.Model != run.Serving.ServedModelName || cfg.MaxModelLen != 32768 || cfg.MaxNumBatchedTokens != c.batched || cfg.BlockSize != 16 {
			t.Errorf("%s on %s: %+v", c.model, c.hardware, cfg)
		}
		if _, err := sim.NewEngine(cfg); err != nil {
			t.Errorf("%s on %s: %v", c.model, c.hardware, err)
		}
	}
}

func TestConfigOfRefuses(t *testing.T) {
	run := compose1(t, "qwen3-coder", "l40s", "", 1)
	run.Hardware.GPU = nil
	if _, err := sim.ConfigOf(run); err == nil || !strings.Contains(err.Error(), "configs/hardware/l40s.yaml") {
		t.Errorf("without gpu facts: %v", err)
	}
	run = compose1(t, "qwen3-coder", "l40s", "", 1)
	run.Serving.MaxModelLen = 1 << 20
	if _, err := sim.ConfigOf(run); err == nil || !strings.Contains(err.Error(), "lower max_model_len") {
		t.Errorf("with a context above the cache: %v", err)
	}
}

func TestConfigRefuses(t *testing.T) {
	ok := sim.Fixed{}
	for name, c := range map[string]struct {
		cfg  sim.Config
		want string
	}{
		"no model":    {sim.Config{}, "Config.Step is nil"},
		"negative":    {sim.Config{Step: ok, MaxNumSeqs: -1}, "Config.MaxNumSeqs is -1"},
		"budget":      {sim.Config{Step: ok, MaxNumBatchedTokens: 10, MaxNumSeqs: 11}, "must be greater than or equal to max_num_seqs"},
		"acceptance":  {sim.Config{Step: ok, Speculative: compose.Speculative{Tokens: 1, Acceptance: 2}}, "Config.Speculative"},
		"jitter":      {sim.Config{Step: ok, Jitter: -1}, "Config.Jitter"},
		"fixed times": {sim.Config{Step: sim.Fixed{ITL: -1}}, "a time is negative"},
		"cache":       {sim.Config{Step: steady{}, KVTokens: 100, MaxModelLen: 200}, "lower max_model_len to 96"},
	} {
		if _, err := sim.NewServer(c.cfg, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}
