// Package dail answers one question with evidence: given a model family and N
// developers who work through a coding agent, which self-hosted hardware serves
// them within the SLO, and at what $/dev-month?
//
// A run composes a benchmark × model × hardware from YAML, gets a server for
// it, lets N real headless Claude Code agents build real software through it,
// reads the server's own metrics, checks that the work was real, judges the
// SLO, counts the money, and gives the server back whatever happens:
//
//	cfg := dail.Config{Benchmark: "dev-load", Model: "qwen3-coder", Hardware: "l40s"}
//	plan, err := cfg.Plan() // refuses bad input; creates nothing
//	if err != nil { … }
//	rep, err := dail.Run(ctx, plan)
//	report.Table(os.Stdout, rep)
//
// [Config] is what a person asks for, as flags; [Plan] is the same as values,
// which a program may fill in by itself: a provider, a runner or an agent of its
// own. Each room can be used alone: [github.com/x/dail/compose] merges the YAML,
// [github.com/x/dail/sim] is an engine that behaves like vLLM on a GPU,
// [github.com/x/dail/proxy] stands between Claude Code and vLLM,
// [github.com/x/dail/agents] runs fleets, [github.com/x/dail/gates] checks work,
// [github.com/x/dail/slo] turns metrics into verdicts, and
// [github.com/x/dail/report] holds what is written down.
//
// Only the GPU is ever simulated, and never passed off as measured: a report's
// source comes from the server that answered.
package dail
