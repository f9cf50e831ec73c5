package report

import (
	"fmt"
	"slices"

	"github.com/x/dail/slo"
)

// NewLevel turns one team size's figures into a level that can be written at
// once: its gates are pending and Valid is nil. Prices are the report's, so
// they must be set before. The agents' tokens and phases should be filled in;
// their gates come later, see [Finish].
func (r *Report) NewLevel(n int, f slo.Figures, agents []Agent) Level {
	l := Level{
		Devs:            n,
		HoldsSLO:        f.HoldsSLO,
		HoldsSLOCertain: f.HoldsSLOCertain,
		SLOPercentile:   f.Percentile,
		HoldsSLOP90:     &f.HoldsSLOP90,
		Verdict:         f.Why,

		MeanTTFT:   measured(f.MeanTTFT),
		MedianTTFT: measured(f.TTFT.P50.Value),
		P90TTFT:    measured(f.TTFT.P90.Value),
		P99TTFT:    measured(f.TTFT.P99.Value),
		MeanTPS:    measured(f.MeanTPS),
		MedianTPS:  measured(f.TPS.P50.Value),
		P90TPS:     measured(f.TPS.P90.Value),
		P99TPS:     measured(f.TPS.P99.Value),
		E2EMean:    measured(f.MeanE2E),
		E2EP50:     measured(f.E2E.P50.Value),
		E2EP90:     measured(f.E2E.P90.Value),
		E2EP99:     measured(f.E2E.P99.Value),
		Bounds: bounds(map[string]slo.Quantile{
			"median_ttft": f.TTFT.P50, "p90_ttft": f.TTFT.P90, "p99_ttft": f.TTFT.P99,
			"median_tps": f.TPS.P50, "p90_tps": f.TPS.P90, "p99_tps": f.TPS.P99,
			"e2e_p50": f.E2E.P50, "e2e_p90": f.E2E.P90, "e2e_p99": f.E2E.P99,
		}),
		TTFTSplit: f.Split,

		CostPerDevHour:  slo.CostPerDevHour(r.PriceUSDPerGPUHour, r.GPUCount, n),
		CostPerDevMonth: slo.CostPerDevMonth(r.PriceUSDPerGPUHour, r.GPUCount, n, r.HoursPerMonth),

		Gates:                 GatesPending,
		TokensPerDev:          tokensPerDev(agents),
		TokensPerHour:         measured(f.TokensPerHour),
		ComputedTokensPerHour: measured(f.ComputedPerHour),
		ComputedEstimated:     f.ComputedEstimated,
		PrefixCacheHitRate:    f.PrefixCacheHitRate,

		EffectiveConcurrency: measured(f.EffectiveConcurrency),
		CassetteMismatches:   f.Mismatches,

		Agents: agents,
		Notes:  f.Notes,
	}
	if f.Seconds > 0 { // else there was no window: counts of 0 would be made up
		l.Window = &Windows{Whole: WindowOf(f)}
		l.ServerTokens, l.TokensSource = &ServerTokens{Prompt: f.PromptTokens, Generation: f.GenerationTokens}, "server"
		l.Requests = &Requests{Started: f.Started, Finished: f.Finished}
		l.Preemptions = &f.Preemptions
	}
	if f.Measured {
		l.TokensPerStep = measured(f.TokensPerStep)
	}
	perHour := slo.CostPerHour(r.PriceUSDPerGPUHour, r.GPUCount)
	if c, ok := slo.CostPerMTok(perHour, f.TokensPerHour); ok {
		l.CostPerMTok = &c
	}
	if c, ok := slo.CostPerMTok(perHour, f.GenerationPerHour); ok {
		l.CostPerMTokOutput = &c
	}
	return l
}

// WindowOf is the headline figures of a window, for Level.Window.
func WindowOf(f slo.Figures) Window {
	return Window{
		Start: f.Start, End: f.End, Seconds: f.Seconds,
		RequestsStarted: f.Started,
		MeanTTFT:        measured(f.MeanTTFT),
		MedianTTFT:      measured(f.TTFT.P50.Value),
		MeanTPS:         measured(f.MeanTPS),
		MedianTPS:       measured(f.TPS.P50.Value),
		E2EP50:          measured(f.E2E.P50.Value),
		Bounds: bounds(map[string]slo.Quantile{
			"median_ttft": f.TTFT.P50, "median_tps": f.TPS.P50, "e2e_p50": f.E2E.P50,
		}),
		TokensPerHour:        measured(f.TokensPerHour),
		EffectiveConcurrency: measured(f.EffectiveConcurrency),
	}
}

