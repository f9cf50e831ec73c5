package dashboard

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/x/dail/gates"
	"github.com/x/dail/report"
)

// detail is what is looked at of one run.
type detail struct {
	Facts    [][2]string       `json:"facts"` // name and value, in order
	Steps    []step            `json:"steps,omitempty"`
	Levels   []levelDetail     `json:"levels"`
	Capacity string            `json:"capacity,omitempty"`
	Reason   string            `json:"reason,omitempty"` // why it was cut short
	Env      map[string]string `json:"env,omitempty"`    // the agents' settings
	Composed string            `json:"composed,omitempty"`
}

type step struct {
	Label   string  `json:"label"`
	Seconds float64 `json:"s"`
	USD     float64 `json:"usd"`
}

type levelDetail struct {
	Name    string      `json:"name"`
	Verdict string      `json:"verdict"`
	Notes   []string    `json:"notes,omitempty"`
	Facts   [][2]string `json:"facts"`
	Agents  []agent     `json:"agents"`
	Series  *series     `json:"series,omitempty"`
}

type agent struct {
	Agent  int     `json:"agent"`
	OK     bool    `json:"ok"`
	Reason string  `json:"reason,omitempty"`
	Wall   float64 `json:"wall"` // s
	Tokens int64   `json:"tokens"`
	Phases []phase `json:"phases,omitempty"`
	Gates  []gate  `json:"gates,omitempty"`
}

type phase struct {
	ID     string  `json:"id"`
	OK     bool    `json:"ok"`
	Reason string  `json:"reason,omitempty"`
	Turns  int     `json:"turns"`
	Wall   float64 `json:"wall"`
}

type gate struct {
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	Output string `json:"out,omitempty"` // of one that failed
}

// series is a level second by second, thinned out.
type series struct {
	T       []float64 `json:"t"` // s
	Running []float64 `json:"running"`
	Waiting []float64 `json:"waiting"`
	KV      []float64 `json:"kv"`  // 0 to 1
	TPS     []float64 `json:"tps"` // output tokens/s of all agents together
}

// Bounds of what is kept of one run: the page holds a thousand of them.
const (
	maxPoints = 120  // of a series
	maxOutput = 1024 // bytes of a failing gate's output
)

// look takes from a report, and from the files beside it, what is looked at.
func look(r *report.Report, dir string) detail {
	d := detail{Reason: r.TruncatedReason, Composed: composed(dir), Levels: []levelDetail{}}
	fact := func(name, value string) {
		if value != "" && value != "0" {
			d.Facts = append(d.Facts, [2]string{name, value})
		}
	}
	fact("source", sourceWord(r.Source))
	fact("provider", r.Provider)
	fact("model", r.Model)
	fact("Hugging Face id", r.HFID)
	fact("vLLM", r.VLLMVersion)
	fact("context window", fmt.Sprint(r.MaxModelLen))
	fact("agent", strings.TrimSpace("Claude Code "+r.AgentVersion))
	fact("gateway", strings.TrimSpace(r.Gateway+" "+r.GatewayVersion))
	fact("runner", r.Runner)
	fact("price", fmt.Sprintf("$%.2f per GPU hour", r.PriceUSDPerGPUHour))
	fact("price from", strings.TrimSpace(r.PriceSource+" "+r.PriceAsOf))
	if r.PodCostUSD != nil {
		fact("pod cost", fmt.Sprintf("$%.3f", *r.PodCostUSD))
	}
	fact("what that is", r.CostBasis)
	if n := len(r.Sessions); n > 1 {
		fact("servers", fmt.Sprintf("%d, one after the other: the run was resumed", n))
	}
	if o := r.Origin; o != nil {
		fact("from", strings.Join([]string{o.Name, o.URL, o.Licence, o.Note}, "; "))
	}
	if r.Agent != nil {
		d.Env = r.Agent.Env
	}
	if c := r.Capacity; c != nil {
		d.Capacity = fmt.Sprintf("The search asked for %v; the largest team that holds is %d, between %d and %d with a probability of %.2f.", c.Asked, c.Holds, c.Low, c.High, c.Confidence)
		if c.Stopped != "" {
			d.Capacity += " It was not finished: " + c.Stopped + "."
		}
	}
	for _, s := range r.Timeline {
		d.Steps = append(d.Steps, step{s.Label, s.Seconds, s.CostUSD})
	}
	if r.Baseline != nil {
		d.Levels = append(d.Levels, lookAt("baseline: 1 agent", *r.Baseline, dir))
	}
	for _, l := range r.ByDevs {
		d.Levels = append(d.Levels, lookAt(fmt.Sprintf("%d agents", l.Devs), l, dir))
	}
	return d
}

