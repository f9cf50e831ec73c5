package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/report"
)

// Whatever loads can be shown, and written and loaded again as the same.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/report.json", "testdata/original/*/*/*/*/report.json"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(`{"run_id":"x","family":"f","hardware":"h","by_devs":[{"devs":1,"bounds":{"median_tps":[1,null]}}],"timeline":[{"seconds":-1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := report.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		report.Text(r, true)
		r.Faults()
		var b bytes.Buffer
		if err := r.Encode(&b); err != nil {
			return // figures that overflow
		}
		again, err := report.Read(&b)
		if err != nil {
			t.Fatalf("written and not readable: %v", err)
		}
		again.Complete()
		if diff := cmp.Diff(report.Text(r, false), report.Text(again, false)); diff != "" {
			t.Errorf("read again it shows otherwise (-first +second):\n%s", diff)
		}
	})
}
