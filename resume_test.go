package dail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/compose"
	"github.com/x/dail/pod"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
	"github.com/x/dail/trace"
)

// planFor is askPlan for these team sizes, into these results.
func planFor(t *testing.T, devs, results string) *dail.Plan {
	t.Helper()
	fresh, err := dail.Config{Benchmark: "testdata/benchmarks/known/scenario.yaml", Results: results, Devs: devs}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	plan := askPlan(t)
	plan.Run, plan.SearchMax, plan.Results = fresh.Run, fresh.SearchMax, results
	plan.Provider = knownServer(plan, 200*time.Millisecond, 30*time.Millisecond)
	return plan
}

// cutShort runs a plan and interrupts it when its progress says so.
func cutShort(t *testing.T, plan *dail.Plan, at string) *report.Report {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	plan.Progress = writerFunc(func(line string) {
		if strings.Contains(line, at) {
			interrupt()
		}
	})
	rep, err := dail.Run(ctx, plan)
	if err == nil || rep == nil || rep.Truncated != report.TruncatedInterrupted {
		t.Fatalf("it was not cut short: %v, %+v", err, rep)
	}
	return rep
}

func devsOf(rep *report.Report) (devs []int) {
	for _, l := range rep.ByDevs {
		devs = append(devs, l.Devs)
	}
	return devs
}

// A run that was cut short and resumed is the same as one that was not, but for
// the second server, which cost money as well.
func TestResumedRunIsAsGoodAsAWholeOne(t *testing.T) {
	t.Parallel()
	whole, err := dail.Run(t.Context(), planFor(t, "1,2,3", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}

	results := t.TempDir()
	cut := cutShort(t, planFor(t, "1,2,3", results), "n2: 2 agents")
	if !slices.Equal(devsOf(cut), []int{1}) || len(cut.Sessions) != 1 {
		t.Fatalf("cut short: %v, %d sessions", devsOf(cut), len(cut.Sessions))
	}
	dir := filepath.Dir(func() string { _, p := oneReport(t, results); return p }())
	firstSeries := read(t, filepath.Join(dir, "series-n1.csv"))
	left := filepath.Join(dir, "artifacts", "n2", "left-behind.txt") // stands for an agent's half-done work
	if err := os.MkdirAll(filepath.Dir(left), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}

	plan := planFor(t, "1,2,3", results)
	plan.Resume = dail.ResumeLatest
	rep, err := dail.Run(t.Context(), plan)
	if err != nil || dail.ExitStatus(rep, err) != 0 {
		t.Fatalf("resumed: %v, %v", err, rep.Faults())
	}
	stored, path := oneReport(t, results)
	if filepath.Dir(path) != dir || stored.RunID != cut.RunID || stored.Truncated != "" || stored.TruncatedReason != "" {
		t.Errorf("%s, truncated %q %q", path, stored.Truncated, stored.TruncatedReason)
	}
	if !slices.Equal(devsOf(stored), devsOf(whole)) || !slices.Equal(stored.Devs, whole.Devs) {
		t.Errorf("levels %v, want %v", devsOf(stored), devsOf(whole))
	}
	for i, l := range stored.ByDevs {
		w := whole.ByDevs[i]
		if l.HoldsSLO != w.HoldsSLO || !*l.Valid || l.AgentsOK != w.AgentsOK || math.Abs(*l.MeanTTFT-*w.MeanTTFT) > 1e-9 || l.Requests.Started != w.Requests.Started ||
			l.Perceived.Requests != w.Perceived.Requests || l.ServerTokens.Generation != w.ServerTokens.Generation {
			t.Errorf("N=%d: resumed %+v\nwhole %+v", l.Devs, l, w)
		}
	}
	// The level that there was is the one that there is.
	if a, b := cut.ByDevs[0], stored.ByDevs[0]; !a.Window.Whole.Start.Equal(b.Window.Whole.Start) || read(t, filepath.Join(dir, b.Series)) != firstSeries {
		t.Error("the level of 1 was measured again")
	}
	checkBill(t, cut, stored)
	if s := stored.Sessions; s[0].Ended == "" || s[1].Ended != "" || s[1].VLLMVersion == "" || !s[1].Start.After(s[0].Start) {
		t.Errorf("sessions %+v", s)
	}

	// Nothing is lost, and nothing is counted twice.
	if read(t, filepath.Join(dir, "artifacts", "n2-session1", "left-behind.txt")) != "half" {
		t.Error("what was half done is gone")
	}
	counts := map[string]int{}
	for _, rec := range records(t, filepath.Join(dir, "trace.jsonl")) {
		counts[rec.Level]++
	}
	for _, l := range stored.ByDevs {
		if name := "n" + string(rune('0'+l.Devs)); counts[name] != l.Devs*questions {
			t.Errorf("the trace has %v", counts)
		}
	}

	plan = planFor(t, "1,2,3", results)
	plan.Resume = stored.RunID
	if _, err := dail.Run(t.Context(), plan); dail.ExitStatus(nil, err) != 2 || !strings.Contains(err.Error(), "complete") {
		t.Errorf("a complete run was resumed: %v", err)
	}
	plan = planFor(t, "1,2,3,4", results) // more developers than the server was made for
	plan.Resume = stored.RunID[:12]
	rep, err = dail.Run(t.Context(), plan)
	if err != nil || !slices.Equal(devsOf(rep), []int{1, 2, 3, 4}) || len(rep.Sessions) != 3 || !strings.Contains(strings.Join(rep.Sessions[2].Notes, "\n"), "devs: was [1, 2, 3], is [1, 2, 3, 4]") {
		t.Errorf("grown: %v, %v, %+v", err, devsOf(rep), rep.Sessions)
	}
}

// checkBill holds a resumed run's cost to its sessions'.
func checkBill(t *testing.T, cut, now *report.Report) {
	t.Helper()
	if len(now.Sessions) != len(cut.Sessions)+1 {
		t.Fatalf("%d sessions after %d", len(now.Sessions), len(cut.Sessions))
	}
	var seconds, cost, steps float64
	for _, s := range now.Sessions {
		seconds, cost = seconds+s.Seconds, cost+s.CostUSD
	}
	for _, s := range now.Timeline {
		steps += s.Seconds
	}
	near := func(what string, a, b float64) {
		t.Helper()
		if math.Abs(a-b) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, a, b)
		}
	}
	near("cost of the sessions", cost, *now.PodCostUSD)
	near("time of the sessions", seconds, steps)
	near("cost of the first session", now.Sessions[0].CostUSD, *cut.PodCostUSD)
	if *now.PodCostUSD <= *cut.PodCostUSD {
		t.Errorf("the second server cost nothing: %v after %v", *now.PodCostUSD, *cut.PodCostUSD)
	}
}

