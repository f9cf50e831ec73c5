package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/report"
)

// Nothing is touched before -yes.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	heavy := filepath.Join(dir, "run", "artifacts", "n1", "agent0", "workspace", "a.txt")
	if err := os.MkdirAll(filepath.Dir(heavy), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(heavy, []byte("work"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := report.Report{RunID: "1", Family: "f", Hardware: "h", Benchmark: "smoke"}
	if err := r.Write(filepath.Join(dir, "run", report.FileName)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args  []string
		code  int
		want  string
		there bool
	}{
		{[]string{"-results", dir}, 0, "would remove", true},
		{[]string{"-results", dir, "-yes", "-age", "1h"}, 0, "younger than 1h", true},
		{[]string{"-results", dir, "now"}, 2, "no flag", true},
		{[]string{"-results", filepath.Join(dir, "none")}, 1, "none", true},
		{[]string{"-results", dir, "-yes"}, 0, "removed", false},
		{[]string{"-results", dir, "-yes"}, 0, "0.0 MB freed", false},
	} {
		var out, errs bytes.Buffer
		code := run(tc.args, &out, &errs)
		_, err := os.Stat(heavy)
		if code != tc.code || !strings.Contains(out.String()+errs.String(), tc.want) || (err == nil) != tc.there {
			t.Errorf("%v: exit status %d, there %v\n%s%s", tc.args, code, err == nil, out.String(), errs.String())
		}
	}
	if _, err := report.Load(filepath.Join(dir, "run", report.FileName)); err != nil {
		t.Error(err)
	}
}
