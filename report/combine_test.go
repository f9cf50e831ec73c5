package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/report"
)

// Runs of one combination are joined, sources are not, and what is not valid does
// not win.
func TestCombine(t *testing.T) {
	all := report.Combine(originals(t))
	i := slices.IndexFunc(all, func(c report.Combined) bool { return c.Hardware == "a40" && c.Quant == "awq" })
	c := all[i]
	var sizes []int
	for _, l := range c.Levels {
		sizes = append(sizes, l.Devs)
	}
	if fmt.Sprint(sizes) != "[1 2 4 8 16 32]" || c.Latest.RunID != "20260705-204435" || c.Files[0].Report != c.Latest || len(c.Files) != 2 {
		t.Errorf("%v of %s, %d files", sizes, c.Latest.RunID, len(c.Files))
	}
	if best, ok := c.Best(); !ok || best.Devs != 16 {
		t.Errorf("best %d, %v", best.Devs, ok)
	}
	no := false
	for i := range c.Levels {
		if c.Levels[i].Devs == 16 {
			c.Levels[i].Valid = &no
		}
	}
	if best, _ := c.Best(); best.Devs != 8 {
		t.Errorf("a level that is not valid lets %d win, want 8", best.Devs)
	}
	two := originals(t)[:1]
	other := *two[0].Report
	other.Source = report.Simulated
	if n := len(report.Combine(append(two, report.File{Path: "x", Report: &other}))); n != 2 {
		t.Errorf("%d combinations of two sources", n)
	}
	if n := len(report.Latest(append(two, report.File{Path: "x", Report: &other}))); n != 2 {
		t.Errorf("the latest of two sources are %d", n)
	}
	ranked := report.Rank(all)
	last := 0.0
	for _, c := range ranked {
		if best, ok := c.Best(); ok {
			if best.CostPerDevMonth < last {
				t.Errorf("%s is dearer than what follows", c.Hardware)
			}
			last = best.CostPerDevMonth
		}
	}
}

