package dashboard_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x/dail/report"
	"github.com/x/dail/report/dashboard"
)

// limits are those that a level is asked about.
type limits struct {
	TTFT float64 `json:"ttft"`
	TPS  float64 `json:"tps"`
}

type verdict struct{ Holds, Sure, Kept bool }

// under is the page's verdict on a level under each of some limits.
func under(t *testing.T, level json.RawMessage, all ...limits) []verdict {
	t.Helper()
	type question struct {
		Level json.RawMessage `json:"level"`
		SLO   limits          `json:"slo"`
	}
	var asked []question
	for _, l := range all {
		asked = append(asked, question{level, l})
	}
	var got []verdict
	ask(t, `(c) => maths.verdict(c.level, c.slo)`, asked, &got)
	return got
}

// measured is a level of 4 with such medians, certain by its bounds, judged by
// the sample's limits of 10 s and 20 tok/s.
func measured(ttft, tps float64) report.Level {
	yes := true
	holds := ttft <= 10 && tps >= 20
	return report.Level{
		Devs: 4, HoldsSLO: holds, HoldsSLOCertain: true, SLOPercentile: "p50", Valid: &yes, Gates: report.GatesScored, AgentsOK: 4,
		MedianTTFT: &ttft, MedianTPS: &tps, Verdict: fmt.Sprintf("%g s, %g tok/s", ttft, tps),
		Bounds: map[string]report.Bound{"median_ttft": {Low: 0.99 * ttft, High: 1.01 * ttft}, "median_tps": {Low: 0.99 * tps, High: 1.01 * tps}},
		Agents: []report.Agent{},
	}
}

// pageOf is the page of runs, each with these levels only.
func pageOf(t *testing.T, runs ...[]report.Level) shown {
	t.Helper()
	dir := t.TempDir()
	for i, levels := range runs {
		r := sample(t)
		r.RunID, r.Devs, r.ByDevs = fmt.Sprintf("20270101-00000%d", i), nil, levels
		put(t, dir, fmt.Sprint(i), r)
	}
	_, page, err := write(t, dir, dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// A level that was measured more than once holds where each measurement does, as
// the report has it: a mean may hide one that fails.
func TestEachMeasurementMustHold(t *testing.T) {
	slow, fast := measured(1, 18), measured(2, 30)
	again := report.Merge([]report.Level{slow, fast})
	for name, page := range map[string]shown{
		"two runs":         pageOf(t, []report.Level{slow}, []report.Level{fast}),
		"repeats of a run": pageOf(t, []report.Level{again}),
		"a run of repeats": pageOf(t, []report.Level{again}, []report.Level{fast}),
	} {
		want := []verdict{{Sure: true}, {Holds: true, Sure: true}, {Sure: true}} // the slow one certainly fails
		got := under(t, page.Combos[0].Levels[0], limits{5, 20}, limits{5, 15}, limits{1.5, 15})
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s, question %d: %+v, want %+v", name, i, got[i], want[i])
			}
		}
	}
}

