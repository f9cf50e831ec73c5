package dail

import (
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/internal/harness"
	"github.com/x/dail/report"
	"github.com/x/dail/slo"
	"github.com/x/dail/trace"
)

// clientName is how the report calls Claude Code.
const clientName = "claude-code"

// newReport is the report before its first level.
func (r *runner) newReport() *report.Report {
	run := r.plan.Run
	rep := &report.Report{
		RunID:              r.place.RunID,
		Date:               time.Now().Format(time.DateOnly),
		Benchmark:          run.Benchmark.Name,
		Family:             run.Model.Family,
		Quant:              run.Model.Quant,
		Model:              run.Serving.ServedModelName,
		HFID:               run.Model.Model,
		Hardware:           run.Hardware.Key,
		GPUCount:           run.GPUs,
		PriceUSDPerGPUHour: r.pod.USDPerHour / float64(run.GPUs),
		PriceSource:        r.pod.PriceSource,
		HoursPerMonth:      r.plan.HoursPerMonth,
		Provider:           r.pod.Provider,
		Source:             report.Measured,
		Gateway:            r.plan.Gateway,
		GatewayVersion:     r.litellm.Version,
		Runner:             runnerLocal,
		VLLMVersion:        r.pod.Version,
		MaxModelLen:        r.pod.MaxModelLen,
		Agent:              &report.Client{Name: clientName, Env: r.settings},
		SLO: report.SLO{
			MaxTTFT: run.Benchmark.SLO.MaxTTFT, MinTPS: run.Benchmark.SLO.MinTPS, Percentile: run.Benchmark.SLO.Percentile,
		},
	}
	if r.plan.SearchMax == 0 {
		rep.Devs = run.Devs
	}
	if rep.PriceUSDPerGPUHour == run.Hardware.PriceUSDPerGPUHour {
		rep.PriceAsOf = run.Hardware.PriceAsOf
	}
	if r.pod.Simulated {
		rep.Source = report.Simulated
	}
	if r.plan.RunnerName != "" {
		rep.Runner = r.plan.RunnerName
	}
	if r.plan.Agent != nil {
		rep.Agent = &report.Client{Name: r.plan.AgentName}
	}
	if a := run.Model.Architecture; a != nil {
		rep.ModelMeta = &report.ModelMeta{Architecture: "dense", TotalParamsB: a.ParamsB, ActiveParamsB: a.ActiveParamsB}
		if a.Experts > 0 {
			rep.ModelMeta.Architecture = "moe"
		}
	}
	if len(r.plan.APIs) > 0 || r.plan.DutyCycle > 0 {
		rep.Compare(r.plan.DutyCycle, r.plan.APIs)
	}
	return rep
}

// newLevel turns what was measured into a level whose gates are pending.
func (r *runner) newLevel(m *measured) report.Level {
	criteria := r.report.SLO.Criteria()
	var list []report.Agent
	for _, a := range m.agents {
		list = append(list, agentOf(a, m.records))
		for _, p := range a.Phases {
			if p.AgentVersion == "" {
				continue
			}
			r.report.Sessions[len(r.report.Sessions)-1].AgentVersion = p.AgentVersion
			if r.report.AgentVersion == "" {
				r.report.AgentVersion, r.report.Agent.Version = p.AgentVersion, p.AgentVersion
			}
		}
	}
	if m.whole.Simulated {
		// A server may be marked in its metrics only; that counts too.
		r.report.Source = report.Simulated
	}
	l := r.report.NewLevel(m.n, slo.Evaluate(m.whole, criteria), list)
	l.Window.Whole.Confidence = m.confWhole
	if len(m.series.Snapshots) > 0 {
		l.Series = seriesName(m.name)
	}
	l.Notes = append(l.Notes, m.notes...)
	perceived := slo.Perceive(m.records)
	l.Perceived = &perceived
	l.Harness = harnessOf(m.usage, m.records)
	if m.stopped != "" {
		l.Stop(m.stopped)
	}
	if m.allActive != nil {
		l.Narrow(slo.Evaluate(m.allActive, criteria))
		l.Window.AllNActive.Confidence = m.confActive
	}
	d := slo.Deliver(m.n, spansOf(m))
	d.Retries = perceived.Retries
	l.Deliver(d)
	return l
}