func bounds(quantiles map[string]slo.Quantile) map[string]Bound {
	b := map[string]Bound{}
	for key, q := range quantiles {
		if q.Measured() {
			b[key] = Bound{Low: q.Low, High: q.High}
		}
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

// tokensPerDev is the median of the agents' client tokens, cut to a whole
// number, as the original computes it; 0 of no agents.
func tokensPerDev(agents []Agent) int64 {
	if len(agents) == 0 {
		return 0
	}
	totals := make([]int64, len(agents))
	for i, a := range agents {
		totals[i] = a.Tokens.Total
	}
	slices.Sort(totals)
	mid := len(totals) / 2
	if len(totals)%2 == 1 {
		return totals[mid]
	}
	return (totals[mid-1] + totals[mid]) / 2
}

// Finish judges whether a level's load was real, once its agents' gates are
// filled in, and returns the finished level; l stays as it is.
//
// It is valid where at least half of the N agents finished every phase without
// an API error and passed every gate, and every agent made at least one tool
// call. A level whose gates could not be judged is not valid either. An
// invalid level never holds the SLO.
//
// A level whose agents were stopped, because it does not hold, has no gates to
// judge.
func Finish(l Level) Level {
	if l.Gates == GatesSkipped {
		return l
	}
	l.Agents = slices.Clone(l.Agents)
	l.AgentsOK = 0
	idle, unjudged := 0, ""
	for i := range l.Agents {
		a := &l.Agents[i]
		a.Passed = len(a.Gates) > 0
		for _, g := range a.Gates {
			a.Passed = a.Passed && g.Passed
			a.GateTimeout = a.GateTimeout || g.TimedOut
			if g.EnvError != "" && unjudged == "" {
				unjudged = fmt.Sprintf("gate %s of agent %d could not be judged: %s", g.ID, a.Agent, g.EnvError)
			}
		}
		a.Reason = a.missing()
		a.OK = a.Reason == ""
		if a.OK {
			l.AgentsOK++
		}
		if a.toolCalls() == 0 {
			idle++
		}
	}
	l.Gates, l.InvalidReason = GatesScored, ""
	switch {
	case unjudged != "":
		l.InvalidReason = unjudged
	case len(l.Agents) < l.Devs:
		l.InvalidReason = fmt.Sprintf("%d of %d agents are missing", l.Devs-len(l.Agents), l.Devs)
	case idle > 0:
		l.InvalidReason = fmt.Sprintf("%d of %d agents never used a tool", idle, l.Devs)
	case 2*l.AgentsOK < l.Devs:
		l.InvalidReason = fmt.Sprintf("only %d of %d agents did the work; %s", l.AgentsOK, l.Devs, l.firstReason())
	}
	valid := l.InvalidReason == ""
	l.Valid = &valid
	if !valid {
		l.deny("does not hold: the load was not real: " + l.InvalidReason)
	}
	return l
}

func (l Level) firstReason() string {
	for _, a := range l.Agents {
		if !a.OK {
			return fmt.Sprintf("agent %d: %s", a.Agent, a.Reason)
		}
	}
	return ""
}

// missing says what keeps the agent from being OK, empty where nothing does.
func (a Agent) missing() string {
	if len(a.Phases) == 0 {
		return "no phase was run"
	}
	for _, p := range a.Phases {
		switch {
		case len(p.APIErrors) > 0:
			return fmt.Sprintf("API error in phase %s: %s", p.Phase, p.APIErrors[0])
		case !p.OK && p.Reason != "":
			return fmt.Sprintf("phase %s: %s", p.Phase, p.Reason)
		case !p.OK:
			return fmt.Sprintf("phase %s did not finish", p.Phase)
		}
	}
	switch {
	case !a.Finished && a.Unfinished != "":
		return a.Unfinished
	case !a.Finished:
		return "not every phase was finished"
	case a.toolCalls() == 0:
		return "no tool was used"
	}
	if len(a.Gates) == 0 {
		return "no gate was run"
	}
	for _, g := range a.Gates {
		switch {
		case g.EnvError != "":
			return fmt.Sprintf("gate %s could not be judged: %s", g.ID, g.EnvError)
		case g.TimedOut:
			return fmt.Sprintf("gate %s took too long", g.ID)
		case !g.Passed:
			return fmt.Sprintf("gate %s failed with exit status %d", g.ID, g.ExitCode)
		}
	}
	return ""
}

// Complete brings everything that follows from the rest of the report up to
// date: cost per hour, token sums, utilization, money, the timeline's costs. It may be
// called as often as the report is written.
func (r *Report) Complete() {
	r.SchemaVersion = SchemaVersion
	if r.ByDevs == nil {
		r.ByDevs = []Level{}
	}
	r.CostPerHour = slo.CostPerHour(r.PriceUSDPerGPUHour, r.GPUCount)
	r.addTokens()
	r.utilize()
	r.money()
	r.price()
}

// addTokens sums what the agents' clients counted. A sum that was taken over
// stays: the agents may not have been taken over with it.
func (r *Report) addTokens() {
	if r.Source == Imported {
		return
	}
	r.Tokens = Tokens{}
	for _, l := range r.ByDevs {
		for _, a := range l.Agents {
			r.Tokens.Prompt += a.Tokens.Prompt
			r.Tokens.Completion += a.Tokens.Completion
			r.Tokens.Total += a.Tokens.Total
		}
	}
}

func (r *Report) price() {
	if len(r.Sessions) > 0 {
		r.addUp()
		return
	}
	if len(r.Timeline) == 0 {
		return
	}
	seconds := r.share()
	for i := range r.Timeline {
		s := &r.Timeline[i]
		s.CostUSD = slo.PodCost(s.Seconds, r.PriceUSDPerGPUHour, r.GPUCount)
	}
	cost := slo.PodCost(seconds, r.PriceUSDPerGPUHour, r.GPUCount)
	r.PodCostUSD = &cost
	r.CostBasis = costBasis(r.Source)
}

// share brings every row's part of the billed time up to date, and returns that
// time in seconds.
func (r *Report) share() (seconds float64) { return share(r.Timeline) }

func share(timeline []Step) (seconds float64) {
	for _, s := range timeline {
		seconds += s.Seconds
	}
	for i := range timeline {
		s := &timeline[i]
		s.Pct = 0
		if seconds > 0 {
			s.Pct = s.Seconds / seconds
		}
	}
	return seconds
}

// costBasis says what the pod's cost means. An original's file knows no other
// than the list price.
func costBasis(s Source) string {
	switch s {
	case Simulated, Forecast:
		return string(s) + ": what the time would have cost; nothing was paid"
	}
	return "wall-clock seconds of the pod × list price"
}

// Faults says why the run is not a valid, complete one; nil where it is. A
// level that does not hold the SLO is no fault: that is an answer.
func (r *Report) Faults() []string {
	var faults []string
	if r.Truncated != "" {
		why := r.TruncatedReason
		if why == "" {
			why = r.Truncated
		}
		faults = append(faults, "the run was cut short: "+why)
	}
	for _, n := range r.Devs {
		if !slices.ContainsFunc(r.ByDevs, func(l Level) bool { return l.Devs == n }) {
			faults = append(faults, fmt.Sprintf("the level of %d was not measured", n))
		}
	}
	if r.Capacity != nil && r.Capacity.Stopped != "" {
		faults = append(faults, "the search for the largest team was not finished: "+r.Capacity.Stopped)
	}
	for _, l := range r.ByDevs {
		switch {
		case l.Gates == GatesSkipped:
		case l.Valid == nil:
			faults = append(faults, fmt.Sprintf("the gates of the level of %d have not run", l.Devs))
		case !*l.Valid:
			faults = append(faults, fmt.Sprintf("the level of %d is invalid: %s", l.Devs, l.InvalidReason))
		}
	}
	if len(r.ByDevs) == 0 {
		faults = append(faults, "nothing was measured")
	}
	return faults
}
