package report_test

import (
	"bytes"
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
