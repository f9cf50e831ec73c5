package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/report"
)

// The committed reports are what the importer makes of the committed table.
func TestTheCommittedReportsAreTheTables(t *testing.T) {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	if code := run([]string{"-results", dir}, &out, &errs); code != 0 {
		t.Fatalf("exit status %d\n%s", code, errs.String())
	}
	paths := strings.Fields(out.String())
	if len(paths) != 14 {
		t.Errorf("%d reports", len(paths))
	}
	for _, path := range paths {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		made, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join("../../results", rel))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, committed) {
			t.Errorf("%s is not what the table says: make import writes it", rel)
		}
		if r, err := report.Load(path); err != nil || r.Source != report.Imported {
			t.Errorf("%s: %v", rel, err)
		}
	}
	for _, args := range [][]string{{"-csv", filepath.Join(dir, "none")}, {"now"}, {"-flag"}} {
		if code := run(args, &out, &errs); code != 2 {
			t.Errorf("%v: exit status %d", args, code)
		}
	}
}
