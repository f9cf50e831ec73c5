package report_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/report"
)

// A report from before sessions were written, resumed on a server of another
// price: both are on the bill, each at its own, and the levels keep theirs.
func TestSessionsAddUp(t *testing.T) {
	r := sample()
	r.Complete()
	before, level := *r.PodCostUSD, r.ByDevs[0].CostPerDevMonth
	r.Truncated, r.TruncatedReason = report.TruncatedInterrupted, "interrupted"
	r.Continue(report.Session{Pod: "p2", Start: began.Add(time.Hour), PriceUSDPerGPUHour: 2 * r.PriceUSDPerGPUHour})
	if *r.PodCostUSD != before {
		t.Errorf("a session that has not begun costs %v", *r.PodCostUSD-before)
	}
	r.AddStep("vLLM startup", time.Minute)
	r.AddStep("generation", time.Hour)
	r.Complete()
	want := before + 2*r.PriceUSDPerGPUHour*61/60
	if math.Abs(*r.PodCostUSD-want) > 1e-9 || r.ByDevs[0].CostPerDevMonth != level {
		t.Errorf("cost %v, want %v; the level's %v, want %v", *r.PodCostUSD, want, r.ByDevs[0].CostPerDevMonth, level)
	}
	var seconds, cost, share float64
	for _, s := range r.Timeline {
		seconds, cost, share = seconds+s.Seconds, cost+s.CostUSD, share+s.Pct
	}
	if len(r.Timeline) != 3 || math.Abs(seconds-(1237+3660)) > 1e-9 || math.Abs(cost-want) > 1e-9 || math.Abs(share-1) > 1e-9 {
		t.Errorf("timeline %+v", r.Timeline)
	}
	if s := r.Sessions; len(s) != 2 || s[0].Ended != "interrupted" || s[0].Start.IsZero() || s[0].Seconds != 1237 || s[1].Seconds != 3660 {
		t.Errorf("sessions %+v", s)
	}
	if err := compiled(t).Validate(written(t, r)); err != nil {
		t.Error(err)
	}
	text := report.Text(r, false)
	if !strings.Contains(text, "on 2 servers, one after the other: 20m37s for $0.271 (interrupted), 1h01m for\n    $1.606") {
		t.Error(text)
	}
}

// The first thing that is read is the answer, and a screen of 80 columns shows
// every line whole.
func TestTableFitsAScreen(t *testing.T) {
	r := sample()
	r.ThetaMax = &report.ThetaMax{TokensPerHour: 9e6, OutputTokensPerHour: 4e6}
	r.PriceSource = "configs/hardware/l40s.yaml"
	r.Compare(0.25, prices())
	r.Complete()
	lines := strings.Split(report.Text(r, false), "\n")
	for _, l := range lines {
		if n := len([]rune(l)); n > 80 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
	if !strings.HasPrefix(strings.Join(lines[3:], " "), "1 × l40s with qwen3-coder/fp8 holds the SLO") {
		t.Errorf("the answer does not stand first:\n%s", strings.Join(lines[:8], "\n"))
	}
}
