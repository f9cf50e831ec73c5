package slo

import (
	"fmt"
	"time"
)

// Sequential decides, while a level runs, whether more of it could change its
// verdict. Far from the limits a level needs little; near them, all it can get.
//
// Looking often at growing data finds a false difference sooner or later, so a
// decision is asked for more than an interval: the whole of it must lie beyond
// the limit by a margin, which also stands for what later phases of the work
// may bring. The zero value takes the defaults.
type Sequential struct {
	Criteria Criteria
	// MinWindow and MinRequests must have been measured before the first
	// decision. 0: 30 seconds, 5 requests for each of N.
	MinWindow   time.Duration
	MinRequests int
	// Level is the interval's, Margin the part of the limit by which it must
	// clear it. 0: 0.99 and 0.05.
	Level, Margin float64
}

// Decision is what a look found.
type Decision struct {
	Decided, Holds bool
	// Why says what decided it, or what is missing.
	Why string
}

func (q Sequential) withDefaults() Sequential {
	if q.MinWindow == 0 {
		q.MinWindow = 30 * time.Second
	}
	if q.MinRequests == 0 {
		q.MinRequests = 5
	}
	if q.Level == 0 {
		q.Level = 0.99
	}
	if q.Margin == 0 {
		q.Margin = 0.05
	}
	return q
}

// Look judges the series of n agents as it stands.
func (q Sequential) Look(s Series, n int) (Decision, error) {
	q = q.withDefaults()
	w, err := s.Window()
	switch {
	case err != nil:
		return Decision{}, err
	case w == nil || w.Seconds() < q.MinWindow.Seconds():
		return Decision{Why: "the window is too short yet"}, nil
	case w.Restarted:
		return Decision{Why: "the server restarted in the window"}, nil
	case int(w.TTFT.Count()) < q.MinRequests*n:
		return Decision{Why: fmt.Sprintf("%d requests began, of the %d that a decision needs", int(w.TTFT.Count()), q.MinRequests*n)}, nil
	}
	c, ok := s.Confidence(q.Level, q.Criteria)
	if !ok {
		return Decision{Why: "the series is too short yet"}, nil
	}
	percentile := q.Criteria.percentile()
	ttft, known := c.Intervals[figureKey(percentile, "ttft")]
	tps, alsoKnown := c.Intervals[figureKey(percentile, "tps")]
	if !known || !alsoKnown {
		return Decision{Why: "some stretches of the window have no speed"}, nil
	}
	limit := q.Criteria
	switch {
	case ttft.Low > limit.MaxTTFT*(1+q.Margin):
		return Decision{Decided: true, Why: fmt.Sprintf("%s time to first token is %.2f to %.2f s, clearly above %g s", percentile, ttft.Low, ttft.High, limit.MaxTTFT)}, nil
	case tps.High < limit.MinTPS*(1-q.Margin):
		return Decision{Decided: true, Why: fmt.Sprintf("%s speed is %.1f to %.1f tok/s, clearly below %g", percentile, tps.Low, tps.High, limit.MinTPS)}, nil
	case ttft.High < limit.MaxTTFT*(1-q.Margin) && tps.Low > limit.MinTPS*(1+q.Margin):
		return Decision{Decided: true, Holds: true, Why: fmt.Sprintf("%s time to first token is %.2f to %.2f s and speed %.1f to %.1f tok/s, clearly within the limits", percentile, ttft.Low, ttft.High, tps.Low, tps.High)}, nil
	}
	return Decision{Why: fmt.Sprintf("%s time to first token is %.2f to %.2f s, speed %.1f to %.1f tok/s: too near the limits", percentile, ttft.Low, ttft.High, tps.Low, tps.High)}, nil
}
