package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/report"
)

// Prune finds what is beside a report, and nothing else; what is needed stays.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	done, pending := sample(), sample()
	pending.ByDevs[0].Gates = report.GatesPending
	for name, r := range map[string]*report.Report{"done": done, "pending": pending} {
		put(name+"/artifacts/n4/agent0/workspace/a.ts", "12345")
		put(name+"/artifacts/n4/agent0/workspace/artifacts/report.json", "agent's")
		if err := r.Write(filepath.Join(dir, name, report.FileName)); err != nil {
			t.Fatal(err)
		}
	}
	put("mine/artifacts/precious", "not ours")
	put("broken/report.json", "{")
	put("broken/artifacts/x", "1")
	if err := os.WriteFile(filepath.Join(outside, "kept"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "done/artifacts/link")); err != nil {
		t.Fatal(err)
	}
	all, err := report.FindArtifacts(dir)
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("the broken report is not named: %v", err)
	}
	var found []string
	for _, a := range all {
		rel, _ := filepath.Rel(dir, a.Path)
		found = append(found, fmt.Sprintf("%s %v", filepath.ToSlash(rel), a.Needed != ""))
		if err := a.Remove(); (err != nil) != (a.Needed != "") {
			t.Errorf("%s: %v", rel, err)
		}
	}
	if want := "[broken/artifacts true done/artifacts false pending/artifacts true]"; fmt.Sprint(found) != want {
		t.Errorf("%v, want %s", found, want)
	}
	for name, want := range map[string]bool{
		filepath.Join(dir, "done/artifacts"): false, filepath.Join(dir, "done/report.json"): true, filepath.Join(dir, "pending/artifacts"): true,
		filepath.Join(dir, "mine/artifacts/precious"): true, filepath.Join(outside, "kept"): true,
	} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}
