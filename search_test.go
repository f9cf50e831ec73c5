package dail_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/agents"
	"github.com/x/dail/report"
)

func TestSearchReportsWhatItFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		itl   time.Duration
		holds int
		asked []int
	}{
		{"all hold", 40 * time.Millisecond, 3, []int{3}},
		{"none does", 90 * time.Millisecond, 0, []int{3, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rep := knownWith(t, 200*time.Millisecond, tc.itl, func(p *dail.Plan) { p.SearchMax = 3 })
			c := rep.Capacity
			if c == nil || c.Holds != tc.holds || !slices.Equal(c.Asked, tc.asked) || c.Max != 3 || c.Stopped != "" || c.AgentMinutes <= 0 || c.Seconds <= 0 {
				t.Fatalf("%+v", c)
			}
			if len(rep.ByDevs) != len(tc.asked) || !slices.IsSortedFunc(rep.ByDevs, func(a, b report.Level) int { return a.Devs - b.Devs }) || rep.Devs != nil {
				t.Errorf("%d levels of %v", len(rep.ByDevs), rep.Devs)
			}
			if step := slices.ContainsFunc(rep.Timeline, func(s report.Step) bool { return s.Label == "gates" }); step != (tc.holds > 0) {
				t.Errorf("the timeline, which shows what judging cost: %+v", rep.Timeline)
			}
			if text := report.Text(rep, false); !strings.Contains(text, "\nCapacity: ") || !strings.Contains(text, "(simulated)") {
				t.Error(text)
			}
		})
	}
}

// A search whose next level would outlive the run ends with what it knows: four
// take some 4 s, so that eight would take 8.
func TestSearchEndsBeforeItsBudgetDoes(t *testing.T) {
	t.Parallel()
	plan := askPlan(t)
	plan.Provider = knownServer(plan, 200*time.Millisecond, 40*time.Millisecond)
	plan.SearchMax = 8
	plan.Pod.Limits.Run = 11 * time.Second
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	c := rep.Capacity
	if c.Stopped == "" || !strings.Contains(c.Stopped, "MAX_RUN") || c.Holds != 4 || len(c.Asked) != 1 || rep.Truncated != "" {
		t.Errorf("%+v, truncated %q", c, rep.Truncated)
	}
	if dail.ExitStatus(rep, err) != 1 {
		t.Error("a search that was not finished is no complete run")
	}
}

// Nor does a search that was interrupted look like an answer; what it measured
// is kept.
func TestAnInterruptedSearchSaysSo(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	plan := askPlan(t)
	plan.Provider = knownServer(plan, 200*time.Millisecond, 40*time.Millisecond)
	plan.SearchMax = 8
	plan.Progress = writerFunc(func(line string) {
		if strings.Contains(line, "n8: 8 agents") { // the first level is measured, the second has begun
			interrupt()
		}
	})
	rep, err := dail.Run(ctx, plan)
	if err == nil || dail.ExitStatus(rep, err) != 1 {
		t.Fatalf("%v", err)
	}
	stored, _ := oneReport(t, plan.Results)
	if c := stored.Capacity; c == nil || c.Stopped == "" || c.Holds != 4 || len(stored.ByDevs) != 1 || !*stored.ByDevs[0].Valid {
		t.Errorf("%+v, %d levels", c, len(stored.ByDevs))
	}
	if text := strings.Join(strings.Fields(report.Text(stored, false)), " "); !strings.Contains(text, "the search was not finished") || !strings.Contains(text, "TRUNCATED") {
		t.Error(text)
	}
}

type writerFunc func(string)

func (f writerFunc) Write(b []byte) (int, error) {
	f(string(b))
	return len(b), nil
}

func TestRepeatsAreMerged(t *testing.T) {
	t.Parallel()
	rep := knownWith(t, 200*time.Millisecond, 40*time.Millisecond, func(p *dail.Plan) { p.Repeat = 2 })
	if len(rep.ByDevs) != 1 {
		t.Fatalf("%d levels", len(rep.ByDevs))
	}
	l := rep.ByDevs[0]
	if l.Repeats == nil || l.Repeats.Count != 2 || len(l.Repeats.Levels) != 2 || l.Valid == nil || !*l.Valid || !l.HoldsSLO || l.AgentsOK != 3 {
		t.Errorf("%+v", l)
	}
	if cv, ok := l.Repeats.CV["mean_tps"]; !ok || cv > 1e-6 {
		t.Errorf("the engine is the same each time, and its speed varies by %v", cv)
	}
	checkKnown(t, rep, 200*time.Millisecond, 40*time.Millisecond)
}

func TestPrecisionKeepsAllAtWork(t *testing.T) {
	t.Parallel()
	plan := askPlan(t)
	plan.Provider = knownServer(plan, 20*time.Millisecond, 5*time.Millisecond)
	plan.Precision = 0.05
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	stored, path := oneReport(t, plan.Results)
	l := stored.ByDevs[0]
	for _, a := range l.Agents {
		if a.Rounds < 2 || !a.OK {
			t.Errorf("agent %d: %d rounds, ok %v (%s)", a.Agent, a.Rounds, a.OK, a.Reason)
		}
	}
	if d := l.Delivered; d == nil || d.Short || d.FullShare < 0.5 || d.ActiveMean < 1.5 {
		t.Errorf("delivered %+v", l.Delivered)
	}
	if dail.ExitStatus(rep, err) != 0 {
		t.Error(rep.Faults())
	}

	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), l.Series))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 3 || rows[0][0] != "t_s" {
		t.Errorf("time series: %v\n%s", err, text)
	}
	// On a machine that takes long to start agents the level may last long enough.
	const enough = 24 // rows, eight blocks of at least three
	if len(rows)-1 < enough && !slices.ContainsFunc(l.Notes, func(n string) bool { return strings.Contains(n, "less precisely than ±5 %") }) {
		t.Errorf("%d seconds are not enough for 5 %%, and no note says so: %q", len(rows)-1, l.Notes)
	}
}

// absent is an agent of which one in three never asks anything.
type absent struct {
	asker
	n *atomic.Int32
}

func (a absent) Command(job agents.Job) (agents.Command, error) {
	c, err := a.asker.Command(job)
	if a.n.Add(1) == 2 {
		c.Argv = []string{"true"}
	}
	delete(c.Env, levelVar) // it would be waited for
	return c, err
}

// A level of three at which two worked says so, and never holds.
func TestALevelThatFellShortNeverHolds(t *testing.T) {
	t.Parallel()
	for short, agent := range map[bool]agents.Agent{true: absent{n: new(atomic.Int32)}, false: asker{}} {
		rep := knownWith(t, 200*time.Millisecond, 40*time.Millisecond, func(p *dail.Plan) { p.Agent = agent })
		l := rep.ByDevs[0]
		if l.Delivered.Short != short || l.HoldsSLO == short || !*l.Valid {
			t.Errorf("short %v: holds %v, valid %v, %+v", short, l.HoldsSLO, *l.Valid, l.Delivered)
		}
		if short && (l.Delivered.Absent != 1 || !strings.Contains(l.Verdict, "1 of 3 agents never sent a request")) {
			t.Errorf("%q, %+v", l.Verdict, l.Delivered)
		}
	}
}
