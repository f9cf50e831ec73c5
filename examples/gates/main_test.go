package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/report"
)

// A kept workspace is judged by the benchmark that its run's report names; what a
// real model wrote is not run here unasked.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	workspace := filepath.Join(dir, "artifacts", "n1", "agent0", "workspace")
	if err := os.MkdirAll(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	toolchain := os.Getenv("DAIL_TOOLCHAIN") != ""
	source := func(s report.Source) {
		t.Helper()
		r := report.Report{RunID: "1", Family: "f", Hardware: "h", Benchmark: "smoke", Source: s}
		if err := r.Write(filepath.Join(dir, report.FileName)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name  string
		set   func()
		args  []string
		code  int
		want  string
		tools bool
	}{
		{"no workspace", func() {}, nil, 2, "-workspace", false},
		{"not a folder", func() {}, []string{"-workspace", filepath.Join(dir, "none")}, 2, "none", false},
		{"no report above it", func() {}, []string{"-workspace", workspace}, 2, "say -benchmark", false},
		{"a real model's", func() { source(report.Measured) }, []string{"-workspace", workspace, "-runner", "local"}, 2, "-allow-host-exec", false},
		{"it fails", func() { source(report.Simulated) }, []string{"-workspace", workspace}, 1, "FAILED  hello", true},
		{"it passes", func() { os.WriteFile(filepath.Join(workspace, "hello.txt"), []byte("PONG\n"), 0o644) }, []string{"-workspace", workspace}, 0, "passed  hello", true},
		{"help", func() {}, []string{"-h"}, 0, "-workspace", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.set()
			if tc.tools && !toolchain {
				t.Skip("SKIP: needs the pinned toolchain; make test installs it and sets DAIL_TOOLCHAIN")
			}
			var out, errs bytes.Buffer
			if code := run(t.Context(), tc.args, &out, &errs); code != tc.code || !strings.Contains(out.String()+errs.String(), tc.want) {
				t.Errorf("exit status %d, want %d with %q\n%s%s", code, tc.code, tc.want, out.String(), errs.String())
			}
		})
	}
}
