package report_test

import (
	"bytes"
	"errors"
	"regexp"
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
