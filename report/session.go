package report

import (
	"time"

	"github.com/x/dail/slo"
)

// Session is one server that a run was measured on, from the call that created
// it until it was given back. A run that is resumed has one more each time; what
// each of them was billed stays.
type Session struct {
	// Pod is the provider's name of a rented machine, by which its bill can be
	// found; empty where none was rented.
	Pod   string    `json:"pod,omitempty"`
	Start time.Time `json:"start"`
	// Seconds is the billed time, Timeline what it went to.
	Seconds  float64 `json:"seconds"`
	Timeline []Step  `json:"timeline,omitempty"`
	// PriceUSDPerGPUHour is this machine's. The levels' costs go by the
	// report's, the first session's, so that they can be compared.
	PriceUSDPerGPUHour float64 `json:"price_usd_per_gpu_hour"`
	CostUSD            float64 `json:"cost_usd"`
	VLLMVersion        string  `json:"vllm_version,omitempty"`
	AgentVersion       string  `json:"agent_version,omitempty"`
	// Ended says why it ended before the run was complete.
	Ended string `json:"ended,omitempty"`
	// Notes say in what it was not as the sessions before it.
	Notes []string `json:"notes,omitempty"`
}

// Continue makes room for another session of a run that ended early, which
// takes over what stands in the report of the last one. A report without
// sessions gets one for what it has.
func (r *Report) Continue(s Session) {
	if len(r.Sessions) == 0 && len(r.Timeline) > 0 {
		start, _ := time.ParseInLocation(runIDLayout, r.RunID, time.Local) // an id that is no time: the zero one
		r.Sessions = []Session{{
			Start: start, PriceUSDPerGPUHour: r.PriceUSDPerGPUHour,
			VLLMVersion: r.VLLMVersion, AgentVersion: r.AgentVersion, Timeline: r.Timeline,
		}}
	}
	if n := len(r.Sessions); n > 0 {
		last := &r.Sessions[n-1]
		switch {
		case last.Ended != "":
		case r.TruncatedReason != "":
			last.Ended = r.TruncatedReason
		case r.Truncated != "":
			last.Ended = r.Truncated
		}
	}
	r.Sessions = append(r.Sessions, s)
	r.price()
}

// Begun is how many servers the run has had so far: at least one.
func (r *Report) Begun() int { return max(1, len(r.Sessions)) }

// addUp makes the timeline and the cost out of the sessions'.
func (r *Report) addUp() {
	r.Timeline, r.PodCostUSD, r.CostBasis = nil, nil, ""
	var cost float64
	for i := range r.Sessions {
		s := &r.Sessions[i]
		s.Seconds = share(s.Timeline)
		s.CostUSD = slo.PodCost(s.Seconds, s.PriceUSDPerGPUHour, r.GPUCount)
		cost += s.CostUSD
		for k := range s.Timeline {
			step := &s.Timeline[k]
			step.CostUSD = slo.PodCost(step.Seconds, s.PriceUSDPerGPUHour, r.GPUCount)
			r.Timeline = addStep(r.Timeline, *step)
		}
	}
	if len(r.Timeline) > 0 {
		r.share()
		r.PodCostUSD, r.CostBasis = &cost, costBasis(r.Source)
	}
}

// addStep adds a step's time and cost to the row of its label.
func addStep(timeline []Step, s Step) []Step {
	for i := range timeline {
		if timeline[i].Label == s.Label {
			timeline[i].Seconds += s.Seconds
			timeline[i].CostUSD += s.CostUSD
			return timeline
		}
	}
	return append(timeline, s)
}
