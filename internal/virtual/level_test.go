package virtual_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail"
	"github.com/x/dail/internal/virtual"
	"github.com/x/dail/sim"
	"github.com/x/dail/slo"
)

// card is the engine of dev-load on a card.
func card(t testing.TB, hardware string) sim.Config {
	t.Helper()
	plan, err := dail.Config{Hardware: hardware, Devs: "auto"}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := sim.ConfigOf(plan.Run)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// whole runs a level until all are done, and returns its figures.
func whole(t testing.TB, cfg sim.Config, load virtual.Load) (slo.Figures, *virtual.Level) {
	t.Helper()
	l, err := virtual.Start(cfg, load)
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for !l.Done() {
		l.Advance(time.Second)
	}
	after, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	w, err := slo.Delta(before, after)
	if err != nil {
		t.Fatal(err)
	}
	return slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20}), l
}

// The light agents make the load of the real ones: the committed run of
// dev-load on a simulated l40s, with Claude Code, within a few percent.
func TestDevLoadResemblesTheRealAgents(t *testing.T) {
	for n, real := range map[int]struct{ meanTPS, tokensPerDev, outputPerDev, seconds, hitRate float64 }{
		4: {45.7, 438945, 7435, 182.6, 0.942},
		8: {26.4, 438953, 7435, 311, 0.948},
	} {
		f, l := whole(t, card(t, "l40s"), virtual.DevLoad(n, 1))
		per := func(v int64) float64 { return float64(v) / float64(n) }
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"mean tok/s", f.MeanTPS, real.meanTPS},
			{"tokens per agent", per(f.PromptTokens + f.GenerationTokens), real.tokensPerDev},
			{"output per agent", per(f.GenerationTokens), real.outputPerDev},
			{"seconds", f.Seconds, real.seconds},
			{"hit rate", *f.PrefixCacheHitRate, real.hitRate},
		} {
			t.Logf("N=%d: %s %.4g, with Claude Code %.4g", n, c.what, c.got, c.want)
			if c.got < 0.85*c.want || c.got > 1.15*c.want {
				t.Errorf("N=%d: %s is %.4g, with Claude Code %.4g", n, c.what, c.got, c.want)
			}
		}
		if len(l.Log) != 29*n || int(f.Started) != len(l.Log) {
			t.Errorf("N=%d: %d requests in the log, %d on the page", n, len(l.Log), f.Started)
		}
	}
}

func TestTheSameSeedIsTheSameLevel(t *testing.T) {
	cfg := card(t, "l40s")
	a, l := whole(t, cfg, virtual.DevLoad(3, 7))
	b, m := whole(t, cfg, virtual.DevLoad(3, 7))
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(l.Log, m.Log); diff != "" {
		t.Error(diff)
	}
	if c, _ := whole(t, cfg, virtual.DevLoad(3, 8)); cmp.Equal(a, c) {
		t.Error("another seed is the same level")
	}
}

func TestBusyAgentsGoOnUntilTheyAreStopped(t *testing.T) {
	load := virtual.DevLoad(2, 1)
	load.Busy = true
	l, err := virtual.Start(card(t, "h200"), load)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if l.Advance(5 * time.Minute); !l.Done() {
			t.Fatal("not done in five minutes")
		}
	}
	requests := len(l.Log)
	if requests < 3*29*2 {
		t.Errorf("%d requests", requests)
	}
	from, to, ok := l.AllAtWork()
	if !ok || to.Sub(from) < 14*time.Minute {
		t.Errorf("all at work from %v to %v, %v", from, to, ok)
	}
	l.Stop()
	l.Advance(time.Minute)
	if len(l.Log) != requests {
		t.Error("stopped agents ask")
	}
}

// Agents without patience leave, and ask again.
func TestPatience(t *testing.T) {
	load := virtual.Load{N: 1, Phases: []virtual.Phase{{Task: 10, Turns: 1, Output: 100}}, Patience: time.Second}
	l, err := virtual.Start(sim.Config{Step: sim.Fixed{TTFT: 100 * time.Millisecond, ITL: 20 * time.Millisecond}}, load)
	if err != nil {
		t.Fatal(err)
	}
	l.Advance(3500 * time.Millisecond)
	if len(l.Log) != 2 || !l.Log[0].Gone || l.Log[0].Done || len(l.Log[0].Events) == 0 || l.Log[1].Arrival != 2*time.Second {
		t.Errorf("%+v", l.Log)
	}
	if first, ok := l.Log[0].First(); !ok || first != 100*time.Millisecond {
		t.Errorf("first token after %v, %v", first, ok)
	}
}

func BenchmarkLevel(b *testing.B) {
	cfg := card(b, "l40s")
	for b.Loop() {
		_, l := whole(b, cfg, virtual.DevLoad(16, 1))
		b.ReportMetric(l.Now().Minutes()*16, "agent-minutes")
	}
}
