package report_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

// prices are two made-up APIs: one like those that sell their own model, one
// that is nearly given away.
func prices() []report.API {
	return []report.API{
		{Name: "ACME", Model: "coder-large", AsOf: "2026-11-09", Source: "https://acme.example/prices", Input: 2, CacheRead: 0.1, CacheWrite: 2.5, Output: 10},
		{Name: "Thrift", Model: "coder-small", AsOf: "2026-10-01", Note: "off-peak", Input: 0.002, CacheRead: 0.002, CacheWrite: 0.002, Output: 0.01},
	}
}

// half is half an hour of 4 agents on a GPU of $0.79: 1 M prompt tokens, 900 k
// of them cached, and 20 k output tokens, the computed ones being the rest.
func half() *report.Report {
	r := &report.Report{RunID: "20261124-101112", Family: "f", Hardware: "h", GPUCount: 1, PriceUSDPerGPUHour: 0.79, Source: report.Measured}
	f := slo.Figures{
		Start: began, End: began.Add(30 * time.Minute), Seconds: 1800, Measured: true, HoldsSLO: true,
		PromptTokens: 1_000_000, GenerationTokens: 20_000, TokensPerHour: 2_040_000, GenerationPerHour: 40_000,
		ComputedTokens: 120_000, ComputedPerHour: 240_000,
	}
	r.ByDevs = []report.Level{report.Finish(r.NewLevel(4, f, team(4)))}
	return r
}

func TestMoney(t *testing.T) {
	r := half()
	r.ThetaMax = &report.ThetaMax{TokensPerHour: 2e6, OutputTokensPerHour: 1e6}
	r.Compare(0, prices())
	m := r.Money
	if want := (report.Usage{Prompt: 1_000_000, Cached: 900_000, Output: 20_000, Seconds: 1800}); m.Usage == nil || *m.Usage != want {
		t.Fatalf("usage %+v, want %+v", m.Usage, want)
	}
	// 900 k × 0.1 + 100 k × 2.5 + 20 k × 10 = $0.54 in half an hour of 4.
	a := m.APIs[0]
	if m.Devs != 4 || !m.HoldsSLO || m.HoursPerMonth != 730 || m.People != nil ||
		!near(*a.USDPerDevHour, 0.27) || !near(*a.USDPerDevMonth, 197.1) || !near(*a.USDPerMTokBlended, 0.54/1.02) ||
		*a.BreakEvenDevs != 3 || !*a.CheaperAtN { // 0.79 × 730 ÷ 197.1 = 2.93
		t.Errorf("%+v: %+v", m, a)
	}
	// 1 M × 0.002 + 20 k × 0.01 = $0.0022: 0.803 a month, 719 developers.
	if b := m.APIs[1]; !near(*b.USDPerDevMonth, 0.803) || *b.BreakEvenDevs != 719 || *b.CheaperAtN {
		t.Errorf("%+v", b)
	}
	// 40 k output tokens an hour for $0.79, against 1 M.
	if s := m.SLOPrice; s == nil || !near(s.AtN, 19.75) || !near(s.AtThetaMax, 0.79) || !near(s.Premium, 25) {
		t.Errorf("the SLO's price is %+v", s)
	}

	// The same in an office, a quarter of whose time an agent works.
	r.HoursPerMonth = 160
	r.Compare(0.25, prices())
	m = r.Money
	// Of 9 people more than 4 are busy in 4.9 % of the time, of 10 in 7.8 %.
	if m.People == nil || m.People.Mean != 16 || m.People.Safe != 9 || !near(m.People.USDPerPersonMonth, 0.79*160/9) {
		t.Errorf("people %+v", m.People)
	}
	// 0.27 × 160 × 0.25 = 10.8, and 126.4 ÷ 10.8 = 11.7: more than the 9.
	if a := m.APIs[0]; !near(*a.USDPerDevMonth, 10.8) || *a.BreakEvenDevs != 12 || *a.CheaperAtN {
		t.Errorf("%+v", a)
	}
}

