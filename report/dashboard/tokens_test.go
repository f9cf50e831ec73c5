package dashboard_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/x/dail/report"
	"github.com/x/dail/report/dashboard"
)

// priced is a level, and what a GPU hour costs; cost is what a million tokens do.
type priced struct {
	Price float64         `json:"price"`
	Level json.RawMessage `json:"level"`
}

type cost struct{ All, Output *float64 }

func costs(t *testing.T, all []priced) (got []cost) {
	t.Helper()
	ask(t, `(c) => ({ All: maths.mtok({ hw: 'x', price: 77 }, c.level.mtok, { price: { x: c.price } }), Output: maths.mtok({ hw: 'x', price: c.price }, c.level.mtokout, {}) })`, all, &got)
	return got
}

func alike(got, want *float64) bool {
	return got == nil && want == nil || got != nil && want != nil && math.Abs(*got-*want) <= 1e-6**want
}

// At its own price a token costs on the page what it does in the report.
func TestTokensCostWhatTheReportSays(t *testing.T) {
	_, page, err := write(t, committed, dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := report.LoadDir(committed)
	if err != nil {
		t.Fatal(err)
	}
	var asked []priced
	var want []report.CombinedLevel
	for i, c := range report.Combine(files) {
		for k, l := range c.Levels {
			asked = append(asked, priced{c.Latest.PriceUSDPerGPUHour, page.Combos[i].Levels[k]})
			want = append(want, l)
		}
	}
	n := 0
	for i, got := range costs(t, asked) {
		l := want[i]
		if !alike(got.All, l.CostPerMTok) || !alike(got.Output, l.CostPerMTokOutput) {
			t.Errorf("%s N=%d: $%v and $%v, the report has $%v and $%v", l.From[0].Path, l.Devs, deref(got.All), deref(got.Output), deref(l.CostPerMTok), deref(l.CostPerMTokOutput))
		}
		if got.All != nil {
			n++
		}
	}
	if n < 20 {
		t.Errorf("only %d levels were compared", n)
	}
}

func deref(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// Runs at other prices, or at none, are asked about at one price.
func TestTokensAtOnePrice(t *testing.T) {
	dir := t.TempDir()
	for i, was := range []float64{4, 0, 1} {
		r := sample(t)
		r.RunID, r.PriceUSDPerGPUHour = fmt.Sprintf("20270101-00000%d", i), was
		l := measured(1, 30)
		rate := 1e6 * float64(i+1)
		cost, output := was*1e6/rate, was*10e6/rate
		l.TokensPerHour, l.CostPerMTok, l.CostPerMTokOutput = &rate, &cost, &output
		l.ServerTokens = &report.ServerTokens{Prompt: 900, Generation: 100}
		r.ByDevs = []report.Level{l}
		put(t, dir, fmt.Sprint(i), r)
	}
	_, page, err := write(t, dir, dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := costs(t, []priced{{3, page.Combos[0].Levels[0]}})[0]
	want := 3 * (1 + 1.0/2 + 1.0/3) / 3
	if ten := 10 * want; !alike(got.All, &want) || !alike(got.Output, &ten) {
		t.Errorf("$%v and $%v, want $%g and ten times that", deref(got.All), deref(got.Output), want)
	}
}

// What was measured is not held against a simulation, nor against a level that is
// not valid.
func TestTheCheapestIsOfTheSameSource(t *testing.T) {
	const program = `(combos) => { const over = maths.overCheapest(combos, {}); return combos.map((c) => c.levels.map((l) => over(c, l))) }`
	var got [][][]*float64
	ask(t, program, []any{json.RawMessage(`[
		{"bench": "a", "source": "measured", "price": 2, "levels": [{"n": 4, "mtok": 3}]},
		{"bench": "a", "source": "measured", "price": 1, "levels": [{"n": 4, "mtok": 2}, {"n": 8, "mtok": 1, "valid": false}, {"n": 16}]},
		{"bench": "a", "source": "simulated", "price": 1, "levels": [{"n": 4, "mtok": 1}]},
		{"bench": "b", "source": "measured", "price": 1, "levels": [{"n": 4, "mtok": 0.5}]}]`)}, &got)
	var all []any
	for _, c := range got[0] {
		for _, v := range c {
			all = append(all, deref(v))
		}
	}
	if s := fmt.Sprint(all); s != "[3 1 <nil> <nil> 1 1]" {
		t.Errorf("%s", s)
	}
}
