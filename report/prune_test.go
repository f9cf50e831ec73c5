package report_test

import (
	"errors"
	"fmt"
	"io/fs"
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

// A run that somebody is at keeps its artifacts, when they are found and when they
// would be removed; so does one whose gates have not all run.
func TestPruneLeavesARunUnderWay(t *testing.T) {
	p := report.Place{Root: t.TempDir(), Family: "f", Quant: "q", Hardware: "h", GPUs: 1, Benchmark: "b"}
	if err := p.Create(began); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(p.Agent(4, 0), 0o755); err != nil {
		t.Fatal(err)
	}
	find := func(change func(*report.Report)) report.Artifacts {
		t.Helper()
		r := sample()
		change(r)
		if err := r.Write(p.Report()); err != nil {
			t.Fatal(err)
		}
		all, err := report.FindArtifacts(p.Root)
		if err != nil || len(all) != 1 || all[0].Run != r.RunID {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0]
	}
	pending := func(l report.Level) report.Level { l.Valid, l.Gates = nil, report.GatesPending; return l }
	for want, change := range map[string]func(*report.Report){
		"": func(*report.Report) {},
		"gates of the baseline": func(r *report.Report) {
			base := pending(r.ByDevs[0])
			r.Baseline = &base
		},
		"gates of N=8": func(r *report.Report) { // of the first of its repeats; the other was stopped
			stopped := pending(r.ByDevs[1])
			stopped.Stop("too slow")
			r.ByDevs[1] = report.Merge([]report.Level{pending(r.ByDevs[1]), stopped})
		},
	} {
		if a := find(change); !strings.Contains(a.Needed, want) || (a.Needed == "") != (want == "") {
			t.Errorf("needed: %q, want %q", a.Needed, want)
		}
	}
	free := find(func(*report.Report) {})
	held, err := p.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if a := find(func(*report.Report) {}); !strings.Contains(a.Needed, "under way") {
		t.Errorf("needed: %q while it is under way", a.Needed)
	}
	if _, err := p.Lock(); !errors.Is(err, report.ErrUnderWay) || !strings.Contains(err.Error(), p.RunID) {
		t.Errorf("locked twice: %v", err)
	}
	if err := free.Remove(); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("removed while it is under way: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	find(func(r *report.Report) { r.ByDevs[0] = pending(r.ByDevs[0]) }) // it went on meanwhile
	if err := free.Remove(); err == nil || !strings.Contains(err.Error(), "gates of N=4") {
		t.Errorf("removed although its gates are pending: %v", err)
	}
	find(func(*report.Report) {})
	if err := free.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.Artifacts()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not removed: %v", err)
	}
	if again, err := p.Lock(); err != nil {
		t.Errorf("the lock was kept: %v", err)
	} else {
		again.Close()
	}
}
