package dashboard_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// combo is a combination, as far as its name and its limits go.
type combo map[string]any

func comboOf(hw, pct string, ttft, tps float64) combo {
	return combo{"bench": "dev-load", "gpus": 1, "hw": hw, "family": "q", "quant": "awq", "source": "measured", "slo": map[string]any{"ttft": ttft, "tps": tps, "pct": pct}}
}

// One limit that is asked for leaves the other at each combination's own, and the
// percentile too.
func TestAnUnsetLimitIsEachOnesOwn(t *testing.T) {
	type question struct {
		Combo combo           `json:"combo"`
		Level json.RawMessage `json:"level"`
		W     map[string]any  `json:"w"`
	}
	level := json.RawMessage(`{"holds": true, "sure": false, "ttft": 5, "tps": 30, "ttftb": [5, 5], "tpsb": [30, 30]}`)
	strict, lax := comboOf("a100", "p90", 2, 20), comboOf("l4", "p50", 10, 25)
	all := []question{
		{strict, level, map[string]any{"tps": 15}},
		{lax, level, map[string]any{"tps": 15}},
		{lax, level, map[string]any{"ttft": 6}},
		{lax, level, map[string]any{"ttft": 4}},
		{strict, level, map[string]any{}},          // the report's own
		{strict, level, map[string]any{"ttft": 2}}, // that too
	}
	var got []struct {
		V struct{ Holds, Sure bool }
		L struct {
			TTFT, TPS float64
			Pct       string
		}
	}
	ask(t, `(c) => ({ V: maths.judge(c.combo, c.level, c.w), L: maths.limits(c.combo, c.w) })`, all, &got)
	for i, want := range []struct {
		holds, sure bool
		ttft, tps   float64
		pct         string
	}{
		{false, true, 2, 15, "p90"}, {true, true, 10, 15, "p50"}, {true, true, 6, 25, "p50"}, {false, true, 4, 25, "p50"}, {true, false, 2, 20, "p90"}, {true, false, 2, 20, "p90"},
	} {
		if g := got[i]; g.V.Holds != want.holds || g.V.Sure != want.sure || g.L.TTFT != want.ttft || g.L.TPS != want.tps || g.L.Pct != want.pct {
			t.Errorf("question %d: %+v, want %+v", i, g, want)
		}
	}
}

// Combinations that differ in their SLO only have different names, and a chart's
// line says whose limit it is.
func TestNamesAndLinesSayWhichLimits(t *testing.T) {
	var got []struct {
		Names []string
		Lines [][]any
	}
	ask(t, `(c) => ({ Names: [...words.names(c).values()], Lines: words.lines(c, c.map((x) => x.slo), 'ttft', (v) => v + ' s') })`, [][]combo{
		{comboOf("l4", "p50", 10, 20), comboOf("l40s", "p50", 10, 20)},
		{comboOf("l4", "p50", 10, 20), comboOf("l4", "p50", 2, 20), comboOf("l40s", "p50", 10, 20)},
		{comboOf("l4", "p50", 10, 20), comboOf("l40s", "p90", 10, 20)},
		{comboOf("a", "p50", 1, 20), comboOf("b", "p50", 2, 20), comboOf("c", "p50", 3, 20), comboOf("d", "p50", 4, 20)},
	}, &got)
	const l4, l40s = "1 × l4, q/awq (measured)", "1 × l40s, q/awq (measured)"
	for i, want := range [][]string{{l4, l40s}, {l4 + ", p50 ≤ 10 s, ≥ 20 tok/s", l4 + ", p50 ≤ 2 s, ≥ 20 tok/s", l40s}, {l4 + ", p50", l40s + ", p90"}} {
		if !slices.Equal(got[i].Names, want) {
			t.Errorf("names %q, want %q", got[i].Names, want)
		}
	}
	for i, want := range [][]string{{"SLO: 10 s"}, {"SLO of 2 of 3: 10 s", "SLO of 1 × l4: 2 s"}, {"SLO of 1 × l4: p50 10 s", "SLO of 1 × l40s: p90 10 s"}, {}} {
		var lines []string
		for _, l := range got[i].Lines {
			lines = append(lines, l[1].(string))
		}
		if !slices.Equal(lines, want) {
			t.Errorf("lines %q, want %q", lines, want)
		}
	}
}
