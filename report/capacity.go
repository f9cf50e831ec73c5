package report

import (
	"fmt"

	"github.com/x/dail/slo"
)

// Capacity is what a search for the largest team found, and what it took.
type Capacity struct {
	// Holds is the largest team measured that holds, 0 where none did; Fails the
	// smallest one that does not, 0 where all did.
	Holds int `json:"holds"`
	Fails int `json:"fails,omitempty"`
	// The capacity lies from Low to High, with the probability Confidence; see
	// slo.Capacity.
	Low        int     `json:"low"`
	High       int     `json:"high"`
	Confidence float64 `json:"confidence"`
	// Max is the largest team that was asked for.
	Max int `json:"max"`
	// Asked are the team sizes in the order in which they were measured.
	Asked []int `json:"asked"`
	// AgentMinutes is Σ agents × minutes over the levels; Seconds their length,
	// the judging of their work in between included; CostUSD that time's price.
	AgentMinutes float64 `json:"agent_minutes"`
	Seconds      float64 `json:"seconds"`
	CostUSD      float64 `json:"cost_usd"`
	// Stopped says why the search ended before it was done; empty where it was.
	Stopped string `json:"stopped,omitempty"`
}

// Found takes over what the search knows by now.
func (c *Capacity) Found(f slo.Capacity) {
	c.Holds, c.Fails, c.Low, c.High, c.Confidence = f.Holds, f.Fails, f.Low, f.High, f.Confidence
}

// sentence is the capacity for a person.
func (c *Capacity) sentence(source Source) string {
	found := slo.Capacity{Holds: c.Holds, Fails: c.Fails, Low: c.Low, High: c.High}.String()
	if c.Holds == c.Max {
		found = fmt.Sprintf("at least %d developers, the most that was asked for", c.Max)
	}
	sure := fmt.Sprintf("%.0f %%", 100*c.Confidence)
	if c.Confidence > 0.99 { // nobody is surer than the bootstrap's assumptions
		sure = "over 99 %"
	}
	text := fmt.Sprintf("Capacity: %s, %s sure", found, sure)
	if l := label(source); l != "" {
		text += " (" + l + ")"
	}
	if c.Stopped != "" {
		text += "; the search was not finished: " + c.Stopped
	}
	return text + fmt.Sprintf("; %d levels, %.0f agent-minutes, $%.2f of pod time", len(c.Asked), c.AgentMinutes, c.CostUSD)
}