// A run that was killed has said nothing of its end, and may have left half a
// line in its trace. What its server cost after that, nobody knows; the report
// says so.
func TestResumeAfterAKill(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	cut := cutShort(t, planFor(t, "1,2", results), "n2: 2 agents")
	_, path := oneReport(t, results)
	cut.Truncated, cut.TruncatedReason = "", ""
	s := &cut.Sessions[0]
	s.Timeline = slices.DeleteFunc(s.Timeline, func(s report.Step) bool { return s.Label == pod.StepShutdown })
	if err := cut.Write(path); err != nil {
		t.Fatal(err)
	}
	requests := filepath.Join(filepath.Dir(path), "trace.jsonl")
	if err := os.WriteFile(requests, []byte(read(t, requests)+`{"id":"half`), 0o644); err != nil {
		t.Fatal(err)
	}
	plan := planFor(t, "1,2", results)
	plan.Resume = dail.ResumeLatest
	rep, err := dail.Run(t.Context(), plan)
	if err != nil || dail.ExitStatus(rep, err) != 0 || rep.Truncated != "" || !slices.Equal(devsOf(rep), []int{1, 2}) {
		t.Fatalf("%v, %v, truncated %q", err, devsOf(rep), rep.Truncated)
	}
	if !strings.HasPrefix(rep.Sessions[0].Ended, "killed") {
		t.Errorf("sessions %+v", rep.Sessions)
	}
	if n := len(records(t, requests)); n < 3*questions {
		t.Errorf("%d records", n)
	}
}