// Where a level failed by what the page does not have, it fails under all limits;
// where it was open by that, it is never certain.
func TestWhatIsNotRecomputedStays(t *testing.T) {
	never, open, no := measured(1, 30), measured(1, 30), false
	never.HoldsSLO, never.Verdict = false, "does not hold while all 4 were at work"
	open.HoldsSLOCertain = false // as after a restart
	invalid := measured(1, 30)
	invalid.Valid, invalid.HoldsSLO = &no, false
	stopped := measured(1, 18)
	stopped.Stopped, stopped.Valid = "the verdict was clear", nil
	after := report.Merge([]report.Level{measured(1, 30), measured(2, 31)}) // and then it failed as a whole
	after.HoldsSLO = false
	for name, c := range map[string]struct {
		levels []report.Level
		want   verdict
	}{
		"failed as a whole":     {[]report.Level{after}, verdict{Kept: true}},
		"failed elsewhere":      {[]report.Level{never}, verdict{Kept: true}},
		"beside a slow one":     {[]report.Level{never, measured(1, 18)}, verdict{Kept: true}},
		"one of two":            {[]report.Level{measured(1, 30), never}, verdict{Kept: true}},
		"invalid":               {[]report.Level{invalid}, verdict{Kept: true}},
		"stopped":               {[]report.Level{stopped}, verdict{Kept: true}},
		"a restart":             {[]report.Level{open}, verdict{Holds: true}},
		"a restart in one":      {[]report.Level{measured(1, 30), open}, verdict{Holds: true}},
		"nothing of that":       {[]report.Level{measured(1, 30)}, verdict{Holds: true, Sure: true}},
		"below the limit as is": {[]report.Level{measured(1, 18)}, verdict{Holds: true, Sure: true}},
	} {
		page := pageOf(t, []report.Level{report.Merge(c.levels)})
		for _, got := range under(t, page.Combos[0].Levels[0], limits{10, 15}, limits{100, 1}) {
			if got != c.want {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
		}
	}
}

// A level is judged by the figures of its SLO's percentile.
func TestPercentiles(t *testing.T) {
	for _, p := range []string{"p90", "p99"} {
		l := measured(1, 30)
		ttft, tps := 8.0, 22.0
		l.SLOPercentile = p
		if p == "p90" {
			l.P90TTFT, l.P90TPS = &ttft, &tps
		} else {
			l.P99TTFT, l.P99TPS = &ttft, &tps
		}
		l.Bounds[p+"_ttft"], l.Bounds[p+"_tps"] = report.Bound{Low: 7.5, High: 10}, report.Bound{Low: 20, High: math.Inf(1)}
		page := pageOf(t, []report.Level{l})
		var got struct {
			TTFT, TPS   float64
			TTFTB, TPSB [2]float64
		}
		if err := json.Unmarshal(page.Combos[0].Levels[0], &got); err != nil {
			t.Fatal(err)
		}
		if got.TTFT != 8 || got.TPS != 22 || got.TTFTB != [2]float64{7.5, 10} || got.TPSB != [2]float64{20, -1} {
			t.Errorf("%s: %+v", p, got)
		}
		if v := under(t, page.Combos[0].Levels[0], limits{7, 20}, limits{10, 20}, limits{11, 19}); v[0].Holds || v[1] != (verdict{Holds: true, Sure: true}) || !v[2].Holds {
			t.Errorf("%s: %+v", p, v)
		}
		// What the tails were while all were at work is in no report.
		l.Window = &report.Windows{AllNActive: &report.Window{MedianTTFT: &ttft, MedianTPS: &tps}}
		page = pageOf(t, []report.Level{l})
		if v := under(t, page.Combos[0].Levels[0], limits{11, 19}); v[0] != (verdict{Holds: true}) {
			t.Errorf("%s, all at work: %+v", p, v[0])
		}
	}
}

// The formula by which a page is made is the page's own.
func TestBothFormulasAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	around := func(v float64) *float64 { v *= 0.5 + random.Float64(); return &v }
	bound := func(v float64) report.Bound {
		b := report.Bound{Low: v * (0.4 + 0.6*random.Float64()), High: v * (1 + random.Float64())}
		if random.IntN(8) == 0 {
			b.High = math.Inf(1)
		}
		return b
	}
	type question struct {
		Level json.RawMessage `json:"level"`
		SLO   limits          `json:"slo"`
	}
	var levels []report.Level
	var asked []question
	for i := range 200 {
		l := measured(*around(10), *around(20))
		l.Devs = i + 1
		l.Bounds = map[string]report.Bound{"median_ttft": bound(*l.MedianTTFT), "median_tps": bound(*l.MedianTPS)}
		if random.IntN(2) == 0 {
			a := &report.Window{MedianTTFT: around(10), MedianTPS: around(20)}
			a.Bounds = map[string]report.Bound{"median_ttft": bound(*a.MedianTTFT), "median_tps": bound(*a.MedianTPS)}
			l.Window = &report.Windows{AllNActive: a}
		}
		by := report.SLO{MaxTTFT: 10, MinTPS: 20}
		l.HoldsSLO, l.HoldsSLOCertain = dashboard.Keeps(l, by)
		levels = append(levels, l)
	}
	for _, raw := range pageOf(t, levels).Combos[0].Levels {
		asked = append(asked, question{raw, limits{10, 20}})
	}
	var got []verdict
	ask(t, `(c) => maths.verdict(c.level, c.slo)`, asked, &got)
	for i, l := range levels {
		if got[i] != (verdict{Holds: l.HoldsSLO, Sure: l.HoldsSLOCertain}) {
			t.Errorf("%+v: the page says %+v, its maker %v, %v", l, got[i], l.HoldsSLO, l.HoldsSLOCertain)
		}
	}
}

// The tokens of a level that was repeated are all repeats' together, as in the
// report.
func TestRepeatsAreCountedTogether(t *testing.T) {
	var all []report.Level
	for i, computed := range []float64{100_000, 600_000} {
		l := measured(1, 30)
		rate := 1_100_000.0
		l.ServerTokens = &report.ServerTokens{Prompt: 1_000_000, Generation: 100_000}
		l.Window = &report.Windows{Whole: report.Window{Seconds: 3600}}
		l.TokensPerHour, l.ComputedTokensPerHour = &rate, &computed
		l.AgentsOK = 4 - i
		all = append(all, l)
	}
	r := sample(t)
	r.ByDevs = []report.Level{report.Merge(all)}
	r.Compare(0, nil)
	page := pageOf(t, r.ByDevs)
	var got struct {
		Use struct{ Prompt, Cached, Output int64 }
		CV  map[string]int
	}
	if err := json.Unmarshal(page.Combos[0].Levels[0], &got); err != nil {
		t.Fatal(err)
	}
	if u := r.Money.Usage; got.Use.Prompt != u.Prompt || got.Use.Cached != u.Cached || got.Use.Output != u.Output || len(got.CV) == 0 {
		t.Errorf("%+v, want %+v", got, *u)
	}
}
