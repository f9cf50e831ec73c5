package report

import (
	"fmt"
	"strings"

	"github.com/x/dail/slo"
)

// What utilization counts, see Report.UtilizationTokens.
const (
	tokensComputed = "computed"
	tokensServed   = "served"
)

// NewThetaMax turns a saturation probe into the report's form.
func NewThetaMax(t *slo.Theta) *ThetaMax {
	f := t.Figures
	w := WindowOf(f)
	m := &ThetaMax{
		TokensPerHour:       t.TokensPerHour,
		OutputTokensPerHour: t.OutputTokensPerHour,
		ServerTokens:        ServerTokens{Prompt: f.PromptTokens, Generation: f.GenerationTokens},
		DurationS:           f.Seconds,
		Shape:               Shape{PromptTokens: t.PromptTokens, OutputTokens: t.OutputTokens},
		Concurrency:         t.Concurrency,

		Source:                Measured,
		Window:                &w,
		WarmupS:               t.Warmup.Seconds(),
		ComputedTokensPerHour: measured(f.ComputedPerHour),
		ComputedEstimated:     f.ComputedEstimated,
		PrefixCacheHitRate:    f.PrefixCacheHitRate,
		Preemptions:           &f.Preemptions,
		ConcurrencyMean:       &t.MeanRunning,
		KVPeak:                &t.PeakKV,
		Requests:              &t.Requests,
		Errors:                &t.Errors,
		Limited:               t.Limited != "",
		LimitedReason:         t.Limited,
		Notes:                 t.Notes,
	}
	if f.Simulated {
		m.Source = Simulated
	}
	return m
}

// utilize computes the levels' utilization against Θmax where it was probed,
// else against the best level where there are two to compare; a single level
// would be its own yardstick and say 100 %. A level that was no real load, or
// was stopped, is nobody's yardstick, and while its gates are pending it counts
// as real; [Report.Complete] looks again when they are judged. Both sides count the same tokens:
// computed ones, or served ones where a level's computed ones are not known. A
// level may come out above 1: it is not cut off there, because that says that
// its mix of tokens is a lighter one than the yardstick's. Figures that were taken
// over stay as they are: not all of their yardsticks are known.
func (r *Report) utilize() {
	if r.Origin != nil {
		return
	}
	r.UtilizationBasis, r.UtilizationTokens = "", tokensComputed
	rate := func(l Level) *float64 { return l.ComputedTokensPerHour }
	for _, l := range r.ByDevs {
		if l.ComputedTokensPerHour == nil && l.TokensPerHour != nil {
			rate, r.UtilizationTokens = func(l Level) *float64 { return l.TokensPerHour }, tokensServed
		}
	}
	yardstick, comparable := 0.0, 0
	for _, l := range r.ByDevs {
		if v := rate(l); v != nil && l.Stopped == "" && (l.Valid == nil || *l.Valid) {
			yardstick, comparable = max(yardstick, *v), comparable+1
		}
	}
	switch {
	case r.ThetaMax != nil:
		yardstick, r.UtilizationBasis = r.ThetaMax.rate(r.UtilizationTokens), "theta_max"
	case comparable >= 2:
		r.UtilizationBasis = "best_level"
	default:
		yardstick = 0
	}
	if yardstick <= 0 {
		r.UtilizationBasis, r.UtilizationTokens = "", ""
	}
	for i := range r.ByDevs {
		l := &r.ByDevs[i]
		l.Utilization, l.UnderutilizationPenalty = nil, nil
		v := rate(*l)
		if v == nil {
			continue
		}
		if u, penalty, ok := slo.Utilization(*v, yardstick); ok {
			l.Utilization, l.UnderutilizationPenalty = &u, &penalty
		}
	}
}

// rate is Θmax in computed or served tokens per hour. Where the probe does not
// tell them apart, as the original's does not, its random prompts were in no
// cache, and they are the same.
func (t *ThetaMax) rate(tokens string) float64 {
	if tokens == tokensComputed && t.ComputedTokensPerHour != nil {
		return *t.ComputedTokensPerHour
	}
	return t.TokensPerHour
}

// utilized is the levels' utilization by Θmax for a person. That of the
// original's files is not told: where requests had queued it subtracted cache
// hits that it had counted several times.
func (r *Report) utilized() string {
	if r.UtilizationBasis != "theta_max" || r.UtilizationTokens == "" {
		return ""
	}
	var parts []string
	for _, l := range r.ByDevs {
		if l.Utilization != nil {
			parts = append(parts, fmt.Sprintf("%d: %.0f %%", l.Devs, 100**l.Utilization))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("of Θmax, in %s tokens, the levels used: %s", r.UtilizationTokens, strings.Join(parts, ", "))
}

// sentence is Θmax for a person.
func (t *ThetaMax) sentence() string {
	streams := "streams"
	if t.Concurrency > 0 {
		streams = fmt.Sprintf("%d streams", t.Concurrency)
	}
	s := fmt.Sprintf("Θmax: the saturated server made %.2f M tokens/h, %.2f M of output (%s of %d:%d tokens, %.0f s)",
		t.TokensPerHour/1e6, t.OutputTokensPerHour/1e6, streams, t.Shape.PromptTokens, t.Shape.OutputTokens, t.DurationS)
	if l := label(t.Source); l != "" && t.Source != "" { // the original's files are labelled as a whole
		s += " (" + l + ")"
	}
	if t.Limited {
		s += "; limited: " + t.LimitedReason
	}
	return s
}
