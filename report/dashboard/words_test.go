package dashboard_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/slo"
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
		Apart []string
	}
	ask(t, `(c) => ({ Apart: words.apart(c.map((x) => x.slo)), Names: [...words.names(c).values()], Lines: words.lines(c, c.map((x) => x.slo), 'ttft', (v) => v + ' s') })`, [][]combo{
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
	for i, want := range [][]string{nil, {"≤ 10 s", "≤ 2 s", "≤ 10 s"}, {"p50", "p90"}} {
		if !slices.Equal(got[i].Apart, want) {
			t.Errorf("apart %q, want %q", got[i].Apart, want)
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

// What is provisional or open says so wherever it is an answer.
func TestMarksOfAVerdict(t *testing.T) {
	type said struct {
		Cell    [2]string
		Marks   []string
		Beside  string
		Sure    string
		Because string
	}
	type question struct {
		V json.RawMessage `json:"v"`
		L json.RawMessage `json:"l"`
	}
	q := func(v, l string) question { return question{json.RawMessage(v), json.RawMessage(l)} }
	var got []said
	ask(t, `(c) => ({ Cell: words.verdict(c.v, c.l), Marks: words.marks(c.v, c.l), Beside: words.beside(c.v, c.l), Sure: words.sureness(c.v, c.l, true), Because: words.why(c.v, c.l, false) })`, []question{
		q(`{"holds": true, "sure": true}`, `{"n": 4, "valid": true}`),
		q(`{"holds": true, "sure": true}`, `{"n": 4, "valid": null}`),
		q(`{"holds": true, "sure": false, "but": [2]}`, `{"n": 4, "valid": null, "machine": true, "parts": [{}, {}], "cv": {"median_tps": 21}}`),
		q(`{"holds": false, "sure": false, "kept": true}`, `{"n": 4, "valid": true, "why": "so"}`),
		q(`{"holds": false, "sure": true, "fails": 1}`, `{"n": 4, "valid": true, "parts": [{}, {}]}`),
		q(`{"holds": false, "sure": false}`, `{"n": 4, "valid": false, "why": "idle"}`),
	}, &got)
	for i, want := range []said{
		{[2]string{"yes", "yes"}, nil, "holds", "certain by the bounds", ""},
		{[2]string{"open", "yes, pending"}, []string{"provisional"}, "holds, provisional", "provisional: its work is not judged yet; certain by the bounds", ""},
		{[2]string{"open", "yes ?, pending"}, []string{"provisional", "not certain", "limited by the load generator", "but not for 2"}, "holds, provisional, not certain",
			"open: the bounds straddle a limit; 2 measurements, whose speed varies by 2.1 %; limited by the load generator; but not for 2", ""},
		{[2]string{"bad", "no, not recomputed"}, nil, "does not hold, not recomputed", "", "not recomputed: so"},
		{[2]string{"bad", "no"}, nil, "does not hold", "", "at 4 developers: 1 of 2 measurements do not hold"},
		{[2]string{"bad", "not valid"}, nil, "not valid", "", "idle"},
	} {
		g := got[i]
		if g.Cell != want.Cell || want.Marks != nil && !slices.Equal(g.Marks, want.Marks) || !strings.HasPrefix(g.Beside, want.Beside) || !strings.Contains(g.Sure, want.Sure) || !strings.HasPrefix(g.Because, want.Because) && want.Because != "" {
			t.Errorf("%d: %+v, want %+v", i, g, want)
		}
	}
}

func TestWhatEachOfThePeoplePays(t *testing.T) {
	type question struct {
		N    int     `json:"n"`
		Duty float64 `json:"duty"`
	}
	all := []question{{8, 0}, {8, 1}, {8, 0.25}, {1, 0.1}, {32, 0.5}}
	var got []float64
	ask(t, `(c) => maths.perDevMonth({ hw: 'x', gpus: 2, price: 3, hours: 730 }, c.n, { duty: c.duty })`, all, &got)
	for i, c := range all {
		n := c.N
		if c.Duty > 0 {
			n = people(t, c.N, c.Duty)
		}
		if want := slo.CostPerDevMonth(3, 2, n, 730); !near(got[i], want) {
			t.Errorf("%+v: $%g, want $%g", c, got[i], want)
		}
	}
}

func TestTimesAndHints(t *testing.T) {
	var times []string
	ask(t, `fmt.time`, []float64{0.4, 59.4, 59.6, 119.4, 119.6, 3600}, &times)
	if want := []string{"0 s", "59 s", "1 min 00 s", "1 min 59 s", "2 min 00 s", "60 min 00 s"}; !slices.Equal(times, want) {
		t.Errorf("%q, want %q", times, want)
	}
	var hints []string
	ask(t, `words.hint`, [][]float64{{730, 730}, {730, 176}, {10, 2, 10}, {1, 2, 3, 4}, {}}, &hints)
	if want := []string{"730", "176 / 730", "2 / 10", "each its own", ""}; !slices.Equal(hints, want) {
		t.Errorf("%q, want %q", hints, want)
	}
}
