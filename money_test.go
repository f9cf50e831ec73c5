package dail_test

import (
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/report"
)

// A run carries the shipped prices, one of them replaced by the user's own, and
// the server's counts are what is priced.
func TestARunIsComparedWithAPIs(t *testing.T) {
	own := t.TempDir()
	if err := os.Mkdir(filepath.Join(own, "apis"), 0o755); err != nil {
		t.Fatal(err)
	}
	mine := "{name: Mine, model: m, as_of: 2026-11-24, source: 'https://mine.example', input_usd_per_mtok: 1, output_usd_per_mtok: 3}"
	if err := os.WriteFile(filepath.Join(own, "apis", "qwen3-coder-30b.yaml"), []byte(mine), 0o644); err != nil {
		t.Fatal(err)
	}
	with, err := dail.Config{Benchmark: "testdata/benchmarks/known/scenario.yaml", Configs: own, DutyCycle: 0.5}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	rep := knownWith(t, 20*time.Millisecond, 5*time.Millisecond, func(p *dail.Plan) {
		p.APIs, p.DutyCycle, p.HoursPerMonth = with.APIs, with.DutyCycle, 160
	})
	m, l := rep.Money, rep.ByDevs[0]
	if m == nil || m.Usage == nil || m.DutyCycle != 0.5 || m.HoursPerMonth != 160 || rep.Source != report.Simulated {
		t.Fatalf("%+v", m)
	}
	if m.Usage.Prompt != l.ServerTokens.Prompt || m.Usage.Output != l.ServerTokens.Generation || m.Usage.CachedEstimated {
		t.Errorf("priced are %+v, counted were %+v", m.Usage, l.ServerTokens)
	}
	if m.People == nil || m.People.Mean != 2*float64(l.Devs) || m.People.Safe < l.Devs {
		t.Errorf("people %+v for %d agents", m.People, l.Devs)
	}
	found := false
	for _, a := range m.APIs {
		if a.Model == "qwen3-coder-30b-a3b-instruct" {
			t.Error("the user's file did not take the shipped one's place")
		}
		if a.Name != "Mine" {
			continue
		}
		found = true
		// No price for cached tokens: they cost what the others do.
		want := (float64(m.Usage.Prompt) + 3*float64(m.Usage.Output)) / 1e6 / m.Usage.Seconds * 3600 / float64(l.Devs)
		if a.USDPerDevHour == nil || math.Abs(*a.USDPerDevHour/want-1) > 1e-9 || math.Abs(*a.USDPerDevMonth/(want*80)-1) > 1e-9 {
			t.Errorf("%+v, want $%v an hour", a, want)
		}
	}
	if !found || len(m.APIs) < 4 {
		t.Errorf("%d APIs, the user's own among them: %v", len(m.APIs), found)
	}
}

func TestMoneyIsRefused(t *testing.T) {
	for _, text := range []string{"0", "-0.1", "1.01", "NaN", "25%", ""} {
		var c dail.Config
		set := flag.NewFlagSet("x", flag.ContinueOnError)
		set.SetOutput(io.Discard)
		c.Flags(set)
		if err := set.Parse([]string{"-duty", text}); err == nil || !strings.Contains(err.Error(), "above 0, at most 1") {
			t.Errorf("-duty %q: %v", text, err)
		}
	}
	for _, duty := range []float64{-0.1, 1.01, math.NaN(), math.Inf(1)} {
		_, err := dail.Config{DutyCycle: duty}.Plan()
		if !errors.As(err, new(*dail.InputError)) || !strings.Contains(err.Error(), "-duty") {
			t.Errorf("a duty cycle of %v: %v", duty, err)
		}
		plan := askPlan(t)
		plan.DutyCycle = duty
		if _, err := dail.Run(t.Context(), plan); !errors.As(err, new(*dail.InputError)) {
			t.Errorf("a plan's duty cycle of %v: %v", duty, err)
		}
	}

	own := t.TempDir()
	if err := os.Mkdir(filepath.Join(own, "apis"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "apis", "bad.yaml"), []byte("name: x\nmodle: y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := dail.Config{Configs: own}.Plan()
	if want := "apis/bad.yaml:2:1: modle: unknown key; did you mean model?"; !errors.As(err, new(*dail.InputError)) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want one that says %q", err, want)
	}
}
