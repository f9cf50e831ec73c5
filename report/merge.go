package report

import (
	"fmt"
	"math"
	"strings"
)

// Repeats are the levels of one team size that a level was merged from.
type Repeats struct {
	Count int `json:"count"`
	// CV is the coefficient of variation of each averaged figure over the
	// repeats (sample standard deviation ÷ mean), by the figure's key.
	CV map[string]float64 `json:"cv"`
	// Levels are the repeats as they were measured.
	Levels []Level `json:"levels"`
}

// varied says by how much the means did, as far as it is known: what one repeat
// lacks has no mean.
func (r *Repeats) varied() string {
	var by []string
	for _, f := range [][2]string{{"mean tok/s", "mean_tps"}, {"mean TTFT", "mean_ttft"}} {
		if cv, ok := r.CV[f[1]]; ok {
			by = append(by, fmt.Sprintf("%s by %.1f %%", f[0], 100*cv))
		}
	}
	if len(by) == 0 {
		return ""
	}
	return "; varied: " + strings.Join(by, ", ") + " (CV)"
}

// figures are the level's headline figures, by their key.
func (l *Level) figures() map[string]**float64 {
	return map[string]**float64{
		"mean_ttft": &l.MeanTTFT, "median_ttft": &l.MedianTTFT, "p90_ttft": &l.P90TTFT, "p99_ttft": &l.P99TTFT,
		"mean_tps": &l.MeanTPS, "median_tps": &l.MedianTPS, "p90_tps": &l.P90TPS, "p99_tps": &l.P99TPS,
		"e2e_mean": &l.E2EMean, "e2e_p50": &l.E2EP50, "e2e_p90": &l.E2EP90, "e2e_p99": &l.E2EP99,
		"tokens_per_hour": &l.TokensPerHour, "computed_tokens_per_hour": &l.ComputedTokensPerHour,
		"cost_per_mtok": &l.CostPerMTok, "cost_per_mtok_output": &l.CostPerMTokOutput,
		"prefix_cache_hit_rate": &l.PrefixCacheHitRate, "effective_concurrency": &l.EffectiveConcurrency,
	}
}

// Merge joins repeats of one team size, the latest last: headline figures
// become means (a figure that one of them lacks is dropped), bounds the hull of
// theirs, and the verdict is the conservative one: it holds where all hold, for
// certain where all do so for certain, and certainly does not where one certainly
// does not; it is valid where all are; at p90 nobody knows where one does not say.
// Everything else (counts, windows, agents) is the latest's; the repeats stay whole
// in Repeats. A single level is returned as it is.
func Merge(levels []Level) Level {
	if len(levels) == 0 {
		return Level{}
	}
	m := levels[len(levels)-1]
	if len(levels) == 1 {
		return m
	}
	m.Repeats = &Repeats{Count: len(levels), CV: map[string]float64{}, Levels: levels}
	for key, into := range m.figures() {
		*into = nil
		mean, cv, ok := spread(levels, key)
		if ok {
			*into, m.Repeats.CV[key] = &mean, cv
		}
	}
	m.Bounds = map[string]Bound{}
	for key, b := range levels[0].Bounds {
		all := true
		for _, l := range levels[1:] {
			o, ok := l.Bounds[key]
			b, all = Bound{Low: min(b.Low, o.Low), High: max(b.High, o.High)}, all && ok
		}
		if all {
			m.Bounds[key] = b
		}
	}
	m.agree(levels)
	return m
}

// agree makes the verdict out of the repeats'.
func (m *Level) agree(levels []Level) {
	valid, certain := true, true
	holds := 0
	worst := -1
	m.Valid, m.Gates = &valid, GatesScored
	m.HoldsSLOP90 = allOf(levels, func(l Level) *bool { return l.HoldsSLOP90 })
	for i, l := range levels {
		m.AgentsOK = min(m.AgentsOK, l.AgentsOK)
		switch {
		case l.HoldsSLO:
			holds++
			certain = certain && l.HoldsSLOCertain
		case worst < 0 || l.HoldsSLOCertain || !levels[worst].HoldsSLOCertain:
			worst = i // the latest of those that do not hold, first of those that certainly do not
		}
		switch {
		case l.Valid == nil:
			m.Valid, m.Gates = nil, l.Gates
		case !*l.Valid:
			valid, m.InvalidReason = false, fmt.Sprintf("repeat %d: %s", i+1, l.InvalidReason)
		}
	}
	m.HoldsSLO, m.HoldsSLOCertain = worst < 0, certain
	if worst < 0 {
		m.Verdict = fmt.Sprintf("holds in all of %d repeats; the latest: %s", len(levels), m.Verdict)
	} else {
		m.HoldsSLOCertain = levels[worst].HoldsSLOCertain
		m.Verdict = fmt.Sprintf("does not hold in %d of %d repeats: %s", len(levels)-holds, len(levels), levels[worst].Verdict)
	}
}

// allOf says whether something is so of all levels; nil where one of them does
// not know.
func allOf(levels []Level, of func(Level) *bool) *bool {
	all := true
	for _, l := range levels {
		v := of(l)
		if v == nil {
			return nil
		}
		all = all && *v
	}
	return &all
}

// spread is the mean and the coefficient of variation of a figure that all
// levels have.
func spread(levels []Level, key string) (mean, cv float64, ok bool) {
	var values []float64
	for i := range levels {
		v := *levels[i].figures()[key]
		if v == nil {
			return 0, 0, false
		}
		values = append(values, *v)
		mean += *v / float64(len(levels))
	}
	var squares float64
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	if mean > 0 {
		cv = math.Sqrt(squares/float64(len(values)-1)) / mean
	}
	return mean, cv, true
}
