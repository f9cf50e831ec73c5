package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What README.md says that runs cost is what the committed reports say. A report
// that somebody's own run has left there is none of them.
func TestReadmeIsUpToDate(t *testing.T) {
	const root = "../../.."
	out, err := exec.Command("git", "-C", root, "ls-files", "-z", "--", "results/**/report.json").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	committed := t.TempDir()
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(committed, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 2 {
		t.Fatalf("%d reports are committed", len(names))
	}
	if err := run(filepath.Join(root, "README.md"), filepath.Join(committed, "results"), true); err != nil {
		t.Error(err)
	}
}
