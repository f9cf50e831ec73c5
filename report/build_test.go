package report_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/report"
)

func TestFinish(t *testing.T) {
	first := func(k int, change func(*report.Agent)) func([]report.Agent) []report.Agent {
		return func(agents []report.Agent) []report.Agent {
			for i := range k {
				change(&agents[i])
			}
			return agents
		}
	}
	gate := func(g report.Gate) func(*report.Agent) {
		return func(a *report.Agent) { a.Gates[1] = g }
	}
	failed := gate(report.Gate{ID: "acceptance", ExitCode: 1})
	for _, c := range []struct {
		name   string
		change func([]report.Agent) []report.Agent
		valid  bool
		ok     int
		reason string // part of the level's reason
		agent0 string // part of agent 0's reason
	}{
		{"all well", first(0, nil), true, 4, "", ""},
		{"half failed a gate", first(2, failed), true, 2, "", "gate acceptance failed with exit status 1"},
		{"more than half failed a gate", first(3, failed), false, 1, "only 1 of 4 agents did the work", "acceptance"},
		{"half had an API error", first(2, func(a *report.Agent) { a.Phases[0].APIErrors = []string{"529 overloaded"} }), true, 2, "", "529 overloaded"},
		{"more than half had an API error", first(3, func(a *report.Agent) { a.Phases[0].APIErrors = []string{"529 overloaded"} }), false, 1, "agent 0: API error in phase implement", ""},
		{"more than half did not finish a phase", first(3, func(a *report.Agent) {
			a.Phases[0].OK, a.Phases[0].Reason = false, "ended by SIGKILL"
		}), false, 1, "ended by SIGKILL", "phase implement: ended by SIGKILL"},
		{"more than half did not start the last phase", first(3, func(a *report.Agent) {
			a.Finished, a.Unfinished = false, "interrupted before phase tests"
		}), false, 1, "interrupted before phase tests", "interrupted before phase tests"},
		{"one used no tool", first(1, func(a *report.Agent) { a.Phases[0].ToolCalls = nil }), false, 3, "1 of 4 agents never used a tool", "no tool was used"},
		{"one ran no phase", first(1, func(a *report.Agent) { a.Phases = nil }), false, 3, "never used a tool", "no phase was run"},
		{"no gates", first(4, func(a *report.Agent) { a.Gates = nil }), false, 0, "only 0 of 4", "no gate was run"},
		{"a gate took too long", first(1, gate(report.Gate{ID: "acceptance", ExitCode: -1, TimedOut: true})), true, 3, "", "took too long"},
		{"a gate could not be judged", first(1, gate(report.Gate{ID: "acceptance", EnvError: "no node"})), false, 3, "could not be judged: no node", "could not be judged"},
		{"an agent is missing", func(a []report.Agent) []report.Agent { return a[:3] }, false, 3, "1 of 4 agents are missing", ""},
		{"no agents", func([]report.Agent) []report.Agent { return nil }, false, 0, "4 of 4 agents are missing", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			before := r.NewLevel(4, figures(4), c.change(team(4)))
			if before.Valid != nil || before.Gates != report.GatesPending || !before.HoldsSLO {
				t.Fatalf("a new level: valid %v, gates %q, holds %v", before.Valid, before.Gates, before.HoldsSLO)
			}
			l := report.Finish(before)
			if before.Valid != nil || before.AgentsOK != 0 {
				t.Error("the argument was changed")
			}
			if l.Gates != report.GatesScored || l.Valid == nil || *l.Valid != c.valid || l.AgentsOK != c.ok {
				t.Fatalf("gates %q, valid %v, %d agents ok; want %v, %d", l.Gates, *l.Valid, l.AgentsOK, c.valid, c.ok)
			}
			if !strings.Contains(l.InvalidReason, c.reason) || (l.InvalidReason == "") != c.valid {
				t.Errorf("reason %q, want %q", l.InvalidReason, c.reason)
			}
			if len(l.Agents) > 0 && !strings.Contains(l.Agents[0].Reason, c.agent0) {
				t.Errorf("agent 0: %q, want %q", l.Agents[0].Reason, c.agent0)
			}
			if l.HoldsSLO != c.valid || l.HoldsSLOCertain != c.valid || *l.HoldsSLOP90 != c.valid {
				t.Errorf("holds %v, certain %v, p90 %v; an invalid level never holds", l.HoldsSLO, l.HoldsSLOCertain, *l.HoldsSLOP90)
			}
			if diff := cmp.Diff(l, report.Finish(l)); diff != "" {
				t.Errorf("finishing twice differs (-once +twice):\n%s", diff)
			}
		})
	}
}

