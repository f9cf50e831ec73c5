package report

import (
	"fmt"
	"strings"
)

// Best is the level that answers the question: the largest team size that
// holds the SLO with a load that was real. A level whose gates are pending may
// be it. False where none holds.
func (r *Report) Best() (Level, bool) {
	var best Level
	for _, l := range r.ByDevs {
		if l.HoldsSLO && (l.Valid == nil || *l.Valid) && l.Devs > best.Devs {
			best = l
		}
	}
	return best, best.Devs > 0
}

// provisional is set while the gates can still make the level invalid.
func (l Level) provisional() bool { return l.Valid == nil && l.Gates != GatesSkipped }

// Answer is the run's answer in a sentence: the largest tested team size that
// holds, and its price. What is not measured on a GPU, not certain, or not
// final says so.
func Answer(r *Report) string {
	percentile := r.SLO.Percentile
	if percentile == "" {
		percentile = "p50"
	}
	limits := fmt.Sprintf("%s time to first token ≤ %g s, %s speed ≥ %g tok/s", percentile, r.SLO.MaxTTFT, percentile, r.SLO.MinTPS)
	server := fmt.Sprintf("%d × %s", r.GPUCount, r.Hardware)
	var marks []string
	if l := label(r.Source); l != "" {
		marks = append(marks, l)
	}
	best, ok := r.Best()
	var real, broken []string // team sizes with a real load, and those of them below the best that do not hold
	for _, l := range r.ByDevs {
		if l.Valid != nil && !*l.Valid {
			continue
		}
		real = append(real, fmt.Sprint(l.Devs))
		if !l.HoldsSLO && l.Devs < best.Devs {
			broken = append(broken, fmt.Sprint(l.Devs))
		}
	}
	switch {
	case len(r.ByDevs) == 0:
		return "No answer: nothing was measured."
	case len(real) == 0:
		return "No answer: no level had a real load" + bracket(marks) + "."
	case !ok:
		return fmt.Sprintf("No tested team size (%s) holds the SLO (%s) on %s%s.", strings.Join(real, ", "), limits, server, bracket(marks))
	}
	if len(broken) > 0 {
		marks = append(marks, "but not for "+strings.Join(broken, ", "))
	}
	if best.provisional() {
		marks = append(marks, "provisional: gates pending")
	}
	if best.uncertain() {
		marks = append(marks, "not certain")
	}
	if best.Harness != nil && best.Harness.Limited {
		marks = append(marks, "limited by this machine, not the GPU")
	}
	team := fmt.Sprintf("%d developers", best.Devs)
	if best.Devs == 1 {
		team = "1 developer"
	}
	return fmt.Sprintf("%s with %s/%s holds the SLO (%s) for %s at $%.0f/dev-month%s.",
		server, r.Family, r.Quant, limits, team, best.CostPerDevMonth, bracket(marks))
}

func bracket(marks []string) string {
	if len(marks) == 0 {
		return ""
	}
	return " (" + strings.Join(marks, "; ") + ")"
}