// A search goes on from the levels that it has.
func TestResumedSearchGoesOnFromItsLevels(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	cut := cutShort(t, planFor(t, "auto:6", results), "n6: 6 agents")
	if !slices.Equal(devsOf(cut), []int{4}) {
		t.Fatal(devsOf(cut))
	}
	plan := planFor(t, "auto:6", results)
	plan.Resume = cut.RunID
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	c := rep.Capacity
	if c.Stopped != "" || c.Holds != 6 || !slices.Equal(c.Asked, []int{4, 6}) || !slices.Equal(devsOf(rep), []int{4, 6}) || c.AgentMinutes <= cut.Capacity.AgentMinutes {
		t.Errorf("%+v, %v", c, devsOf(rep))
	}
	if dail.ExitStatus(rep, err) != 0 {
		t.Error(rep.Faults())
	}
	checkBill(t, cut, rep)
}

// What was measured and not judged is judged without a server.
func TestResumeJudgesWhatIsPending(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	plan := planFor(t, "2", results)
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	_, path := oneReport(t, results)
	pend(&rep.ByDevs[0])
	rep.Truncated, rep.TruncatedReason = report.TruncatedInterrupted, "while judging"
	if err := rep.Write(path); err != nil {
		t.Fatal(err)
	}
	plan = planFor(t, "2", results)
	plan.Resume = dail.ResumeLatest
	plan.Provider = unavailable{plan.Provider}
	again, err := dail.Run(t.Context(), plan)
	if err != nil || dail.ExitStatus(again, err) != 0 || again.ByDevs[0].AgentsOK != 2 || len(again.Sessions) != 1 {
		t.Errorf("%v, %+v", err, again)
	}
}

// A run that was killed while its last level was judged is complete once that is
// done. Its bill is not, and says so.
func TestResumeOfAKilledRunThatLacksNothing(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	rep, err := dail.Run(t.Context(), planFor(t, "2", results))
	if err != nil {
		t.Fatal(err)
	}
	_, path := oneReport(t, results)
	s := &rep.Sessions[0]
	s.Timeline = slices.DeleteFunc(s.Timeline, func(s report.Step) bool { return s.Label == pod.StepShutdown })
	pend(&rep.ByDevs[0])
	if err := rep.Write(path); err != nil {
		t.Fatal(err)
	}
	plan := planFor(t, "2", results)
	plan.Resume = dail.ResumeLatest
	plan.Provider = unavailable{plan.Provider}
	again, err := dail.Run(t.Context(), plan)
	if err != nil || dail.ExitStatus(again, err) != 0 || len(again.Sessions) != 1 || !strings.HasPrefix(again.Sessions[0].Ended, "killed; what its server cost") {
		t.Fatalf("%v, %+v", err, again)
	}
	var table bytes.Buffer
	report.Table(&table, again)
	if !strings.Contains(strings.Join(strings.Fields(table.String()), " "), "killed; what its server cost after the last level that was written is not in this report") {
		t.Errorf("the table does not say that the bill is not whole:\n%s", table.String())
	}
}

// pend makes a level one whose work is not judged yet.
func pend(l *report.Level) {
	l.Valid, l.Gates, l.AgentsOK = nil, report.GatesPending, 0
	for i := range l.Agents {
		l.Agents[i].Gates, l.Agents[i].OK = []report.Gate{}, false
	}
}

