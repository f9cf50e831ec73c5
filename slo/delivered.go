package slo

import (
	"fmt"
	"slices"
	"time"
)

// Span is the time in which one agent was at work.
type Span struct {
	Agent      int
	Start, End time.Time
	// Failed says why it ended before its work was done; empty: it did it.
	Failed string
}

// Delivered is the load that a level really put on the server. A level that
// says N is about N agents at once only as far as N were at work.
type Delivered struct {
	// ActiveMean is how many agents were at work on average, from the first
	// one's start to the last one's end.
	ActiveMean float64 `json:"active_mean"`
	// FullShare is the part of that time, 0 to 1, in which all N were.
	FullShare float64 `json:"full_share"`
	// StartSkewS is the time between the first agent's start and the last one's.
	StartSkewS float64 `json:"start_skew_s"`
	// Failed agents ended before their work was done; Absent ones never sent a
	// request.
	Failed int `json:"failed,omitempty"`
	Absent int `json:"absent,omitempty"`
	// Retries are requests that clients sent again: load that is no work.
	Retries int `json:"retries,omitempty"`
	// Curve is the number of agents at work, a point wherever it changed.
	Curve []AtWork `json:"curve,omitempty"`
	// Short is set where the level fell short of its N: it never holds.
	Short  bool   `json:"short"`
	Reason string `json:"reason,omitempty"`
}

// AtWork is the number of agents at work from a moment on, in seconds since the
// first one's start.
type AtWork struct {
	Seconds float64 `json:"t_s"`
	Agents  int     `json:"agents"`
}

// MinFullShare is the part of a level in which all N agents have to be at work.
// Below it, most of what was measured was measured with fewer.
const MinFullShare = 0.5

// Deliver computes what N agents delivered. An agent that began again has more
// than one span.
func Deliver(n int, spans []Span) Delivered {
	var d Delivered
	if len(spans) == 0 {
		d.Absent, d.Short, d.Reason = n, true, "no agent ever sent a request"
		return d
	}
	begin, end := spans[0].Start, spans[0].End
	first := map[int]time.Time{} // by agent
	for _, s := range spans {
		if s.Start.Before(begin) {
			begin = s.Start
		}
		if s.End.After(end) {
			end = s.End
		}
		if t, ok := first[s.Agent]; !ok || s.Start.Before(t) {
			first[s.Agent] = s.Start
		}
		if s.Failed != "" {
			d.Failed++
		}
	}
	last := begin
	for _, t := range first {
		if t.After(last) {
			last = t
		}
	}
	d.StartSkewS, d.Absent = last.Sub(begin).Seconds(), max(0, n-len(first))
	d.follow(n, spans, begin, end)
	d.judge(n, spans, begin, end)
	return d
}

// follow walks through the spans' ends and beginnings.
func (d *Delivered) follow(n int, spans []Span, begin, end time.Time) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, s := range spans {
		changes = append(changes, change{s.Start, 1}, change{s.End, -1})
	}
	slices.SortStableFunc(changes, func(a, b change) int { return a.at.Compare(b.at) })
	whole := end.Sub(begin).Seconds()
	active := 0
	for i, c := range changes {
		active += c.by
		if i+1 < len(changes) && changes[i+1].at.Equal(c.at) {
			continue
		}
		d.Curve = append(d.Curve, AtWork{c.at.Sub(begin).Seconds(), active})
		if i+1 == len(changes) || whole <= 0 {
			continue
		}
		part := changes[i+1].at.Sub(c.at).Seconds() / whole
		d.ActiveMean += part * float64(active)
		if active >= n {
			d.FullShare = min(1, d.FullShare+part) // parts that are rounded may add up to more
		}
	}
}

// judge says whether the level fell short, and who was the first to spoil it.
func (d *Delivered) judge(n int, spans []Span, begin, end time.Time) {
	if d.Absent > 0 {
		d.Short, d.Reason = true, fmt.Sprintf("%d of %d agents never sent a request", d.Absent, n)
		return
	}
	if d.FullShare >= MinFullShare {
		return
	}
	d.Short = true
	d.Reason = fmt.Sprintf("all %d agents were at work for %.0f %% of the level (at least %.0f %% is wanted; %.1f on average)",
		n, 100*d.FullShare, 100*MinFullShare, d.ActiveMean)
	early := spans[0]
	for _, s := range spans[1:] {
		if s.End.Before(early.End) {
			early = s
		}
	}
	whole := end.Sub(begin).Seconds()
	switch {
	case whole > 0 && d.StartSkewS/whole > 1-MinFullShare:
		d.Reason += fmt.Sprintf(": the last one began %.0f s after the first", d.StartSkewS)
	case early.Failed != "":
		d.Reason += fmt.Sprintf(": agent %d ended after %.0f s: %s", early.Agent, early.End.Sub(begin).Seconds(), early.Failed)
	default:
		d.Reason += fmt.Sprintf(": agent %d had finished after %.0f of %.0f s; -precision keeps them at work", early.Agent, early.End.Sub(begin).Seconds(), whole)
	}
}
