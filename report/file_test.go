package report_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/report"
)

func TestWriteAndLoad(t *testing.T) {
	r := sample()
	dir := t.TempDir()
	path := filepath.Join(dir, report.FileName)
	for range 2 { // a second write replaces the first
		if err := r.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	back, err := report.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", data)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want the report alone", entries, err)
	}
}

// A level is on disk before its gates have run, and says so.
func TestPendingLevelIsNull(t *testing.T) {
	r := sample()
	r.ByDevs[1] = r.NewLevel(8, figures(8), team(8))
	path := filepath.Join(t.TempDir(), report.FileName)
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		ByDevs []map[string]any `json:"by_devs"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	l := raw.ByDevs[1]
	if v, there := l["valid"]; v != nil || !there || l["gates"] != "pending" {
		t.Errorf("valid %v (there: %v), gates %v; want null and pending", v, there, l["gates"])
	}
}

func TestWriteLeavesTheOldFileWhereItFails(t *testing.T) {
	r := sample()
	if err := r.Write(filepath.Join(t.TempDir(), "missing", report.FileName)); err == nil {
		t.Error("a folder that is not there was no error")
	}
	path := filepath.Join(t.TempDir(), report.FileName)
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	bad := 0.0
	bad /= bad
	r.ByDevs[0].MeanTPS = &bad
	if err := r.Write(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("NaN was written: %v", err)
	}
	if _, err := report.Load(path); err != nil {
		t.Error(err)
	}
}

// The original lab's files, as lab.md quotes them, in both of its layouts.
func TestLoadDirReadsTheOriginals(t *testing.T) {
	files, err := report.LoadDir(filepath.Join("testdata", "original"))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, filepath.ToSlash(f.Path))
		if f.Report.Source != report.Imported || f.Report.SchemaVersion != 0 {
			t.Errorf("%s: source %q, schema version %d", f.Path, f.Report.Source, f.Report.SchemaVersion)
		}
	}
	want := []string{
		"testdata/original/dev-load/qwen3-coder-awq/rtx-4090-1gpu/20260705-123731/report.json",
		"testdata/original/qwen3-coder-awq/l4-1gpu/dev-load/20260704-101500/report.json",
		"testdata/original/qwen3-coder-awq/l4-1gpu/dev-load/20260705-225417/report.json",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Fatalf("found (-want +got):\n%s", diff)
	}
	r := files[0].Report
	l := r.ByDevs[0]
	if l.Devs != 8 || !l.HoldsSLO || *l.MedianTPS != 60.88782710150564 || *l.P99TTFT != 5.125 || *l.Valid != true || l.AgentsOK != 8 ||
		l.ServerTokens.Prompt != 4571955 || r.ThetaMax.Shape.PromptTokens != 205 || len(l.Bounds) != 0 {
		t.Errorf("level %+v", l)
	}
	old := files[1].Report // from before the percentiles
	if old.ByDevs[0].P90TTFT != nil || old.ByDevs[0].HoldsSLOP90 != nil || old.PodCostUSD != nil {
		t.Errorf("figures that the file does not have: %+v", old.ByDevs[0])
	}
	truncated := files[2].Report
	if truncated.Truncated != report.TruncatedMaxRun || truncated.ByDevs[0].HoldsSLO || len(truncated.Faults()) != 1 {
		t.Errorf("truncated %q, faults %q", truncated.Truncated, truncated.Faults())
	}
	if latest := report.Latest(files); len(latest) != 3 { // the older one was judged by other limits
		t.Errorf("latest are %v", latest)
	}
	limits := old.SLO
	old.SLO = truncated.SLO
	latest := report.Latest(files)
	old.SLO = limits
	if len(latest) != 2 || latest[1].Report.RunID != "20260705-225417" {
		t.Errorf("latest are %v", latest)
	}
	for _, f := range files {
		golden(t, "table-original-"+f.Report.RunID+".txt", []byte(report.Text(f.Report, false)))
	}
}

func TestLoadDirReportsBadFilesAndReadsTheRest(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const good = `{"run_id":"20260101-000000","family":"f","hardware":"h","by_devs":[]}`
	put("a/report.json", good)
	put("b/report.json", "{\n\"run_id\": 7}")
	put("c/report.json", good[:20])
	put("d/report.json", good)
	put("d/artifacts/n4/agent0/workspace/report.json", "an agent's own file")
	files, err := report.LoadDir(dir)
	if len(files) != 2 || err == nil {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, want := range []string{filepath.Join("b", "report.json"), "line 2", filepath.Join("c", "report.json")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "workspace") {
		t.Errorf("an agent's file was read: %v", err)
	}
	if _, err := report.LoadDir(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was no error")
	}
}

// Results may lie elsewhere, behind a link; what is found is called as it was
// asked for.
func TestAFolderBehindALink(t *testing.T) {
	dir := t.TempDir()
	link, real := filepath.Join(dir, "link"), filepath.Join(dir, "real")
	run := filepath.Join(real, "run")
	if err := errors.Join(os.MkdirAll(filepath.Join(run, "artifacts", "n4"), 0o755), os.Symlink(real, link), sample().Write(filepath.Join(run, report.FileName)),
		os.Symlink(run, filepath.Join(real, "again")), os.Symlink(filepath.Join(dir, "none"), filepath.Join(dir, "broken"))); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{link, link + string(filepath.Separator), real} {
		files, err := report.LoadDir(asked)
		if err != nil || len(files) != 1 || files[0].Path != filepath.Join(asked, "run", report.FileName) {
			t.Errorf("%s: %v, %v", asked, files, err)
		}
		heavy, err := report.FindArtifacts(asked)
		if err != nil || len(heavy) != 1 || heavy[0].Path != filepath.Join(asked, "run", "artifacts") {
			t.Errorf("%s: %v, %v", asked, heavy, err)
		}
	}
	for _, missing := range []string{"none", "broken"} {
		if _, err := report.LoadDir(filepath.Join(dir, missing)); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the folder of the reports") {
			t.Errorf("%s: %v", missing, err)
		}
		if _, err := report.FindArtifacts(filepath.Join(dir, missing)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "not a report"},
		{"another program's", `{"total": 3}`, "run_id, family or hardware is missing"},
		{"a list", `[]`, "not a report"},
		{"newer", `{"schema_version":2,"run_id":"x","family":"f","hardware":"h"}`, "newer dail"},
		{"no team", `{"run_id":"x","family":"f","hardware":"h","by_devs":[{"devs":0}]}`, "by_devs[0].devs is 0"},
		{"text for a number", "{\"run_id\":\"x\",\n\"gpu_count\":\"one\"}", "line 2"},
		{"half of the bounds", `{"run_id":"x","family":"f","hardware":"h","by_devs":[{"devs":1,"bounds":{"p90_tps":[1]}}]}`, "want [low, high]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := report.Read(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want an error that says %q", r, err, c.want)
			}
		})
	}
}

func TestPlace(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 11, 59, 0, time.Local)
	root := t.TempDir()
	p := report.Place{Root: root, Family: "qwen3-coder", Quant: "fp8", Hardware: "l40s", GPUs: 2, Benchmark: "dev-load"}
	q := p
	if err := p.Create(now); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(root, "qwen3-coder-fp8", "l40s-2gpu", "dev-load", "20261124-101159", "report.json"); p.Report() != want {
		t.Errorf("report at %s, want %s", p.Report(), want)
	}
	if want := filepath.Join(p.Dir(), "artifacts", "n4", "agent3"); p.Agent(4, 3) != want {
		t.Errorf("agent at %s, want %s", p.Agent(4, 3), want)
	}
	if err := q.Create(now); err != nil || q.RunID != "20261124-101200" || q.RunID <= p.RunID {
		t.Errorf("second run is %q, %v", q.RunID, err)
	}
	for _, name := range []string{"", "..", "a/b"} {
		bad := p
		bad.Family = name
		if err := bad.Create(now); err == nil {
			t.Errorf("family %q was taken", name)
		}
	}
}
