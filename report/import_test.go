package report_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

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
