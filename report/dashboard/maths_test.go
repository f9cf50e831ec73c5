package dashboard_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/x/dail/slo"
)

// ask runs a program over the page's own formulas, in Node.
func ask(t *testing.T, program string, in, out any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIP: needs Node, to run the page's formulas")
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "-e", `const maths = require('./assets/maths.js'); const { fmt, words } = require('./assets/words.js'); const all = JSON.parse(require('fs').readFileSync(0)); console.log(JSON.stringify(all.map((c) => (`+program+`)(c))))`)
	cmd.Stdin = bytes.NewReader(data)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	if err := json.Unmarshal(answer, out); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

// What the page computes itself, package slo computes alike.
func TestThePageComputesAsSloDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))

	type people struct {
		N    int     `json:"n"`
		Duty float64 `json:"duty"`
	}
	var team []people
	for range 200 {
		team = append(team, people{1 + random.IntN(64), 0.02 + 0.98*random.Float64()})
	}
	team = append(team, people{8, 1}, people{1, 0.01}, people{32, 0.5})
	var heads []int
	ask(t, `(c) => maths.people(c.n, c.duty)`, team, &heads)
	for i, c := range team {
		if _, want, err := slo.People(c.N, c.Duty); err != nil || heads[i] != want {
			t.Errorf("people %+v: %d, want %d (%v)", c, heads[i], want, err)
		}
	}

	type bill struct {
		Use   map[string]float64 `json:"use"`
		API   map[string]float64 `json:"api"`
		N     int                `json:"n"`
		Hours float64            `json:"hours"`
		Duty  float64            `json:"duty"`
		GPU   float64            `json:"gpu"`
	}
	var bills []bill
	for i := range 200 {
		prompt := math.Floor(1e7 * random.Float64())
		b := bill{N: 1 + random.IntN(32), Hours: 100 + 630*random.Float64(), Duty: random.Float64(), GPU: 3000 * random.Float64(),
			Use: map[string]float64{"prompt": prompt, "cached": math.Floor(prompt * random.Float64()), "output": math.Floor(1e5 * random.Float64()), "s": 1 + 3600*random.Float64()},
			API: map[string]float64{"in": 10 * random.Float64(), "read": random.Float64(), "write": 12 * random.Float64(), "out": 50 * random.Float64()}}
		if i%10 == 0 {
			b.Use["cached"] = 0
		}
		bills = append(bills, b)
	}
	var paid []struct {
		Month float64
		Even  *int
	}
	ask(t, `(c) => { const m = maths.apiMonth(c.use, c.api, c.n, c.hours, c.duty); return { Month: m, Even: maths.breakEven(c.gpu, m) } }`, bills, &paid)
	for i, b := range bills {
		price := slo.APIPrice{Input: b.API["in"], CacheRead: b.API["read"], CacheWrite: b.API["write"], Output: b.API["out"]}
		cost, err := price.Cost(slo.Usage{Prompt: int64(b.Use["prompt"]), Cached: int64(b.Use["cached"]), Output: int64(b.Use["output"])})
		if err != nil {
			t.Fatal(err)
		}
		hour, _ := slo.APIPerDevHour(cost, b.Use["s"], b.N)
		month := slo.APIPerDevMonth(hour, b.Hours, b.Duty)
		even, ok := slo.BreakEven(b.GPU, month)
		if !near(paid[i].Month, month) || (paid[i].Even != nil) != ok || ok && *paid[i].Even != even {
			t.Errorf("bill %d: %+v, want %g, %d %v", i, paid[i], month, even, ok)
		}
	}
}

// The page judges figures under other limits as slo.Evaluate judges a window with
// these bounds: what a value on the edge of a bucket means included.
func TestThePageJudgesAsSloDoes(t *testing.T) {
	type pair = [2]float64
	type question struct {
		TTFT  float64 `json:"ttft"`
		TPS   float64 `json:"tps"`
		TTFTB pair    `json:"ttftb"`
		TPSB  pair    `json:"tpsb"`
		SLO   struct {
			TTFT float64 `json:"ttft"`
			TPS  float64 `json:"tps"`
		} `json:"slo"`
		holds, sure bool
	}
	q := func(ttft float64, tb pair, tps float64, sb pair, holds, sure bool) question {
		c := question{TTFT: ttft, TPS: tps, TTFTB: tb, TPSB: sb, holds: holds, sure: sure}
		c.SLO.TTFT, c.SLO.TPS = 10, 20
		return c
	}
	// Limits of 10 s and 20 tok/s; an upper bound of -1 is not known.
	all := []question{
		q(0.2, pair{0.1, 0.25}, 26, pair{20, 40}, true, true),
		q(0.2, pair{0.1, 0.25}, 16, pair{13.3, 20}, false, true),
		q(0.2, pair{0.1, 0.25}, 21, pair{13.3, 40}, true, false),
		q(0.2, pair{0.1, 0.25}, 19, pair{13.3, 40}, false, false),
		q(9, pair{7.5, 10}, 26, pair{20, 40}, true, true),
		q(12, pair{10, 20}, 26, pair{20, 40}, false, true),
		q(9, pair{7.5, 12}, 26, pair{20, 40}, true, false),
		q(0.2, pair{0.1, 0.25}, 200, pair{100, -1}, true, true),
		q(0.2, pair{0.1, 0.25}, 15, pair{10, -1}, false, false),
	}
	var got []struct{ Holds, Sure bool }
	ask(t, `(c) => maths.at(c, c.slo)`, all, &got)
	for i, c := range all {
		if got[i].Holds != c.holds || got[i].Sure != c.sure {
			t.Errorf("%+v: %+v", c, got[i])
		}
	}
}

// people is slo's.
func people(t *testing.T, n int, duty float64) int {
	t.Helper()
	_, safe, err := slo.People(n, duty)
	if err != nil {
		t.Fatal(err)
	}
	return safe
}

// usd is a price as the page writes it.
func usd(v float64) string {
	switch {
	case v >= 1 && v == math.Trunc(v) && v < 1000:
		return fmt.Sprintf("$%.0f", v)
	case v >= 100:
		return fmt.Sprintf("$%.0f", v) // the tests stay below a thousand
	case v < 0.1:
		return fmt.Sprintf("$%.3f", v)
	}
	return fmt.Sprintf("$%.2f", v)
}