// sourceWord says where figures come from.
func sourceWord(s report.Source) string {
	switch s {
	case report.Measured:
		return "measured on a real GPU"
	case report.Simulated:
		return "simulated: no GPU was there"
	case report.Forecast:
		return "forecast: computed, nothing was run"
	case report.Imported:
		return "imported: measured by others on a real GPU"
	}
	return "unknown"
}

func lookAt(name string, l report.Level, dir string) levelDetail {
	d := levelDetail{Name: name, Verdict: l.Verdict, Notes: l.Notes, Agents: []agent{}, Series: thinned(dir, l.Series)}
	fact := func(name, format string, values ...any) {
		d.Facts = append(d.Facts, [2]string{name, fmt.Sprintf(format, values...)})
	}
	number := func(name, format string, v *float64) {
		if v != nil {
			fact(name, format, *v)
		}
	}
	number("mean speed", "%.1f tok/s", l.MeanTPS)
	number("median time to first token", "%.2f s", l.MedianTTFT)
	number("whole request, median", "%.1f s", l.E2EP50)
	number("effective concurrency", "%.1f", l.EffectiveConcurrency)
	if p := l.Perceived; p != nil && p.Requests > 0 {
		fact("requests at the gateway", "%d, %d of them errors, %d retries, %d repaired answers", p.Requests, p.Errors, p.Retries, p.Repairs)
		for kind, n := range p.RepairKinds {
			fact("repaired: "+kind, "%d", n)
		}
	}
	if v := l.Delivered; v != nil {
		fact("agents at work", "%.1f on average, all at once for %.0f %% of the time", v.ActiveMean, 100*v.FullShare)
	}
	if h := l.Harness; h != nil {
		if h.CPUShare != nil {
			fact("this machine", "%d cores, %.0f %% busy", h.Cores, 100**h.CPUShare)
		}
		if h.Limited {
			fact("limited", "this machine, not the GPU, set the pace: %s", h.Reason)
		}
	}
	for _, a := range l.Agents {
		d.Agents = append(d.Agents, lookAtAgent(a))
	}
	return d
}

func lookAtAgent(a report.Agent) agent {
	out := agent{Agent: a.Agent, OK: a.OK || a.Passed && a.Reason == "", Reason: a.Reason, Wall: round(a.WallTime), Tokens: a.Tokens.Total}
	for _, p := range a.Phases {
		out.Phases = append(out.Phases, phase{p.Phase, p.OK, p.Reason, p.Turns, round(p.WallTime)})
	}
	for _, g := range a.Gates {
		out.Gates = append(out.Gates, gate{g.ID, g.Passed, failing(g)})
	}
	return out
}

// failing is the end of what a gate that failed printed.
func failing(g gates.Result) string {
	if g.Passed {
		return ""
	}
	text := g.Output
	if g.EnvError != "" {
		text = g.EnvError + "\n" + text
	}
	if over := len(text) - maxOutput; over > 0 {
		text = strings.ToValidUTF8(text[over:], "")
	}
	return text
}

func round(v float64) float64 { return math.Round(10*v) / 10 }

// thinned reads a level's time series and keeps what a picture of it needs: of each
// group of lines the most that ran, waited and was in the cache, and the tokens of
// all of it.
// Whatever cannot be read is left out: it is beside the report, and no part of it.
func thinned(dir, name string) *series {
	if name == "" || filepath.Base(name) != name {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	// Numbers under names: nothing in it is quoted.
	head, body, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	rows := strings.Split(body, "\n")
	if len(rows) < 2 {
		return nil
	}
	at := map[string]int{}
	for i, name := range strings.Split(strings.TrimSpace(head), ",") {
		at[name] = i
	}
	value := func(row, name string) float64 {
		i, ok := at[name]
		if !ok {
			return 0
		}
		for ; i > 0; i-- {
			_, row, _ = strings.Cut(row, ",")
		}
		field, _, _ := strings.Cut(row, ",")
		v, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return 0
		}
		return v
	}
	every := (len(rows) + maxPoints - 1) / maxPoints
	s := &series{}
	// Counts are those of each line's own slice, so they are summed.
	for from := 0; from < len(rows); from += every {
		group := rows[from:min(from+every, len(rows))]
		t, tokens, running, waiting, kv := value(group[len(group)-1], "t_s"), 0.0, 0.0, 0.0, 0.0
		for _, row := range group {
			tokens += value(row, "generation_tokens")
			running, waiting, kv = max(running, value(row, "running")), max(waiting, value(row, "waiting")), max(kv, value(row, "kv_usage"))
		}
		began := 0.0
		if from > 0 {
			began = value(rows[from-1], "t_s")
		}
		if t <= began {
			continue
		}
		s.T = append(s.T, round(t))
		s.Running = append(s.Running, running)
		s.Waiting = append(s.Waiting, waiting)
		s.KV = append(s.KV, math.Round(1000*kv)/1000)
		s.TPS = append(s.TPS, round(tokens/(t-began)))
	}
	if len(s.T) == 0 {
		return nil
	}
	return s
}
