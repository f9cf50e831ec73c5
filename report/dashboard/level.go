package dashboard

import (
	"cmp"
	"math"
	"slices"

	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

// light is a report without what only a look at the run needs: a thousand reports
// with all of their agents would fill the memory.
func light(r *report.Report) *report.Report {
	out := *r
	out.Baseline, out.Timeline, out.Agent = nil, nil, nil
	out.ByDevs = lightLevels(r.ByDevs)
	return &out
}

func lightLevels(all []report.Level) []report.Level {
	all = slices.Clone(all)
	for i := range all {
		l := &all[i]
		if l.Harness != nil {
			l.Harness = &report.Harness{Limited: l.Harness.Limited}
		}
		if l.Delivered != nil {
			l.Delivered = &slo.Delivered{Short: l.Delivered.Short}
		}
		if l.Repeats != nil {
			l.Repeats = &report.Repeats{Count: l.Repeats.Count, CV: l.Repeats.CV, Levels: lightLevels(l.Repeats.Levels)}
		}
		l.Perceived, l.Agents, l.Notes = nil, nil, nil
	}
	return all
}

// merged is one team size over its runs.
func merged(c report.CombinedLevel, gpus int) level {
	l := c.Level
	out := level{
		N: l.Devs, Holds: l.HoldsSLO, Sure: l.HoldsSLOCertain, Valid: l.Valid, Why: l.Verdict,
		Limits: l.Harness != nil && l.Harness.Limited, MeanTPS: l.MeanTPS, TTFT90: l.P90TTFT, TPS90: l.P90TPS,
		PerHour: l.TokensPerHour, Hit: l.PrefixCacheHitRate,
		Util: l.Utilization, Penalty: l.UnderutilizationPenalty, OK: l.AgentsOK, Stopped: l.Stopped,
	}
	out.MTok, out.MTokOut = atOneDollar(l, gpus)
	out.judge(c)
	if l.InvalidReason != "" && out.Valid != nil && !*out.Valid {
		out.Why = l.InvalidReason
	}
	if l.Repeats != nil {
		out.CV = map[string]int{}
		for _, figure := range []string{"median_tps", "mean_tps", "median_ttft", "cost_per_mtok"} {
			if cv, ok := l.Repeats.CV[figure]; ok && !math.IsNaN(cv) {
				out.CV[figure] = int(math.Round(1000 * cv))
			}
		}
	}
	out.narrow(l)
	return out
}

// judge adds what a verdict under other limits is made of.
func (out *level) judge(c report.CombinedLevel) {
	runs := []report.Level{c.Level}
	if len(c.From) > 1 {
		runs = c.Repeats.Levels
	}
	holds := true
	for i, l := range runs {
		by := c.From[i].Report.SLO
		for _, l := range measurements(l) {
			p := judged(l, by)
			h, _ := p.keeps(by)
			holds = holds && h && !p.Denied
			out.Parts = append(out.Parts, p)
		}
	}
	if len(out.Parts) == 1 {
		out.part, out.Parts = out.Parts[0], nil
	} else {
		out.figures = figuresOf(c.Level)
	}
	// Whatever else made the level fail, other limits do not mend it.
	out.Denied = out.Denied || denied(c.Level) || holds && !c.HoldsSLO
}

// measurements are what a level was merged from; itself, where it was not.
func measurements(l report.Level) []report.Level {
	if l.Repeats == nil || len(l.Repeats.Levels) == 0 {
		return []report.Level{l}
	}
	var all []report.Level
	for _, one := range l.Repeats.Levels {
		all = append(all, measurements(one)...)
	}
	return all
}

// denied is whether the level cannot hold, whatever its figures say.
func denied(l report.Level) bool {
	return l.Valid != nil && !*l.Valid || l.Stopped != "" || l.Delivered != nil && l.Delivered.Short
}

// judged is a measurement as it can be judged anew. What the report knew and the
// figures here do not say (tails while all N were at work, a server that
// restarted) shows where the two differ under the limits by which the report
// judged: a level that fails there although its figures hold fails under all
// limits, and one that is open there is open under all.
func judged(l report.Level, by report.SLO) part {
	p := part{figures: figuresOf(l)}
	unseen := false
	if a := allActive(l); a != nil {
		if unseen = percentile(l) != "median"; !unseen {
			p.All = &figures{a.MedianTTFT, a.MedianTPS, pair(a.Bounds, "median_ttft"), pair(a.Bounds, "median_tps")}
		}
	}
	holds, sure := p.keeps(by)
	p.Denied = denied(l) || holds && !l.HoldsSLO
	p.Open = unseen || sure && !l.HoldsSLOCertain
	return p
}

// allActive is the window in which all N were at work; nil where it was too short
// to have a speed.
func allActive(l report.Level) *report.Window {
	if l.Window == nil || l.Window.AllNActive == nil || l.Window.AllNActive.MedianTPS == nil {
		return nil
	}
	return l.Window.AllNActive
}

// keeps is whether a part keeps limits, and whether its bounds alone say so, by
// the formula of [slo.Criteria]; assets/maths.js has the same.
func (p part) keeps(s report.SLO) (holds, sure bool) {
	holds, sure = p.figures.keeps(s)
	if p.All == nil || p.All.TTFT == nil {
		return holds, sure
	}
	all, allSure := p.All.keeps(s)
	if holds && !all {
		return false, allSure
	}
	return holds, sure && (allSure || !holds)
}

func (f figures) keeps(s report.SLO) (holds, sure bool) {
	if f.TTFT == nil || f.TPS == nil {
		return false, false
	}
	ttft, tps := span(f.TTFTB), span(f.TPSB)
	switch {
	case ttft.High <= s.MaxTTFT && tps.Low >= s.MinTPS:
		return true, true
	case ttft.Low >= s.MaxTTFT || tps.High <= s.MinTPS:
		return false, true
	}
	return *f.TTFT <= s.MaxTTFT && *f.TPS >= s.MinTPS, false
}

// span is a bound as it was before [pair]; all that may be, where there is none.
func span(b *[2]float64) report.Bound {
	switch {
	case b == nil:
		return report.Bound{Low: 0, High: math.Inf(1)}
	case b[1] < 0:
		return report.Bound{Low: b[0], High: math.Inf(1)}
	}
	return report.Bound{Low: b[0], High: b[1]}
}

// percentile is how the level's report calls figures of the percentile that it was
// judged by.
func percentile(l report.Level) string {
	if p := cmp.Or(l.SLOPercentile, "p50"); p != "p50" {
		return p
	}
	return "median"
}

// figuresOf are the figures that the level's verdict is read from.
func figuresOf(l report.Level) figures {
	p := percentile(l)
	f := figures{TTFTB: pair(l.Bounds, p+"_ttft"), TPSB: pair(l.Bounds, p+"_tps")}
	switch p {
	case "median":
		f.TTFT, f.TPS = l.MedianTTFT, l.MedianTPS
	case "p90":
		f.TTFT, f.TPS = l.P90TTFT, l.P90TPS
	case "p99":
		f.TTFT, f.TPS = l.P99TTFT, l.P99TPS
	}
	return f
}

// atOneDollar is what a million tokens, and a million of output, would cost if a
// GPU hour cost a dollar, nil where that is not known: the page multiplies it by
// whatever price it is asked about. Of a level that was merged it is the mean, as
// the report's is; what the GPUs cost when each part was measured plays no role.
func atOneDollar(l report.Level, gpus int) (all, output *float64) {
	if l.Repeats != nil && len(l.Repeats.Levels) > 0 {
		var alls, outputs []*float64
		for _, one := range l.Repeats.Levels {
			a, o := atOneDollar(one, gpus)
			alls, outputs = append(alls, a), append(outputs, o)
		}
		return mean(alls), mean(outputs)
	}
	if l.TokensPerHour == nil {
		return nil, nil
	}
	perHour := slo.CostPerHour(1, gpus)
	if v, ok := slo.CostPerMTok(perHour, *l.TokensPerHour); ok {
		all = &v
	}
	switch t := l.ServerTokens; {
	case t != nil && t.Generation > 0 && t.Prompt >= 0:
		if v, ok := slo.CostPerMTok(perHour, *l.TokensPerHour*float64(t.Generation)/float64(t.Prompt+t.Generation)); ok {
			output = &v
		}
	case all != nil && l.CostPerMTok != nil && *l.CostPerMTok > 0 && l.CostPerMTokOutput != nil:
		v := *all * *l.CostPerMTokOutput / *l.CostPerMTok
		output = &v
	}
	return all, output
}

// mean is nil where a value is.
func mean(values []*float64) *float64 {
	sum := 0.0
	for _, v := range values {
		if v == nil {
			return nil
		}
		sum += *v / float64(len(values))
	}
	return &sum
}

// narrow adds the intervals of whichever window is the narrower one.
func (out *level) narrow(l report.Level) {
	if l.Window == nil {
		return
	}
	c := l.Window.Whole.Confidence
	if a := allActive(l); a != nil {
		c = a.Confidence
	}
	if c == nil {
		return
	}
	out.Share = &c.Holds
	of := func(key string) *[2]float64 {
		if i, ok := c.Intervals[key]; ok {
			return &[2]float64{i.Low, i.High}
		}
		return nil
	}
	out.ConfTTFT, out.ConfTPS = of(percentile(l)+"_ttft"), of(percentile(l)+"_tps")
}

// pair is a bound as the page has it.
func pair(bounds map[string]report.Bound, key string) *[2]float64 {
	b, ok := bounds[key]
	if !ok {
		return nil
	}
	if math.IsInf(b.High, 1) {
		b.High = -1
	}
	return &[2]float64{b.Low, b.High}
}