// A search that was killed while it judged its last level has its answer once
// that is done; it goes on where the work was not real.
func TestResumeOfASearchThatWasJudging(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil bool
		holds int
		asked []int
	}{
		"the work was real": {false, 6, []int{4, 6}},
		"it was not":        {true, 5, []int{4, 6, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := t.TempDir()
			rep, err := dail.Run(t.Context(), planFor(t, "auto:6", results))
			if err != nil || rep.Capacity.Holds != 6 || !slices.Equal(rep.Capacity.Asked, []int{4, 6}) {
				t.Fatalf("%v, %+v", err, rep)
			}
			_, path := oneReport(t, results)
			pend(&rep.ByDevs[1])
			rep.Capacity.Holds, rep.Capacity.Asked = 4, []int{4}
			if err := rep.Write(path); err != nil {
				t.Fatal(err)
			}
			plan := planFor(t, "auto:6", results)
			plan.Resume = dail.ResumeLatest
			if tc.spoil {
				for i := range 4 {
					if err := os.Remove(filepath.Join(filepath.Dir(path), "artifacts", "n6", fmt.Sprintf("agent%d", i), "workspace", "asked.txt")); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				plan.Provider = unavailable{plan.Provider}
			}
			rep, err = dail.Run(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			if c := rep.Capacity; c.Holds != tc.holds || !slices.Equal(c.Asked, tc.asked) || c.Stopped != "" {
				t.Errorf("%+v", c)
			}
		})
	}
}

// A start that fails when there was a server is on the bill of the run that it was
// to go on with.
func TestResumeBillsAStartThatFailed(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	cut := cutShort(t, planFor(t, "1,2", results), "n2: 2 agents")
	plan := planFor(t, "1,2", results)
	plan.Resume = cut.RunID
	plan.Provider = &pod.Simulated{Config: &sim.Config{Step: sim.Fixed{TTFT: 1, ITL: 1}, Model: "another"}}
	plan.Pod.Limits.MaxStartup = 200 * time.Millisecond
	rep, err := dail.Run(t.Context(), plan)
	if dail.ExitStatus(rep, err) != 1 {
		t.Fatalf("it went on: %v, %+v", err, rep)
	}
	stored, _ := oneReport(t, results)
	checkBill(t, cut, stored)
	if s := stored.Sessions[1]; s.Ended == "" || s.Seconds <= 0 || stored.Truncated == "" {
		t.Errorf("%+v", s)
	}
	plan = planFor(t, "1,2", results)
	plan.Resume = cut.RunID
	if rep, err := dail.Run(t.Context(), plan); err != nil || len(rep.Sessions) != 3 || rep.Truncated != "" || !slices.Equal(devsOf(rep), []int{1, 2}) {
		t.Errorf("afterwards: %v, %+v", err, rep)
	}
}

// Other versions of the programs in between are refused before there is a server.
func TestResumeRefusesOtherVersions(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	cut := cutShort(t, planFor(t, "1,2", results), "n2: 2 agents")
	_, path := oneReport(t, results)
	client := filepath.Join(t.TempDir(), "claude")
	if err := os.WriteFile(client, []byte("#!/bin/sh\n[ $1 = --version ] && echo '2.1.330 (Claude Code)'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cut.Agent.Name, cut.AgentVersion, cut.GatewayVersion = "claude-code", "2.1.197", "1.99.0"
	if err := cut.Write(path); err != nil {
		t.Fatal(err)
	}
	plan := planFor(t, "1,2", results)
	plan.Resume, plan.Agent, plan.Claude = cut.RunID, nil, client
	plan.Provider = unavailable{plan.Provider}
	_, err := dail.Run(t.Context(), plan)
	for _, want := range []string{"Claude Code: was 2.1.197, is 2.1.330", "LiteLLM: was 1.99.0, is not known"} {
		if dail.ExitStatus(nil, err) != 2 || !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal does not say %q: %v", want, err)
		}
	}
	cut.AgentVersion, cut.GatewayVersion = "2.1.330", ""
	if err := cut.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := dail.Run(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "a server was asked for") {
		t.Errorf("the same versions: %v", err)
	}
}

// unavailable is a provider that has no machine.
type unavailable struct{ pod.Provider }

func (unavailable) Offers(context.Context, *compose.Run) ([]pod.Offer, error) {
	return nil, errors.New("a server was asked for")
}

// What would be measured now is not what was: the refusal names it.
func TestResumeRefusesAnotherRun(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	cut := cutShort(t, planFor(t, "1,2", results), "n2: 2 agents")
	id := cut.RunID
	for name, tc := range map[string]struct {
		devs   string
		change func(*dail.Plan)
		want   []string
	}{
		"unknown id":      {"1,2", func(p *dail.Plan) { p.Resume = "19990101-000000" }, []string{"no such run", id}},
		"no runs":         {"1,2", func(p *dail.Plan) { p.Results = t.TempDir() }, []string{"no runs"}},
		"other SLO":       {"1,2", func(p *dail.Plan) { p.Run.Benchmark.SLO.MinTPS = 25 }, []string{"benchmark.slo.min_tps: was 20, is 25"}},
		"other prompt":    {"1,2", func(p *dail.Plan) { p.Run.Benchmark.Task.Phases[0].Prompt = "Ask." }, []string{"benchmark.task.phases[0].prompt: was"}},
		"other hardware":  {"1,2", func(p *dail.Plan) { p.Run.Hardware.Key = "h100" }, []string{"l40s-1gpu", "h100-1gpu"}},
		"fewer":           {"1", func(*dail.Plan) {}, []string{"-devs: was 1,2, is 1; it may only grow"}},
		"search":          {"auto:2", func(*dail.Plan) {}, []string{"-devs: was 1,2, is auto"}},
		"other gateway":   {"1,2", func(p *dail.Plan) { p.Gateway = "litellm" }, []string{"-gateway: was native, is litellm"}},
		"other provider":  {"1,2", func(p *dail.Plan) { p.Provider = pod.Endpoint{URL: "http://127.0.0.1:1"} }, []string{"-provider: was simulated, is endpoint"}},
		"other duty":      {"1,2", func(p *dail.Plan) { p.DutyCycle = 0.25 }, []string{"-duty: was 0, is 0.25"}},
		"other month":     {"1,2", func(p *dail.Plan) { p.HoursPerMonth = 160 }, []string{"-hours-per-month: was 730, is 160"}},
		"no money left":   {"1,2", func(p *dail.Plan) { p.Pod.MaxUSD = 1e-9 }, []string{"-max-usd"}},
		"the real client": {"1,2", func(p *dail.Plan) { p.Agent = nil }, []string{"agent: was asker, is claude-code"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := planFor(t, tc.devs, results)
			plan.Resume = id
			tc.change(plan)
			rep, err := dail.Run(t.Context(), plan)
			if rep != nil || dail.ExitStatus(nil, err) != 2 {
				t.Fatalf("it went on: %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the refusal does not say %q:\n%v", want, err)
				}
			}
		})
	}
	if stored, _ := oneReport(t, results); len(stored.Sessions) != 1 || stored.Truncated == "" {
		t.Errorf("a refusal changed the report: %+v", stored.Sessions)
	}
}

// Another server is found out only when it is there: its time is on the bill,
// and no level of it in the report.
func TestResumeOnAnotherServerIsRefused(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	cut := cutShort(t, planFor(t, "1,2", results), "n2: 2 agents")
	_, path := oneReport(t, results)
	cut.VLLMVersion = "dail-sim/0.0.1"
	if err := cut.Write(path); err != nil {
		t.Fatal(err)
	}
	plan := planFor(t, "1,2", results)
	plan.Resume = cut.RunID
	rep, err := dail.Run(t.Context(), plan)
	if dail.ExitStatus(rep, err) != 1 || !strings.Contains(err.Error(), "the server: was") {
		t.Fatal(err)
	}
	stored, _ := oneReport(t, results)
	if !slices.Equal(devsOf(stored), []int{1}) || stored.Truncated == "" {
		t.Errorf("levels %v, truncated %q", devsOf(stored), stored.Truncated)
	}
	checkBill(t, cut, stored)
}

// Two programs do not write one report.
func TestResumeWaitsForNobody(t *testing.T) {
	t.Parallel()
	results := t.TempDir()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	plan := planFor(t, "1,2", results)
	var refusal error
	plan.Progress = writerFunc(func(line string) {
		if strings.Contains(line, "n2: 2 agents") {
			again := planFor(t, "1,2", results)
			again.Resume = dail.ResumeLatest
			_, refusal = dail.Run(ctx, again)
			interrupt()
		}
	})
	dail.Run(ctx, plan)
	if dail.ExitStatus(nil, refusal) != 2 || !strings.Contains(refusal.Error(), "still under way") {
		t.Errorf("%v", refusal)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func records(t *testing.T, path string) []trace.Record {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := trace.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
