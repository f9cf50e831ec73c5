package dail_test

import (
	"os"
	"testing"

	"github.com/x/dail"
)

// BenchmarkHarness is the real case of harness_limited, on a machine of two
// cores: four real agents leave it room, thirty-two on a fast card are what it
// is busy with, and their level must say so. Other machines are told apart by
// the figures that it prints.
//
//	DAIL_TOOLCHAIN=$(go run ./internal/cmd/toolchain) go test -run '^$' -bench Harness -benchtime 1x -timeout 60m .
func BenchmarkHarness(b *testing.B) {
	if os.Getenv("DAIL_TOOLCHAIN") == "" {
		b.Skip("SKIP: needs the pinned Claude Code; set DAIL_TOOLCHAIN")
	}
	for _, bc := range []struct {
		name, hardware, devs string
		limited              bool
	}{
		{"4 agents on l40s", "l40s", "4", false},
		{"32 agents on b200", "b200", "32", true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			for b.Loop() {
				plan, err := dail.Config{Hardware: bc.hardware, Devs: bc.devs, Results: b.TempDir()}.Plan()
				if err != nil {
					b.Fatal(err)
				}
				rep, err := dail.Run(b.Context(), plan)
				if err != nil {
					b.Fatal(err)
				}
				l := rep.ByDevs[0]
				h := l.Harness
				b.Logf("limited %v: %s; cores %.0f %% busy, nothing idle for %.0f %% of the time, level %.0f s",
					h.Limited, h.Reason, 100**h.CPUShare, 100*h.Saturated, l.Window.Whole.Seconds)
				b.ReportMetric(100*h.Saturated, "%saturated")
				b.ReportMetric(100**h.CPUShare, "%cpu")
				b.ReportMetric(1000*h.SchedulingDelayS.P99, "ms-timer-p99")
				if h.SpawnS != nil {
					b.ReportMetric(1000*h.SpawnS.P90, "ms-spawn-p90")
				}
				b.ReportMetric(*l.MeanTPS, "tok/s")
				if h.Cores == 2 && h.Limited != bc.limited {
					b.Errorf("harness_limited is %v, want %v", h.Limited, bc.limited)
				}
			}
		})
	}
}
