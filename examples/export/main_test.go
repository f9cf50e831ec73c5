package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each form of the committed reports, to a file and to the standard output.
func TestRun(t *testing.T) {
	const results = "../../results"
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-format", "csv"}, 0, "run_id,source,benchmark"},
		{[]string{"-format", "markdown"}, 0, "| imported |"},
		{[]string{"-format", "openmetrics", "-latest"}, 0, "# EOF"},
		{[]string{"-format", "xlsx"}, 2, "want csv, markdown or openmetrics"},
		{[]string{"-results", filepath.Join(t.TempDir(), "none")}, 1, "none"},
		{[]string{"-h"}, 0, "-format"},
	} {
		var out, errs bytes.Buffer
		if code := run(append([]string{"-results", results}, tc.args...), &out, &errs); code != tc.code || !strings.Contains(out.String()+errs.String(), tc.want) {
			t.Errorf("%v: exit status %d\n%.500s%s", tc.args, code, out.String(), errs.String())
		}
	}
	path := filepath.Join(t.TempDir(), "levels.csv")
	var out, errs bytes.Buffer
	if code := run([]string{"-results", results, "-o", path}, &out, &errs); code != 0 || out.Len() > 0 {
		t.Errorf("exit status %d, %s%s", code, out.String(), errs.String())
	}
	if b, err := os.ReadFile(path); err != nil || bytes.Count(b, []byte("\n")) < 38 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