// What the original lab published recomputes: price 0.34, one GPU, 8 agents.
func TestMoneyIsTheOriginals(t *testing.T) {
	r := &report.Report{PriceUSDPerGPUHour: 0.34, GPUCount: 1}
	f := figures(8)
	f.TokensPerHour = 32219333.480519183
	l := r.NewLevel(8, f, nil)
	if l.CostPerDevHour != 0.0425 || l.CostPerDevMonth != 31.025000000000002 || *l.CostPerMTok != 0.010552670191193578 {
		t.Errorf("%v, %v, %v", l.CostPerDevHour, l.CostPerDevMonth, *l.CostPerMTok)
	}
	r.HoursPerMonth = 173
	if got := r.NewLevel(8, f, nil).CostPerDevMonth; !near(got, 0.0425*173) {
		t.Errorf("an office month costs %v", got)
	}
}

func TestTokensPerDevIsTheMedian(t *testing.T) {
	for want, totals := range map[int64][]int64{0: nil, 7: {7}, 8: {9, 7}, 5: {100, 5, 1}, 2: {3, 2, 1, 100}} {
		var agents []report.Agent
		for _, n := range totals {
			agents = append(agents, report.Agent{Tokens: report.Tokens{Total: n}})
		}
		if got := sample().NewLevel(1, figures(4), agents).TokensPerDev; got != want {
			t.Errorf("of %v: %d, want %d", totals, got, want)
		}
	}
}

func TestComplete(t *testing.T) {
	r := sample()
	r.Complete()
	if want := (report.Tokens{Prompt: 12 * 359512, Completion: 12 * 15514, Total: 12 * 375026}); r.Tokens != want {
		t.Errorf("tokens %+v, want %+v", r.Tokens, want)
	}
	// Two levels: the better one is the yardstick.
	if r.UtilizationBasis != "best_level" || *r.ByDevs[1].Utilization != 1 || *r.ByDevs[0].Utilization != 0.5 || *r.ByDevs[0].UnderutilizationPenalty != 2 {
		t.Errorf("basis %q, utilization %v and %v", r.UtilizationBasis, *r.ByDevs[0].Utilization, *r.ByDevs[1].Utilization)
	}
	// One level would be its own yardstick.
	r.ByDevs = r.ByDevs[:1]
	r.Complete()
	if r.UtilizationBasis != "" || r.ByDevs[0].Utilization != nil || r.ByDevs[0].UnderutilizationPenalty != nil {
		t.Errorf("one level has the basis %q", r.UtilizationBasis)
	}
	r.ThetaMax = &report.ThetaMax{TokensPerHour: 2103350 * 4}
	r.Complete()
	if r.UtilizationBasis != "theta_max" || *r.ByDevs[0].Utilization != 0.25 {
		t.Errorf("basis %q, utilization %v", r.UtilizationBasis, *r.ByDevs[0].Utilization)
	}

	if len(r.Timeline) != 3 || r.Timeline[2].Seconds != 912 {
		t.Errorf("timeline %+v: rows of one label are one row", r.Timeline)
	}
	var cost, pct float64
	for _, s := range r.Timeline {
		cost, pct = cost+s.CostUSD, pct+s.Pct
	}
	if want := 1237.0 / 3600 * 0.79; !near(*r.PodCostUSD, want) || !near(cost, want) || !near(pct, 1) {
		t.Errorf("pod costs %v, rows %v and shares %v, want %v", *r.PodCostUSD, cost, pct, want)
	}
	if !strings.HasPrefix(r.CostBasis, "simulated: what the time would have cost") {
		t.Errorf("cost basis %q", r.CostBasis)
	}
}

