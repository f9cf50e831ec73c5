package dail_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/internal/virtual"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
	"github.com/x/dail/slo"
)

var update = flag.Bool("update", false, "write the golden files anew")

// virtualLevel is a level in virtual time: measured and judged as a run does it.
type virtualLevel struct {
	report.Level
	minutes float64 // how long it took
}

// levelOf runs n light agents on an engine: once each, or, of a search, until
// its verdict is clear.
func levelOf(t testing.TB, cfg sim.Config, c slo.Criteria, n int, seed uint64, search bool) virtualLevel {
	t.Helper()
	load := virtual.DevLoad(n, seed)
	load.Busy = search
	l, err := virtual.Start(cfg, load)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := func() *slo.Snapshot {
		s, err := l.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	delta := func(a, b *slo.Snapshot) *slo.Window {
		w, err := slo.Delta(a, b)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	before := snapshot()
	series := slo.Series{Snapshots: []*slo.Snapshot{before}}
	var once time.Duration
	var stopped string
	for second := 1; ; second++ {
		l.Advance(time.Second)
		if once == 0 && l.Done() {
			once = l.Now()
		}
		if !search {
			if once > 0 {
				break
			}
			if from, to, ok := l.AllAtWork(); !ok || to.Sub(from) > 0 && second%10 != 0 {
				continue // a sweep needs but the ends of the windows; ten seconds are near enough
			}
		}
		// Read and looked at less often than in a run, to save the test's time.
		if search && second%2 != 0 {
			continue
		}
		series.Snapshots = append(series.Snapshots, snapshot())
		if !search || second%10 != 0 {
			continue
		}
		from, to, ok := l.AllAtWork()
		if !ok {
			continue
		}
		enough, fails := dail.DecideSequentially(c, n, series.Between(from, to), once, l.Now())
		if stopped = fails; enough || fails != "" {
			break
		}
	}
	l.Stop()
	after := snapshot()

	r := report.Report{GPUCount: 1}
	v := virtualLevel{minutes: l.Now().Minutes()}
	v.Level = r.NewLevel(n, slo.Evaluate(delta(before, after), c), nil)
	if conf, ok := series.Confidence(dail.ConfidenceLevel, c); ok && search {
		v.Window.Whole.Confidence = &conf
	}
	if stopped != "" {
		v.Stop(stopped)
	}
	if from, to, ok := l.AllAtWork(); ok {
		part := series.Between(from, to)
		if w, err := part.Window(); err == nil && w != nil {
			v.Narrow(slo.Evaluate(w, c))
			if conf, ok := part.Confidence(dail.ConfidenceLevel, c); ok && search {
				v.Window.AllNActive.Confidence = &conf
			}
		}
	}
	return v
}

// sweep is every team size from 1 to 32 on a card, measured in turn. That takes
// a minute, so it stands in a file (go test -run Sweep -update writes it), of
// which each run of the tests measures the sizes around the answer anew.
type sweep struct {
	file string
	rows []sweepRow
}

type sweepRow struct {
	devs         int
	holds        bool
	agentMinutes float64
}

func (r sweepRow) String() string {
	return fmt.Sprintf("%d holds=%v agent-minutes=%.2f", r.devs, r.holds, r.agentMinutes)
}

func sweepOf(t testing.TB, hardware string, limit int, measure func(n int) sweepRow) sweep {
	t.Helper()
	s := sweep{file: filepath.Join("testdata", "sweep", hardware+".golden")}
	if *update {
		var text strings.Builder
		for n := 1; n <= limit; n++ {
			s.rows = append(s.rows, measure(n))
			fmt.Fprintln(&text, s.rows[n-1])
		}
		if err := os.WriteFile(s.file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return s
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r sweepRow
		if _, err := fmt.Sscanf(line, "%d holds=%t agent-minutes=%f", &r.devs, &r.holds, &r.agentMinutes); err != nil {
			t.Fatalf("%s: %q: %v", s.file, line, err)
		}
		s.rows = append(s.rows, r)
	}
	if len(s.rows) != limit {
		t.Fatalf("%s has %d team sizes, want %d", s.file, len(s.rows), limit)
	}
	for _, n := range []int{1, s.capacity(), s.capacity() + 1} {
		if n < 1 || n > limit {
			continue
		}
		if now := measure(n); now.String() != s.rows[n-1].String() {
			t.Errorf("%s says %q, now it is %q: write it anew with -update", s.file, s.rows[n-1], now)
		}
	}
	return s
}

// capacity is the largest team up to which all hold.
func (s sweep) capacity() int {
	n := slices.IndexFunc(s.rows, func(r sweepRow) bool { return !r.holds })
	if n < 0 {
		return len(s.rows)
	}
	return n
}

func (s sweep) agentMinutes() float64 {
	sum := 0.0
	for _, r := range s.rows {
		sum += r.agentMinutes
	}
	return sum
}

// A search finds what a sweep over every team size finds, for a third of the
// agents' time at most.
func TestSearchFindsWhatASweepFinds(t *testing.T) {
	for _, hardware := range []string{"l40s", "l4", "h200"} {
		t.Run(hardware, func(t *testing.T) {
			t.Parallel()
			plan, err := dail.Config{Hardware: hardware, Devs: "auto"}.Plan()
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := sim.ConfigOf(plan.Run)
			if err != nil {
				t.Fatal(err)
			}
			b := plan.Run.Benchmark.SLO
			c := slo.Criteria{MaxTTFT: b.MaxTTFT, MinTPS: b.MinTPS, Percentile: b.Percentile}

			const seed = 1
			all := sweepOf(t, hardware, plan.SearchMax, func(n int) sweepRow {
				l := levelOf(t, cfg, c, n, seed, false)
				return sweepRow{n, l.HoldsSLO, float64(n) * l.minutes}
			})
			want := all.capacity()
			s, spent := slo.Search{Max: plan.SearchMax}, 0.0
			for n, ok := s.Next(); ok; n, ok = s.Next() {
				l := levelOf(t, cfg, c, n, seed, true)
				s.Saw(n, slo.Outcome{Holds: l.HoldsSLO, Share: dail.HoldShare(l.Level)})
				spent += float64(n) * l.minutes
				t.Logf("N=%d: %v in %.1f min, share %.2f: %s", n, l.HoldsSLO, l.minutes, dail.HoldShare(l.Level), l.Verdict)
			}
			got := s.Capacity()
			t.Logf("a sweep finds %d in %.0f agent-minutes, the search %v in %.0f: %.1f times fewer", want, all.agentMinutes(), got, spent, all.agentMinutes()/spent)
			if got.Holds != want || !got.Done {
				t.Errorf("the search finds %v, a sweep %d", got, want)
			}
			if got.Low > want || got.High < want {
				t.Errorf("%d is not between %d and %d", want, got.Low, got.High)
			}
			if 3*spent > all.agentMinutes() {
				t.Errorf("%.0f agent-minutes, a sweep takes %.0f", spent, all.agentMinutes())
			}
		})
	}
}
