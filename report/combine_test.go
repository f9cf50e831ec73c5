package report_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/x/dail/report"
)

// originals are the reports of the published table.
func originals(t *testing.T) []report.File {
	t.Helper()
	f, err := os.Open("../examples/import/measured.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := report.ReadOriginal(f, report.Origin{Name: "the lab", Licence: "MIT"})
	if err != nil {
		t.Fatal(err)
	}
	var files []report.File
	for _, r := range all {
		files = append(files, report.File{Path: r.RunID, Report: r})
	}
	return files
}

// All that the table says of a level is in its report as it stands there; what it
// does not say is not made up.
func TestOriginalsAreTakenOver(t *testing.T) {
	files := originals(t)
	data, err := os.ReadFile("../examples/import/measured.csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
	levels := 0
	s := compiled(t)
	for _, f := range files {
		r := f.Report
		levels += len(r.ByDevs)
		if r.Source != report.Imported || r.Origin == nil || r.Origin.Licence != "MIT" || r.Date == "" {
			t.Errorf("%s: source %q, origin %+v, date %q", r.RunID, r.Source, r.Origin, r.Date)
		}
		onDisk := written(t, r)
		if err := s.Validate(onDisk); err != nil {
			t.Errorf("%s: %v", r.RunID, err)
		}
		if _, there := onDisk.(map[string]any)["tokens"]; there != (r.Tokens != report.Tokens{}) {
			t.Errorf("%s: tokens are written: %v, of %+v", r.RunID, there, r.Tokens)
		}
		if r.ThetaMax != nil {
			if _, there := onDisk.(map[string]any)["theta_max"].(map[string]any)["concurrency"]; there {
				t.Errorf("%s: a concurrency that the table does not have", r.RunID)
			}
			if text := report.Text(r, false); strings.Contains(text, "0 streams") || !strings.Contains(text, "(streams") {
				t.Errorf("%s: a concurrency that the table does not have:\n%s", r.RunID, text)
			}
		}
		for _, l := range r.ByDevs {
			i := slices.IndexFunc(rows, func(row []string) bool {
				return at(row, "run_id") == r.RunID && at(row, "hardware") == r.Hardware && at(row, "N") == fmt.Sprint(l.Devs)
			})
			row := rows[i]
			for name, got := range map[string]*float64{
				"median_tps": l.MedianTPS, "median_ttft": l.MedianTTFT, "p90_ttft": l.P90TTFT, "p99_tps": l.P99TPS, "e2e_p50": l.E2EP50,
				"cost_per_dev_month": &l.CostPerDevMonth, "tokens_per_hour": l.TokensPerHour, "cost_per_mtok_output": l.CostPerMTokOutput,
				"prefix_cache_hit_rate": l.PrefixCacheHitRate, "utilization": l.Utilization, "underutilization_penalty": l.UnderutilizationPenalty,
			} {
				want := at(row, name)
				if (got == nil) != (want == "") || got != nil && !same(*got, number(t, want)) {
					t.Errorf("%s N=%d: %s is %v, the table has %q", r.RunID, l.Devs, name, show(got), want)
				}
			}
			// The steps' seconds are kept to the nanosecond.
			if at(row, "pod_cost_usd") == "" {
				if r.PodCostUSD != nil {
					t.Errorf("%s: pod cost %g, the table has none", r.RunID, *r.PodCostUSD)
				}
			} else if want := number(t, at(row, "pod_cost_usd")); r.PodCostUSD == nil || math.Abs(*r.PodCostUSD-want) > 1e-9 {
				t.Errorf("%s: pod cost %v, the table has %g", r.RunID, show(r.PodCostUSD), want)
			}
			if fmt.Sprint(l.HoldsSLO) != at(row, "holds_slo") || fmt.Sprint(l.AgentsOK) != at(row, "agents_ok") || len(l.Agents) > 0 {
				t.Errorf("%s N=%d: holds %v, %d agents ok, %d agents", r.RunID, l.Devs, l.HoldsSLO, l.AgentsOK, len(l.Agents))
			}
			if p90 := at(row, "holds_slo_p90"); (l.HoldsSLOP90 == nil) != (p90 == "") || l.HoldsSLOP90 != nil && fmt.Sprint(*l.HoldsSLOP90) != p90 {
				t.Errorf("%s N=%d: at p90 %v, the table has %q", r.RunID, l.Devs, l.HoldsSLOP90, p90)
			}
			tokens := report.Tokens{}
			if at(row, "run_client_prompt_tokens") != "" {
				tokens.Prompt, tokens.Completion = int64(number(t, at(row, "run_client_prompt_tokens"))), int64(number(t, at(row, "run_client_completion_tokens")))
				tokens.Total = tokens.Prompt + tokens.Completion
			}
			if r.Tokens != tokens {
				t.Errorf("%s: tokens %+v, the table has %+v", r.RunID, r.Tokens, tokens)
			}
			if len(l.Notes) == 0 || !strings.Contains(l.Notes[0], "buckets") {
				t.Errorf("%s N=%d: no caveat", r.RunID, l.Devs)
			}
			for key, b := range l.Bounds {
				if v := map[string]*float64{"median_tps": l.MedianTPS, "median_ttft": l.MedianTTFT}[key]; v != nil && (*v < b.Low*(1-1e-9) || *v > b.High*(1+1e-9)) {
					t.Errorf("%s N=%d: %s %g is not within %+v", r.RunID, l.Devs, key, *v, b)
				}
			}
			certain := l.Bounds["median_tps"].Low >= r.SLO.MinTPS && l.Bounds["median_ttft"].High <= r.SLO.MaxTTFT ||
				l.Bounds["median_tps"].High <= r.SLO.MinTPS || l.Bounds["median_ttft"].Low >= r.SLO.MaxTTFT
			if l.HoldsSLOCertain != certain {
				t.Errorf("%s N=%d: certain %v, bounds %+v", r.RunID, l.Devs, l.HoldsSLOCertain, l.Bounds)
			}
		}
	}
	if levels != len(rows)-1 || levels != 37 {
		t.Errorf("%d levels, the table has %d", levels, len(rows)-1)
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	var v float64
	if _, err := fmt.Sscan(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func show(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// A table that is not one is refused with its line and column.
func TestABadTable(t *testing.T) {
	data, err := os.ReadFile("../examples/import/measured.csv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(data), "\n", 3)
	for want, table := range map[string]string{
		"first line":                            "",
		"line 2: column price_usd_per_gpu_hour": lines[0] + "\n" + strings.Replace(lines[1], ",0.27,", ",cheap,", 1),
		"line 2: column run_id":                 lines[0] + "\n" + strings.Replace(lines[1], "20260705-094019", "yesterday", 1),
		"wrong number of fields":                lines[0] + "\n1,2",
		"column holds_slo":                      lines[0] + "\n" + strings.Replace(lines[1], ",true,true,", ",perhaps,true,", 1),
	} {
		if _, err := report.ReadOriginal(strings.NewReader(table), report.Origin{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func FuzzReadOriginal(f *testing.F) {
	data, err := os.ReadFile("../examples/import/measured.csv")
	if err != nil {
		f.Fatal(err)
	}
	lines := strings.SplitN(string(data), "\n", 4)
	f.Add(strings.Join(lines[:3], "\n"))
	f.Add("run_id\n1")
	f.Fuzz(func(t *testing.T, table string) {
		all, err := report.ReadOriginal(strings.NewReader(table), report.Origin{Name: "x"})
		if err != nil {
			return
		}
		for _, r := range all {
			var b bytes.Buffer
			if err := r.Encode(&b); err != nil {
				t.Errorf("%v: it was read and cannot be written", err)
			}
		}
	})
}

// Runs of one combination are joined, sources are not, and what is not valid does
// not win.
func TestCombine(t *testing.T) {
	all := report.Combine(originals(t))
	i := slices.IndexFunc(all, func(c report.Combined) bool { return c.Hardware == "a40" && c.Quant == "awq" })
	c := all[i]
	var sizes []int
	for _, l := range c.Levels {
		sizes = append(sizes, l.Devs)
	}
	if fmt.Sprint(sizes) != "[1 2 4 8 16 32]" || c.Latest.RunID != "20260705-204435" || c.Files[0].Report != c.Latest || len(c.Files) != 2 {
		t.Errorf("%v of %s, %d files", sizes, c.Latest.RunID, len(c.Files))
	}
	if best, ok := c.Best(); !ok || best.Devs != 16 {
		t.Errorf("best %d, %v", best.Devs, ok)
	}
	no := false
	for i := range c.Levels {
		if c.Levels[i].Devs == 16 {
			c.Levels[i].Valid = &no
		}
	}
	if best, _ := c.Best(); best.Devs != 8 {
		t.Errorf("a level that is not valid lets %d win, want 8", best.Devs)
	}
	two := originals(t)[:1]
	other := *two[0].Report
	other.Source = report.Simulated
	if n := len(report.Combine(append(two, report.File{Path: "x", Report: &other}))); n != 2 {
		t.Errorf("%d combinations of two sources", n)
	}
	if n := len(report.Latest(append(two, report.File{Path: "x", Report: &other}))); n != 2 {
		t.Errorf("the latest of two sources are %d", n)
	}
	ranked := report.Rank(all)
	last := 0.0
	for _, c := range ranked {
		if best, ok := c.Best(); ok {
			if best.CostPerDevMonth < last {
				t.Errorf("%s is dearer than what follows", c.Hardware)
			}
			last = best.CostPerDevMonth
		}
	}
}

// What other limits let hold is no answer under these.
func TestCombineKeepsLimitsApart(t *testing.T) {
	judged := func(id string, s report.SLO, holds bool) report.File {
		r := sample()
		r.RunID, r.SLO = id, s
		for i := range r.ByDevs {
			r.ByDevs[i].HoldsSLO = holds
		}
		return report.File{Path: id, Report: r}
	}
	lax, strict := report.SLO{MaxTTFT: 60, MinTPS: 5, Percentile: "p50"}, report.SLO{MaxTTFT: 10, MinTPS: 20}
	files := []report.File{
		judged("1", lax, true), judged("2", strict, false),
		judged("3", report.SLO{MaxTTFT: 10, MinTPS: 20, Percentile: "p50"}, false), // no other than what is empty
		judged("4", report.SLO{MaxTTFT: 10, MinTPS: 20, Percentile: "p90"}, false),
		judged("5", report.SLO{MaxTTFT: 10, MinTPS: 5}, true),
	}
	want := "[p50 10 5 true 1 p50 10 20 false 2 p90 10 20 false 1 p50 60 5 true 1]"
	for range 2 {
		var got []string
		for _, c := range report.Combine(files) {
			_, ok := c.Best()
			got = append(got, fmt.Sprintf("%s %g %g %v %d", c.SLO.Percentile, c.SLO.MaxTTFT, c.SLO.MinTPS, ok, len(c.Files)))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
		slices.Reverse(files)
	}
	var metrics, table bytes.Buffer
	if err := errors.Join(report.OpenMetrics(&metrics, files), report.Markdown(&table, files)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(metrics.String()) {
		series, _, _ := strings.Cut(line, "} ")
		if strings.HasPrefix(line, "dail_") && seen[series] {
			t.Errorf("two samples of %s", series)
		}
		seen[series] = true
	}
	for _, want := range []string{"| p50: 60 s, 5 tok/s | 8 |", "| p50: 10 s, 20 tok/s | none |", "| p90: 10 s, 20 tok/s | none |"} {
		if strings.Count(table.String(), want) != 1 {
			t.Errorf("no row, or more than one, has %q:\n%s", want, table.String())
		}
	}
}

// The exports, against golden files.
func TestExports(t *testing.T) {
	files := append(originals(t)[:4], report.File{Path: "sample", Report: sample()})
	for name, write := range map[string]func(*bytes.Buffer) error{
		"export.csv":         func(b *bytes.Buffer) error { return report.WriteCSV(b, files) },
		"export.md":          func(b *bytes.Buffer) error { return report.Markdown(b, files) },
		"export.openmetrics": func(b *bytes.Buffer) error { return report.OpenMetrics(b, files) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	var b bytes.Buffer
	if err := report.OpenMetrics(&b, files); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "# EOF\n") || !strings.Contains(b.String(), `source="imported"`) {
		t.Error("no end, or no source")
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.TrimSuffix(b.String(), "# EOF\n")))
	if err != nil || families["dail_holds_slo"] == nil {
		t.Errorf("%d families, %v", len(families), err)
	}
}

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

// Every report of this repository fits the schema as it lies there.
func TestCommittedReportsFitTheSchema(t *testing.T) {
	s := compiled(t)
	files, err := report.LoadDir("../results")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
	if len(files) < 18 {
		t.Errorf("only %d reports", len(files))
	}
}

// The original's own files, in both of its layouts, are combined and ranked as
// its rules say.
func TestOriginalFilesRank(t *testing.T) {
	files, err := report.LoadDir("testdata/original")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range report.Rank(report.Combine(files)) {
		best, ok := c.Best()
		got = append(got, fmt.Sprintf("%s %s %d %v %d", c.Hardware, c.Source, best.Devs, ok, len(c.Files)))
	}
	if want := "[rtx-4090 imported 8 true 1 l4 imported 4 true 1 l4 imported 0 false 1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
