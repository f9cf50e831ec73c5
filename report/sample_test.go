package report_test

import (
	"math"
	"time"

	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

var began = time.Date(2026, 11, 24, 10, 11, 12, 0, time.UTC)

// sample is a finished simulated run of two team sizes.
func sample() *report.Report {
	r := &report.Report{
		RunID: "20261124-101112", Date: "2026-11-24",
		Benchmark: "dev-load", Family: "qwen3-coder", Quant: "fp8",
		Model: "qwen3-coder-30b-fp8", HFID: "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8",
		Hardware: "l40s", GPUCount: 1, PriceUSDPerGPUHour: 0.79, PriceAsOf: "2026-11-20", HoursPerMonth: 730,
		Provider: "simulated", Source: report.Simulated, Gateway: "native", Runner: "local",
		AgentVersion: "2.1.330", VLLMVersion: "0.11.0", MaxModelLen: 65536,
		Agent: &report.Client{Name: "claude-code", Version: "2.1.330", Env: map[string]string{"DISABLE_TELEMETRY": "1"}},
		SLO:   report.SLO{MaxTTFT: 10, MinTPS: 20, Percentile: "p50"},
		Devs:  []int{4, 8},
		ModelMeta: &report.ModelMeta{
			Architecture: "moe", TotalParamsB: 30.5, ActiveParamsB: 3.3,
		},
	}
	for _, n := range r.Devs {
		f := figures(n)
		l := r.NewLevel(n, f, team(n))
		l.Perceived = &slo.Perceived{
			Requests: 26 * n, FirstByte: &slo.Exact{P50: 2.41, P90: 6.5, P99: 11}, Whole: &slo.Exact{P50: 2.43, P90: 6.6, P99: 11.2},
			TPS: &slo.Exact{P50: 55, P90: 31, P99: 12}, Retries: 1, Repairs: 2, RepairKinds: map[string]int{"tool_call_in_text": 2},
			PromptTokens: 4571955, CachedTokens: 4200000, OutputTokens: 115678,
			SharedPrefix: 0.31, OwnPrefix: 0.94,
		}
		share := 0.41
		l.Harness = &report.Harness{Cores: 2, CPUShare: &share, PeakMemoryBytes: 3 << 30, TotalMemoryBytes: 8 << 30,
			ProxyOverheadS: &slo.Exact{P50: 0.0011, P90: 0.002, P99: 0.004}, SchedulingDelayS: &slo.Exact{P50: 0.0001, P90: 0.0008, P99: 0.003}}
		active := report.WindowOf(f)
		active.Seconds = 380
		l.Window.AllNActive = &active
		r.ByDevs = append(r.ByDevs, report.Finish(l))
	}
	r.AddStep("create→ready", 13*time.Second)
	r.AddStep("vLLM startup", 312*time.Second)
	r.AddStep("generation", 412*time.Second)
	r.AddStep("generation", 500*time.Second)
	return r
}

// figures of a team size: 4 holds for certain, 8 is slower and not certain at a
// limit of 30 tok/s.
func figures(n int) slo.Figures {
	scale := float64(n) / 4
	q := func(v, low, high float64) slo.Quantile { return slo.Quantile{Value: v, Low: low, High: high} }
	rate := 0.92
	return slo.Figures{
		Start: began, End: began.Add(412 * time.Second), Seconds: 412, Simulated: true,
		Measured: true, HoldsSLO: true, HoldsSLOCertain: true, HoldsSLOP90: n == 4, Percentile: "p50",
		Why:      "holds: p50 time to first token 0.08 s is within 10 s, p50 speed 60.9 tok/s reaches 20",
		MeanTTFT: 0.21 * scale, TTFT: slo.Quantiles{P50: q(0.085, 0.08, 0.1), P90: q(0.875, 0.75, 1), P99: q(5.1, 5, 7.5)},
		MeanTPS: 61.2 / scale, TPS: slo.Quantiles{P50: q(60.9, 40, 100), P90: q(42.3, 40, 100), P99: q(0.4, 0, 0.5)},
		TokensPerStep: 1,
		MeanE2E:       2.1, E2E: slo.Quantiles{P50: q(1.3, 1, 1.5), P90: q(6.1, 5, 10), P99: q(7680, 7680, math.Inf(1))},
		Split:   &slo.Split{Queue: 0.01, Prefill: 0.19, Rest: 0.01},
		Started: 104, Finished: map[string]int64{"stop": 103, "length": 1},
		PromptTokens: 2285977, GenerationTokens: 57839, TokensPerHour: 20479891, GenerationPerHour: 505389,
		PrefixCacheHitRate: &rate, ComputedTokens: 240717, ComputedPerHour: 2103350 * scale,
		EffectiveConcurrency: 2.6 * scale,
	}
}

// team is n agents whose phases and gates went well.
func team(n int) []report.Agent {
	agents := make([]report.Agent, n)
	for i := range agents {
		agents[i] = report.Agent{
			Agent: i, Finished: true, WallTime: 400 + float64(i), Tokens: report.Tokens{Prompt: 359512, Completion: 15514, Total: 375026},
			Phases: []report.Phase{{
				Phase: "implement", OK: true, Session: "5f0c", Version: "2.1.330", Turns: 9, ToolCalls: map[string]int{"Write": 2, "Bash": 4}, ToolErrors: 1,
				Tokens: report.Tokens{Prompt: 359512, Completion: 15514, Total: 375026}, CacheRead: 330000, Subtype: "success", WallTime: 400,
			}},
			Gates: []report.Gate{{ID: "typecheck", Passed: true, Seconds: 1.9}, {ID: "acceptance", Passed: true, Seconds: 2.5}},
		}
	}
	return agents
}

// zeroFigures are those of a level in which nothing was measured.
func zeroFigures() slo.Figures { return slo.Evaluate(nil, slo.Criteria{MaxTTFT: 10, MinTPS: 20}) }
