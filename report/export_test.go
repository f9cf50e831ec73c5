package report_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/x/dail/report"
)

// The exports, against golden files.
func TestExports(t *testing.T) {
	files := append(originals(t)[:4], report.File{Path: "sample", Report: sample()})
	for name, write := range map[string]func(*bytes.Buffer) error{
		"export.csv":         func(b *bytes.Buffer) error { return report.WriteCSV(b, files) },
		"export.md":          func(b *bytes.Buffer) error { return report.Markdown(b, files) },
		"export.openmetrics": func(b *bytes.Buffer) error { return report.OpenMetrics(b, files) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	var b bytes.Buffer
	if err := report.OpenMetrics(&b, files); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "# EOF\n") || !strings.Contains(b.String(), `source="imported"`) {
		t.Error("no end, or no source")
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.TrimSuffix(b.String(), "# EOF\n")))
	if err != nil || families["dail_holds_slo"] == nil {
		t.Errorf("%d families, %v", len(families), err)
	}
}

// A level whose gates are pending is not taken for one that holds.
func TestExportsMarkWhatIsProvisional(t *testing.T) {
	r := sample()
	r.ByDevs[1] = r.NewLevel(8, figures(8), team(8))
	stopped := r.NewLevel(16, figures(16), team(16))
	stopped.Stop("it does not hold")
	r.ByDevs = append(r.ByDevs, stopped)
	var metrics, table bytes.Buffer
	files := []report.File{{Path: "x", Report: r}}
	if err := errors.Join(report.OpenMetrics(&metrics, files), report.Markdown(&table, files)); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(dail_\w+)\{.*devs="(\d+)".*\} (\S+)$`).FindAllStringSubmatch(metrics.String(), -1) {
		got[m[1]+" "+m[2]] = m[3]
	}
	for series, want := range map[string]string{
		"dail_holds_slo 4": "1.0", "dail_provisional 4": "0.0", "dail_valid 4": "1.0",
		"dail_holds_slo 8": "", "dail_holds_slo_certain 8": "", "dail_provisional 8": "1.0", "dail_valid 8": "",
		"dail_holds_slo 16": "0.0", "dail_provisional 16": "0.0", "dail_valid 16": "",
	} {
		if got[series] != want {
			t.Errorf("%s is %q, want %q", series, got[series], want)
		}
	}
	if !strings.Contains(table.String(), "| 8 (provisional: gates pending) |") {
		t.Errorf("not marked:\n%s", table.String())
	}
}

// No text of a report is run by a spreadsheet, or ends a cell.
func TestTextsStayInTheirCells(t *testing.T) {
	const formula = `=HYPERLINK("http://x","y")`
	r := sample()
	r.Benchmark, r.Family, r.Hardware, r.Quant, r.Model, r.Truncated = formula, "a|b", "c\nd", "-1", "@m", "\tx"
	r.Provider, r.RunID = "+p", "1\r|2"
	r.Complete()
	files := []report.File{{Path: "x", Report: r}}
	var table, b bytes.Buffer
	if err := errors.Join(report.WriteCSV(&b, files), report.Markdown(&table, files)); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"benchmark": "'" + formula, "quant": "'-1", "model": "'@m", "truncated": "'\tx", "provider": "'+p",
		"family": "a|b", "hardware": "c\nd", "devs": "4", "source": "simulated",
	} {
		if got := rows[1][slices.Index(rows[0], name)]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	check := func(what, text string) {
		t.Helper()
		cells := 0
		for line := range strings.Lines(text) {
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if n > 0 && cells > 0 && n != cells || strings.Contains(line, "\r") {
				t.Errorf("%s: a row has %d bars, its head %d: %q", what, n, cells, line)
			}
			cells = n
		}
		if !strings.Contains(text, `a\|b`) || !strings.Contains(text, "c d") {
			t.Errorf("%s:\n%s", what, text)
		}
	}
	check("markdown", table.String())
	check("costs", report.Costs(files))
}

// A number is a number, also where it is below 0.
func TestNumbersAreNoTexts(t *testing.T) {
	r := sample()
	below := -1.5
	r.ByDevs[0].Utilization = &below
	var b bytes.Buffer
	if err := report.WriteCSV(&b, []report.File{{Path: "x", Report: r}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), ",-1.5,") {
		t.Error(b.String())
	}
}