// What other limits let hold is no answer under these.
func TestCombineKeepsLimitsApart(t *testing.T) {
	judged := func(id string, s report.SLO, holds bool) report.File {
		r := sample()
		r.RunID, r.SLO = id, s
		for i := range r.ByDevs {
			r.ByDevs[i].HoldsSLO = holds
		}
		return report.File{Path: id, Report: r}
	}
	lax, strict := report.SLO{MaxTTFT: 60, MinTPS: 5, Percentile: "p50"}, report.SLO{MaxTTFT: 10, MinTPS: 20}
	files := []report.File{
		judged("1", lax, true), judged("2", strict, false),
		judged("3", report.SLO{MaxTTFT: 10, MinTPS: 20, Percentile: "p50"}, false), // no other than what is empty
		judged("4", report.SLO{MaxTTFT: 10, MinTPS: 20, Percentile: "p90"}, false),
		judged("5", report.SLO{MaxTTFT: 10, MinTPS: 5}, true),
	}
	want := "[p50 10 5 true 1 p50 10 20 false 2 p90 10 20 false 1 p50 60 5 true 1]"
	for range 2 {
		var got []string
		for _, c := range report.Combine(files) {
			_, ok := c.Best()
			got = append(got, fmt.Sprintf("%s %g %g %v %d", c.SLO.Percentile, c.SLO.MaxTTFT, c.SLO.MinTPS, ok, len(c.Files)))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
		slices.Reverse(files)
	}
	var metrics, table bytes.Buffer
	if err := errors.Join(report.OpenMetrics(&metrics, files), report.Markdown(&table, files)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(metrics.String()) {
		series, _, _ := strings.Cut(line, "} ")
		if strings.HasPrefix(line, "dail_") && seen[series] {
			t.Errorf("two samples of %s", series)
		}
		seen[series] = true
	}
	for _, want := range []string{"| p50: 60 s, 5 tok/s | 8 |", "| p50: 10 s, 20 tok/s | none |", "| p90: 10 s, 20 tok/s | none |"} {
		if strings.Count(table.String(), want) != 1 {
			t.Errorf("no row, or more than one, has %q:\n%s", want, table.String())
		}
	}
}

// Levels that stand side by side cost the same GPUs for the same hours, and the
// reports that they come from stay as they are.
func TestCombinePricesAlike(t *testing.T) {
	priced := func(id string, price, hours float64, devs ...int) report.File {
		r := sample()
		r.RunID, r.PriceUSDPerGPUHour, r.HoursPerMonth = id, price, hours
		r.ByDevs = nil
		for _, n := range devs {
			r.ByDevs = append(r.ByDevs, report.Finish(r.NewLevel(n, figures(n), team(n))))
		}
		return report.File{Path: id, Report: r}
	}
	repeated := priced("1", 1, 730, 4)
	repeated.Report.ByDevs[0] = report.Merge([]report.Level{repeated.Report.ByDevs[0], repeated.Report.ByDevs[0]})
	other := priced("9", 5, 176, 8)
	other.Report.Hardware = "h200"
	mtok := func(price float64) float64 { return price / figures(4).TokensPerHour * 1e6 }
	for _, c := range []struct {
		name         string
		files        []report.File
		price, hours float64 // of the first key
		known        bool    // whether tokens have a cost
	}{
		{"one run, at its own", []report.File{priced("1", 2, 176, 4)}, 2, 176, true},
		{"no hours are whole months", []report.File{priced("1", 2, 0, 4), priced("2", 2, 730, 4)}, 2, 730, true},
		{"the latest price", []report.File{priced("2", 3, 730, 4), priced("1", 1, 730, 4, 8)}, 3, 730, true},
		{"one month of two", []report.File{priced("1", 2, 176, 4), priced("2", 2, 730, 4)}, 2, 730, true},
		{"another key has another month", []report.File{priced("1", 2, 730, 4), other}, 2, 730, true},
		{"all have the same short month", []report.File{priced("1", 2, 176, 4), priced("2", 4, 176, 8), other}, 4, 176, true},
		{"repeats", []report.File{repeated, priced("2", 3, 176, 8)}, 3, 730, true},
		{"free before", []report.File{priced("1", 0, 730, 4), priced("2", 3, 730, 8)}, 3, 730, false},
		{"free now", []report.File{priced("1", 3, 730, 4), priced("2", 0, 730, 4)}, 0, 730, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := json.Marshal(c.files)
			if err != nil {
				t.Fatal(err)
			}
			all := report.Combine(c.files)
			if after, _ := json.Marshal(c.files); !bytes.Equal(before, after) {
				t.Error("the reports were changed")
			}
			for _, k := range all {
				if k.Hours != c.hours {
					t.Errorf("%s has months of %g hours, want %g", k.Hardware, k.Hours, c.hours)
				}
			}
			i := slices.IndexFunc(all, func(k report.Combined) bool { return k.Hardware == "l40s" })
			if i < 0 {
				t.Fatal("no l40s")
			}
			var check func(l report.Level)
			check = func(l report.Level) {
				n := float64(l.Devs)
				if !like(l.CostPerDevHour, c.price/n) || !like(l.CostPerDevMonth, c.price/n*c.hours) {
					t.Errorf("N=%d: %g an hour, %g a month; want %g and %g", l.Devs, l.CostPerDevHour, l.CostPerDevMonth, c.price/n, c.price/n*c.hours)
				}
				switch {
				case c.known && (l.CostPerMTok == nil || !like(*l.CostPerMTok, mtok(c.price))):
					t.Errorf("N=%d: %v per MTok, want %g", l.Devs, show(l.CostPerMTok), mtok(c.price))
				case c.known && (l.CostPerMTokOutput == nil || !like(*l.CostPerMTokOutput, c.price/figures(4).GenerationPerHour*1e6)):
					t.Errorf("N=%d: %v per MTok of output", l.Devs, show(l.CostPerMTokOutput))
				}
				if l.Repeats != nil {
					for _, one := range l.Repeats.Levels {
						check(one)
					}
				}
			}
			for _, l := range all[i].Levels {
				check(l.Level)
			}
			if first := all[i].Levels[0]; c.name == "free before" && first.CostPerMTok != nil {
				t.Errorf("a token that was free costs %g now", *first.CostPerMTok)
			}
		})
	}
	if all := report.Combine(nil); len(all) != 0 {
		t.Errorf("%d of nothing", len(all))
	}
}

// like allows for the last digits, at 0 too.
func like(got, want float64) bool { return math.Abs(got-want) <= 1e-9*(1+math.Abs(want)) }

// The ranking is by what a developer costs in the same month at a price of today.
func TestRankComparesAlike(t *testing.T) {
	short, whole := sample(), sample()
	short.HoursPerMonth, short.Hardware = 176, "dear" // at $1: $22 of 176 hours, $91 of 730
	short.PriceUSDPerGPUHour = 1
	whole.Hardware = "cheap" // at $0.79: $72
	for _, r := range []*report.Report{short, whole} {
		for i := range r.ByDevs {
			n := r.ByDevs[i].Devs
			r.ByDevs[i] = report.Finish(r.NewLevel(n, figures(n), team(n)))
		}
	}
	ranked := report.Rank(report.Combine([]report.File{{Path: "a", Report: short}, {Path: "b", Report: whole}}))
	if ranked[0].Hardware != "cheap" {
		t.Errorf("%s is the cheapest", ranked[0].Hardware)
	}
}

// The original's own files, in both of its layouts, are combined and ranked as
// its rules say.
func TestOriginalFilesRank(t *testing.T) {
	files, err := report.LoadDir("testdata/original")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range report.Rank(report.Combine(files)) {
		best, ok := c.Best()
		got = append(got, fmt.Sprintf("%s %s %d %v %d", c.Hardware, c.Source, best.Devs, ok, len(c.Files)))
	}
	if want := "[rtx-4090 imported 8 true 1 l4 imported 4 true 1 l4 imported 0 false 1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