// spansOf is when each agent was at work: from its first request to the end of
// its last round.
func spansOf(m *measured) []slo.Span {
	var spans []slo.Span
	for _, a := range m.agents {
		s := slo.Span{Agent: a.Agent, End: a.End}
		for _, rec := range m.records {
			if rec.Agent == a.Agent && (s.Start.IsZero() || rec.Arrival.Before(s.Start)) {
				s.Start = rec.Arrival
			}
		}
		if s.Start.IsZero() {
			continue // it never sent a request
		}
		if m.stopped == "" {
			s.Failed = a.Reason
		}
		if n := len(a.Later); n > 0 {
			s.End = a.Later[n-1].End
		}
		spans = append(spans, s)
	}
	return spans
}

// agentOf turns one agent's result into the report's form, with its own share
// of the trace.
func agentOf(a agents.Result, all []trace.Record) report.Agent {
	var own []trace.Record
	for _, rec := range all {
		if rec.Agent == a.Agent {
			own = append(own, rec)
		}
	}
	perceived := slo.Perceive(own)
	out := report.Agent{
		Agent:      a.Agent,
		Gates:      []report.Gate{},
		WallTime:   a.End.Sub(a.Start).Seconds(),
		Finished:   a.OK,
		Unfinished: a.Reason,
		Perceived:  &perceived,
	}
	if len(a.Later) > 0 {
		out.Rounds = 1 + len(a.Later)
	}
	for _, p := range a.Phases {
		t := tokensOf(p.Tokens)
		out.Tokens.Prompt += t.Prompt
		out.Tokens.Completion += t.Completion
		out.Tokens.Total += t.Total
		out.Phases = append(out.Phases, report.Phase{
			Phase:      p.Phase,
			OK:         p.OK,
			Reason:     p.Reason,
			Session:    p.SessionID,
			Version:    p.AgentVersion,
			Turns:      p.Turns,
			ToolCalls:  p.ToolCalls,
			ToolErrors: p.ToolErrors,
			Tokens:     t,
			CacheRead:  int64(p.Tokens.CacheRead),
			APIErrors:  p.APIErrors,
			Retries:    p.Retries,
			ExitCode:   p.ExitCode,
			Signal:     p.Signal,
			Subtype:    p.Subtype,
			WallTime:   p.WallTime.Seconds(),
			StderrTail: p.StderrTail,
		})
	}
	return out
}

func tokensOf(t agents.Tokens) report.Tokens {
	return report.Tokens{
		Prompt:     int64(t.Input + t.CacheRead),
		Completion: int64(t.Output),
		Total:      int64(t.Total()),
	}
}

// harnessOf is how the machine that made the load fared.
func harnessOf(u harness.Usage, records []trace.Record) *report.Harness {
	limited, why := u.Limited()
	h := &report.Harness{
		Cores:            u.Cores,
		QuotaCores:       u.Quota,
		Throttled:        u.Throttled,
		Saturated:        u.Saturated,
		CPUShare:         &u.CPUShare,
		PeakMemoryBytes:  u.PeakMemoryBytes,
		TotalMemoryBytes: u.TotalMemoryBytes,
		ProxyOverheadS:   slo.ProxyOverhead(records),
		SchedulingDelayS: &slo.Exact{P50: u.DelayP50.Seconds(), P90: u.DelayP90.Seconds(), P99: u.DelayP99.Seconds()},
		Limited:          limited,
		Reason:           why,
	}
	if u.SpawnP50 > 0 {
		h.SpawnS = &slo.Exact{P50: u.SpawnP50.Seconds(), P90: u.SpawnP90.Seconds(), P99: u.SpawnP99.Seconds()}
	}
	return h
}