func near(got, want float64) bool { return got > want*(1-1e-9) && got < want*(1+1e-9) }

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*report.Report)
		want   []string
	}{
		{"a complete run", func(*report.Report) {}, nil},
		{"a level that does not hold is an answer", func(r *report.Report) { r.ByDevs[1].HoldsSLO = false }, nil},
		{"a level is missing", func(r *report.Report) { r.Devs = []int{4, 8, 16} }, []string{"level of 16 was not measured"}},
		{"truncated", func(r *report.Report) { r.Truncated, r.TruncatedReason = "stall", "no token for 5 minutes" }, []string{"no token for 5 minutes"}},
		{"gates pending", func(r *report.Report) { r.ByDevs[0].Valid = nil }, []string{"gates of the level of 4 have not run"}},
		{"invalid", func(r *report.Report) {
			no := false
			r.ByDevs[0].Valid, r.ByDevs[0].InvalidReason = &no, "nobody worked"
		}, []string{"level of 4 is invalid: nobody worked"}},
		{"nothing", func(r *report.Report) { r.ByDevs, r.Devs = nil, nil }, []string{"nothing was measured"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			c.change(r)
			got := r.Faults()
			if len(got) != len(c.want) {
				t.Fatalf("faults %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("fault %q does not say %q", got[i], c.want[i])
				}
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	no := false
	for _, c := range []struct {
		name   string
		change func(*report.Report)
		want   []string
		never  string
	}{
		{"simulated says so", func(*report.Report) {}, []string{"for 8 developers", "$72/dev-month", "(simulated)"}, ""},
		{"measured needs no mark", func(r *report.Report) { r.Source = report.Measured }, []string{"for 8 developers at $72/dev-month."}, "(" + "measured"},
		{"unknown says so", func(r *report.Report) { r.Source = "" }, []string{"source unknown"}, ""},
		{"an invalid level cannot win", func(r *report.Report) { r.ByDevs[1].Valid = &no }, []string{"for 4 developers"}, "8 developers"},
		{"a hole below is told", func(r *report.Report) { r.ByDevs[0].HoldsSLO = false }, []string{"for 8 developers", "but not for 4"}, ""},
		{"none holds", func(r *report.Report) { r.ByDevs[0].HoldsSLO, r.ByDevs[1].HoldsSLO = false, false }, []string{"No tested team size (4, 8) holds", "(simulated)"}, ""},
		{"no real load", func(r *report.Report) { r.ByDevs[0].Valid, r.ByDevs[1].Valid = &no, &no }, []string{"no level had a real load"}, "holds"},
		{"one", func(r *report.Report) { r.ByDevs = r.ByDevs[:1]; r.ByDevs[0].Devs = 1 }, []string{"for 1 developer at"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			c.change(r)
			got := report.Answer(r)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q does not say %q", got, want)
				}
			}
			if c.never != "" && strings.Contains(got, c.never) {
				t.Errorf("%q says %q", got, c.never)
			}
		})
	}
}

func TestRunIDsSortByTime(t *testing.T) {
	at := time.Date(2026, 9, 9, 9, 9, 9, 0, time.Local)
	var ids []string
	for _, d := range []time.Duration{0, time.Second, time.Hour, 24 * time.Hour, 60 * 24 * time.Hour} {
		ids = append(ids, report.RunID(at.Add(d)))
	}
	if !slices.IsSorted(ids) || ids[0] != "20260909-090909" {
		t.Errorf("ids %v", ids)
	}
}

func ExampleFinish() {
	r := &report.Report{PriceUSDPerGPUHour: 0.79, GPUCount: 1}
	l := r.NewLevel(2, figures(4), team(2))
	fmt.Println(l.Valid, l.Gates)
	l.Agents[0].Gates[1].Passed = false
	l.Agents[1].Gates[1].Passed = false
	l = report.Finish(l)
	fmt.Println(*l.Valid, l.HoldsSLO)
	fmt.Println(l.InvalidReason)
	// Output:
	// <nil> pending
	// false false
	// only 0 of 2 agents did the work; agent 0: gate acceptance failed with exit status 0
}

func ExamplePlace() {
	p := report.Place{Root: "results", Family: "qwen3-coder", Quant: "fp8", Hardware: "l40s", GPUs: 1, Benchmark: "dev-load", RunID: "20261124-101112"}
	fmt.Println(p.Report())
	fmt.Println(p.Agent(8, 3))
	// Output:
	// results/qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-101112/report.json
	// results/qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-101112/artifacts/n8/agent3
}

func ExampleAnswer() {
	fmt.Println(report.Answer(sample()))
	// Output:
	// 1 × l40s with qwen3-coder/fp8 holds the SLO (p50 time to first token ≤ 10 s, p50 speed ≥ 20 tok/s) for 8 developers at $72/dev-month (simulated).
}
