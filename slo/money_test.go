package slo_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/x/dail/slo"
)

func nearly(got, want float64) bool { return math.Abs(got-want) <= 1e-9*math.Max(1, math.Abs(want)) }

func TestAPICost(t *testing.T) {
	sonnet := slo.APIPrice{Input: 2, CacheRead: 0.1, CacheWrite: 2.5, Output: 10}
	for _, c := range []struct {
		name  string
		price slo.APIPrice
		usage slo.Usage
		want  float64
	}{
		// 900 k × 0.1 + 100 k × 2.5 + 20 k × 10 = 90,000 + 250,000 + 200,000, ÷ 10⁶
		{"read, written and made", sonnet, slo.Usage{Prompt: 1_000_000, Cached: 900_000, Output: 20_000}, 0.54},
		// nothing cached: 1 M × 2 + 20 k × 10
		{"no cache", sonnet, slo.Usage{Prompt: 1_000_000, Output: 20_000}, 2.2},
		{"all cached", sonnet, slo.Usage{Prompt: 1_000_000, Cached: 1_000_000}, 0.1},
		// no price of its own for the cache: 1 M × 0.45 + 100 k × 2.25
		{"no cache prices", slo.APIPrice{Input: 0.45, CacheRead: 0.45, CacheWrite: 0.45, Output: 2.25}, slo.Usage{Prompt: 1_000_000, Cached: 600_000, Output: 100_000}, 0.675},
		{"nothing", sonnet, slo.Usage{}, 0},
	} {
		got, err := c.price.Cost(c.usage)
		if err != nil || !nearly(got, c.want) {
			t.Errorf("%s: $%v, %v; want %v", c.name, got, err, c.want)
		}
	}
	for _, u := range []slo.Usage{{Prompt: -1}, {Output: -1}, {Cached: -1}, {Prompt: 5, Cached: 6}} {
		if got, err := sonnet.Cost(u); err == nil {
			t.Errorf("%+v costs %v", u, got)
		}
	}
}

func TestAPIPerDev(t *testing.T) {
	// $4 in 10 minutes of 8 agents: 4 × 6 ÷ 8 = $3 an hour.
	hour, ok := slo.APIPerDevHour(4, 600, 8)
	if !ok || !nearly(hour, 3) {
		t.Errorf("per hour %v, %v", hour, ok)
	}
	for _, c := range []struct{ seconds, n int }{{0, 8}, {-1, 8}, {600, 0}} {
		if got, ok := slo.APIPerDevHour(4, float64(c.seconds), c.n); ok {
			t.Errorf("%d s and %d agents: %v", c.seconds, c.n, got)
		}
	}
	for _, c := range []struct{ hours, duty, want float64 }{
		{0, 0, 2190}, {730, 1, 2190}, {160, 0, 480}, {160, 0.25, 120}, {0, 0.5, 1095},
	} {
		if got := slo.APIPerDevMonth(hour, c.hours, c.duty); !nearly(got, c.want) {
			t.Errorf("%g h at a duty of %g: $%v, want %v", c.hours, c.duty, got, c.want)
		}
	}
}

func TestBreakEven(t *testing.T) {
	for _, c := range []struct {
		gpu, api float64
		want     int // 0: never
	}{
		{730, 73, 10}, {730, 72.99, 11}, {730, 1000, 1}, {0, 73, 1}, {0.3, 0.1, 3},
		{576.7, 57.67, 10}, {730, 0, 0}, {730, -1, 0}, {730, math.NaN(), 0}, {1, 1e-12, 0},
	} {
		if got, ok := slo.BreakEven(c.gpu, c.api); got != c.want || ok != (c.want > 0) {
			t.Errorf("$%g against $%g a head: %d, %v; want %d", c.gpu, c.api, got, ok, c.want)
		}
	}
}

func TestSLOPremium(t *testing.T) {
	if got, ok := slo.SLOPremium(0.42, 0.04); !ok || !nearly(got, 10.5) {
		t.Errorf("premium %v, %v", got, ok)
	}
	for _, c := range [][2]float64{{0, 1}, {1, 0}, {math.NaN(), 1}, {1, math.NaN()}} {
		if got, ok := slo.SLOPremium(c[0], c[1]); ok {
			t.Errorf("%v: %v", c, got)
		}
	}
}

func TestPeople(t *testing.T) {
	for _, c := range []struct {
		n    int
		duty float64
		mean float64
		safe int
	}{
		{8, 1, 8, 8},   // always busy
		{1, 0.5, 2, 1}, // two of two are busy in a quarter of the time
		// 3 people: all busy in 1/64; 4: 4 × (1/4)³ × 3/4 + (1/4)⁴ = 5.08 %
		{2, 0.25, 8, 3},
		// P(X ≤ 2) of 8: 0.9⁸ + 8 × 0.1 × 0.9⁷ + 28 × 0.01 × 0.9⁶ = 96.19 %; of 9: 94.70 %
		{2, 0.1, 20, 8},
		{1, 0.05, 20, 7}, // 7: 1 − 0.95⁷ − 7 × 0.05 × 0.95⁶ = 4.44 %; 8: 5.72 %
		{1, 0.999, 1 / 0.999, 1},
	} {
		mean, safe, err := slo.People(c.n, c.duty)
		if err != nil || !nearly(mean, c.mean) || safe != c.safe {
			t.Errorf("%d at %g: %v and %d, %v; want %v and %d", c.n, c.duty, mean, safe, err, c.mean, c.safe)
		}
	}
	for _, c := range []struct {
		n    int
		duty float64
	}{{0, 0.5}, {8, 0}, {8, -0.1}, {8, 1.01}, {8, math.NaN()}, {8, 1e-300}} {
		if _, safe, err := slo.People(c.n, c.duty); err == nil {
			t.Errorf("%d at %g: %d people", c.n, c.duty, safe)
		}
	}
}

// The safe number is the largest that keeps the risk, whatever the team: the
// probabilities are built up here person by person instead.
func TestPeopleAgainstConvolution(t *testing.T) {
	for _, n := range []int{1, 2, 4, 8, 16, 32} {
		for _, duty := range []float64{0.02, 0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1} {
			busy := []float64{1} // P(k busy) of no people
			want := 0
			for h := 1; ; h++ {
				next := make([]float64, h+1)
				for k, p := range busy {
					next[k] += p * (1 - duty)
					next[k+1] += p * duty
				}
				busy = next
				over := 0.0
				for k := n + 1; k <= h; k++ {
					over += busy[k]
				}
				if over > slo.SafeRisk {
					want = h - 1
					break
				}
			}
			if mean, safe, err := slo.People(n, duty); err != nil || safe != want || float64(safe) > mean {
				t.Errorf("%d at %g: %d people of %g on average, %v; want %d", n, duty, safe, mean, err, want)
			}
		}
	}
}

func ExamplePeople() {
	mean, safe, _ := slo.People(8, 0.25)
	fmt.Printf("8 always busy agents are %.0f people on average, %d safely\n", mean, safe)
	// Output:
	// 8 always busy agents are 32 people on average, 20 safely
}