func TestMoneyOfWhichLevel(t *testing.T) {
	no := false
	for _, c := range []struct {
		name   string
		change func(*report.Report)
		devs   int
		holds  bool
	}{
		{"the largest that holds", func(*report.Report) {}, 8, true},
		{"not one that is broken", func(r *report.Report) { r.ByDevs[1].HoldsSLO = false }, 4, true},
		{"none holds: the largest with a real load", func(r *report.Report) {
			r.ByDevs[0].HoldsSLO, r.ByDevs[1].HoldsSLO, r.ByDevs[1].Valid = false, false, &no
		}, 4, false},
		{"no real load", func(r *report.Report) { r.ByDevs[0].Valid, r.ByDevs[1].Valid = &no, &no }, 0, false},
		{"no level", func(r *report.Report) { r.ByDevs = nil }, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			c.change(r)
			r.Compare(0.5, prices())
			m := r.Money
			if m.Devs != c.devs || m.HoldsSLO != c.holds || (m.People != nil) != c.holds {
				t.Fatalf("%+v", m)
			}
			a := m.APIs[0]
			if (a.USDPerDevMonth != nil) != (c.devs > 0) || (a.CheaperAtN != nil) != c.holds {
				t.Errorf("%+v", a)
			}
		})
	}
}

// What is not known is not made up.
func TestMoneyNeedsTheServersCounts(t *testing.T) {
	for name, change := range map[string]func(*report.Level){
		"no server counts":                   func(l *report.Level) { l.ServerTokens = nil },
		"no length":                          func(l *report.Level) { l.Window, l.TokensPerHour = nil, nil },
		"neither computed tokens nor a rate": func(l *report.Level) { l.ComputedTokensPerHour, l.PrefixCacheHitRate = nil, nil },
	} {
		r := half()
		change(&r.ByDevs[0])
		r.Compare(0, prices())
		if r.Money.Usage != nil || r.Money.APIs[0].USDPerDevHour != nil || r.Money.APIs[0].CheaperAtN != nil {
			t.Errorf("%s: %+v", name, r.Money)
		}
	}
	r := half()
	rate := 0.5
	r.ByDevs[0].ComputedEstimated, r.ByDevs[0].PrefixCacheHitRate = true, &rate
	r.Compare(0, prices())
	if u := r.Money.Usage; u.Cached != 500_000 || !u.CachedEstimated {
		t.Errorf("%+v", u)
	}
	for _, duty := range []float64{0, -1, 1.5} {
		r.Compare(duty, nil)
		if r.Money.DutyCycle != 0 || r.Money.People != nil {
			t.Errorf("a duty cycle of %v: %+v", duty, r.Money)
		}
	}
}

// A level that was repeated is priced by all of its repeats: its rates are their
// means, its counts the latest's, and the one does not fit the other.
func TestMoneyOfRepeats(t *testing.T) {
	r := half()
	first := r.ByDevs[0]
	f := slo.Figures{
		Start: began, End: began.Add(10 * time.Minute), Seconds: 600, Measured: true, HoldsSLO: true,
		PromptTokens: 500_000, GenerationTokens: 30_000, TokensPerHour: 3_180_000, GenerationPerHour: 180_000,
		ComputedTokens: 230_000, ComputedPerHour: 1_380_000,
	}
	r.ByDevs[0] = report.Merge([]report.Level{first, report.Finish(r.NewLevel(4, f, team(4)))})
	r.Compare(0, prices())
	want := report.Usage{Prompt: 1_500_000, Cached: 1_200_000, Output: 50_000, Seconds: 2400}
	if u := r.Money.Usage; u == nil || *u != want {
		t.Fatalf("usage %+v, want %+v", u, want)
	}
	// 1.2 M × 0.1 + 300 k × 2.5 + 50 k × 10 = $1.37 in 40 minutes of 4.
	if a := r.Money.APIs[0]; !near(*a.USDPerDevHour, 1.37*1.5/4) {
		t.Errorf("%v", *a.USDPerDevHour)
	}
	r.ByDevs[0].Repeats.Levels[0].ServerTokens = nil
	r.Complete()
	if r.Money.Usage != nil {
		t.Errorf("one repeat has no counts: %+v", r.Money.Usage)
	}
}

// Complete keeps the section up to date, also in a report that was read.
func TestMoneyFollowsTheReport(t *testing.T) {
	r := half()
	r.Complete()
	if r.Money != nil {
		t.Errorf("nobody asked for %+v", r.Money)
	}
	levels := r.ByDevs
	r.ByDevs = nil
	r.Compare(0.25, prices())
	r.ByDevs = levels
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		t.Fatal(err)
	}
	if r.Money.Devs != 4 || r.Money.APIs[0].BreakEvenDevs == nil {
		t.Errorf("%+v", r.Money)
	}
	again, err := report.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Money, again.Money); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
	again.ByDevs[0].HoldsSLO = false
	again.Complete()
	if again.Money.HoldsSLO || again.Money.People != nil || again.Money.APIs[0].CheaperAtN != nil {
		t.Errorf("%+v", again.Money)
	}
}
