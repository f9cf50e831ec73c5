package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file, which -update writes.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*report.Report)
	}{
		{"simulated", func(*report.Report) {}},
		{"measured-uncertain", func(r *report.Report) {
			r.Source, r.CostBasis = report.Measured, ""
			r.SLO.MinTPS = 50
			for i := range r.ByDevs {
				r.ByDevs[i].HoldsSLOCertain = false
			}
		}},
		{"pending-and-truncated", func(r *report.Report) {
			l := r.NewLevel(8, figures(8), team(8))
			r.ByDevs[1] = l
			r.Truncated, r.TruncatedReason = report.TruncatedInterrupted, "Ctrl-C after the level of 8"
		}},
		{"none-holds", func(r *report.Report) {
			for i := range r.ByDevs {
				l := &r.ByDevs[i]
				for j := range l.Agents {
					l.Agents[j].Gates[1].Passed = false
					l.Agents[j].Gates[1].ExitCode = 1
				}
				*l = report.Finish(*l)
			}
		}},
		{"money", func(r *report.Report) {
			r.PriceAsOf, r.ThetaMax = "2026-11-20", &report.ThetaMax{TokensPerHour: 9e6, OutputTokensPerHour: 4e6}
			r.Compare(0, prices())
		}},
		{"money-people", func(r *report.Report) {
			r.HoursPerMonth, r.Source = 160, report.Measured
			r.Compare(0.25, prices())
		}},
		{"money-none-holds", func(r *report.Report) {
			r.ByDevs[0].HoldsSLO, r.ByDevs[1].HoldsSLO = false, false
			r.Compare(0.25, prices())
		}},
		{"nothing-measured", func(r *report.Report) {
			r.ByDevs, r.Timeline = nil, nil
			r.Truncated, r.TruncatedReason = report.TruncatedError, "the server did not start"
			r.Compare(0.25, prices())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			c.change(r)
			r.Complete()
			var b bytes.Buffer
			if err := report.Table(&b, r); err != nil {
				t.Fatal(err)
			}
			golden(t, "table-"+c.name+".txt", b.Bytes())
			golden(t, "table-"+c.name+".colour.txt", []byte(report.Text(r, true)))
		})
	}
}
