package slo

import (
	"slices"
	"time"

	"github.com/x/dail/trace"
)

// Exact are quantiles of single observations, nearest rank: no bounds needed.
type Exact struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

// Perceived is what the agents got, from the gateway's trace: exact, and with
// everything between agent and server in it. Times are in seconds and of
// answered requests only.
type Perceived struct {
	Requests int `json:"requests"`
	// FirstByte is the time to the answer's first byte (no keep-alive), Whole
	// to its last. nil where nothing was answered.
	FirstByte *Exact `json:"first_byte,omitempty"`
	Whole     *Exact `json:"whole,omitempty"`
	// TPS is the answer's tokens ÷ Whole, per request: what waiting for it
	// felt like. The tail is the slow end, as with a level's speeds.
	TPS *Exact `json:"tps,omitempty"`
	// Errors are requests that were not answered, the client's own leaving
	// included; Retries are bodies that a session sent again; Repairs are
	// answers in which the gateway mended something.
	Errors  int `json:"errors"`
	Retries int `json:"retries"`
	Repairs int `json:"repairs"`
	// RepairKinds counts by what was mended.
	RepairKinds map[string]int `json:"repair_kinds,omitempty"`

	// The tokens of answered requests. A body that was answered twice, because
	// the client sent it again, counts once: the second is no work of the agent's.
	PromptTokens int64 `json:"prompt_tokens"`
	CachedTokens int64 `json:"cached_tokens"`
	OutputTokens int64 `json:"output_tokens"`

	// SharedPrefix is the part of all prompts' bytes, 0 to 1, that another agent
	// had sent before as the beginning of one of its own; OwnPrefix the part
	// that the same agent had. A server's cache hit rate above them would be
	// wrong; one far below them says that its cache is too small. Retries are
	// left out. 0 where the trace does not say.
	SharedPrefix float64 `json:"shared_prefix,omitempty"`
	OwnPrefix    float64 `json:"own_prefix,omitempty"`
}

// Perceive reads the records of one level. They may come in any order.
func Perceive(records []trace.Record) Perceived {
	p := Perceived{Requests: len(records)}
	var first, whole, speeds []float64
	type question struct {
		agent                int
		phase, session, body string
	}
	answered := map[question]bool{}
	for _, r := range records {
		if r.Retry {
			p.Retries++
		}
		if len(r.Repairs) > 0 {
			p.Repairs++
		}
		for _, kind := range r.Repairs {
			if p.RepairKinds == nil {
				p.RepairKinds = map[string]int{}
			}
			p.RepairKinds[kind]++
		}
		if !r.OK() {
			p.Errors++
			continue
		}
		if q := (question{r.Agent, r.Phase, r.Session, r.BodyHash}); !answered[q] || r.BodyHash == "" {
			answered[q] = true
			p.PromptTokens += int64(r.PromptTokens)
			p.CachedTokens += int64(r.CachedTokens)
			p.OutputTokens += int64(r.OutputTokens)
		}
		whole = append(whole, r.EndS)
		if r.FirstByteS > 0 {
			first = append(first, r.FirstByteS)
		}
		if r.OutputTokens > 0 && r.EndS > 0 {
			speeds = append(speeds, float64(r.OutputTokens)/r.EndS)
		}
	}
	p.SharedPrefix, p.OwnPrefix = prefixShares(records)
	p.FirstByte, p.Whole = exact(first), exact(whole)
	// The slow end of a speed is its low end.
	for i := range speeds {
		speeds[i] = -speeds[i]
	}
	if p.TPS = exact(speeds); p.TPS != nil {
		p.TPS.P50, p.TPS.P90, p.TPS.P99 = -p.TPS.P50, -p.TPS.P90, -p.TPS.P99
	}
	return p
}

// prefixShares sums what the records say of common beginnings.
func prefixShares(records []trace.Record) (shared, own float64) {
	var bytes, fromOthers, fromSelf float64
	for _, r := range records {
		if r.Retry {
			continue // it is its own beginning
		}
		bytes += float64(r.PromptBytes)
		fromOthers += float64(r.SharedPrefixBytes)
		fromSelf += float64(r.OwnPrefixBytes)
	}
	if bytes == 0 {
		return 0, 0
	}
	return fromOthers / bytes, fromSelf / bytes
}

// Concurrency is how many requests were on their way on average between two
// moments, each counted for the part of it that lies between them.
func Concurrency(records []trace.Record, start, end time.Time) float64 {
	if !end.After(start) {
		return 0
	}
	var busy float64
	for _, r := range records {
		from, to := r.Arrival, r.Arrival.Add(time.Duration(r.EndS*float64(time.Second)))
		if from.Before(start) {
			from = start
		}
		if to.After(end) {
			to = end
		}
		if d := to.Sub(from); d > 0 {
			busy += d.Seconds()
		}
	}
	return busy / end.Sub(start).Seconds()
}

// ProxyOverhead is what the gateway itself added to each answered request, in
// seconds: the wait before it asked the server, and from the server's last
// byte to its own first (nothing where it had begun to answer by then). nil of
// no answered request.
func ProxyOverhead(records []trace.Record) *Exact {
	var added []float64
	for _, r := range records {
		if r.OK() && r.UpstreamS > 0 && r.FirstByteS > 0 {
			added = append(added, r.QueueS+max(0, r.FirstByteS-r.UpstreamS))
		}
	}
	return exact(added)
}

// ExactOf returns the nearest-rank quantiles of values, nil of none. It does
// not change values.
func ExactOf(values []float64) *Exact { return exact(slices.Clone(values)) }

// exact sorts values in place.
func exact(values []float64) *Exact {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := func(percent int) float64 { // the ⌈percent/100 · n⌉-th smallest
		return values[(percent*len(values)+99)/100-1]
	}
	return &Exact{P50: at(50), P90: at(90), P99: at(99)}
}
