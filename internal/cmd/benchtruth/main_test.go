package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/x/dail/internal/truth"
)

func TestLastLine(t *testing.T) {
	var out, err bytes.Buffer
	some := func() ([]truth.Case, error) { // package truth's own test has them all
		cases, err := truth.Grid()
		return cases[len(cases)-15:], err
	}
	if code := run(nil, some, &out, &err); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out.String(), err.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last line
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last.Bench != "truth" || last.Engines != 15 || last.Figures < 20*last.Engines || last.Certain < 100 ||
		last.WorstErrorPct > 1 || last.OutsideBounds+last.CertainWrong != 0 || !last.Pass || len(lines) != last.Engines+2 {
		t.Errorf("%+v, %d lines", last, len(lines))
	}
	if code := run([]string{"-what"}, some, &out, &err); code != 2 {
		t.Errorf("exit %d of an unknown flag", code)
	}
}
