package dail_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/x/dail"
	"github.com/x/dail/report"
)

// A workspace belongs to the run whose artifacts it lies in, also where the agent
// has written a report of its own into it, which says what it likes.
func TestRunOf(t *testing.T) {
	dir := t.TempDir()
	run := filepath.Join(dir, "workspace", "results", "run") // a name that an agent's folder has, too
	workspace := filepath.Join(run, "artifacts", "n4", "agent2", "workspace")
	app := filepath.Join(workspace, "packages", "artifacts", "app")
	if err := os.MkdirAll(app, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(dir, benchmark string) {
		t.Helper()
		r := report.Report{RunID: "1", Family: "f", Hardware: "h", Benchmark: benchmark, Source: report.Simulated}
		if err := r.Write(filepath.Join(dir, report.FileName)); err != nil {
			t.Fatal(err)
		}
	}
	put(workspace, "planted")
	put(filepath.Join(workspace, "packages"), "planted")
	put(dir, "somebody else's")
	if _, ok := dail.RunOf(workspace); ok {
		t.Error("a workspace without a run has one")
	}
	put(run, "ours")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(app, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{workspace, app, link} {
		if r, ok := dail.RunOf(path); !ok || r.Benchmark != "ours" {
			t.Errorf("%s: %+v, %v", path, r, ok)
		}
	}
}
