package dail_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail"
	"github.com/x/dail/agents"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
)

// asker is an agent that needs nothing but Go: this test binary, run again. It
// asks the gateway three questions and leaves a file behind.
type asker struct{}

const (
	askerVar  = "DAIL_TEST_ASKER"
	levelVar  = "ASKER_LEVEL" // the folder of the level, where its agents meet
	questions = 3
	answerLen = 12 // tokens
)

func TestMain(m *testing.M) {
	pod.Main()     // the watchdog of what is rented here,
	podtest.Main() // and the machines that are, are this binary too
	if len(os.Args) > 2 && os.Args[2] == "litellm.proxy.proxy_cli" {
		os.Exit(pretendLiteLLM(os.Args[3:]))
	}
	if url := os.Getenv(askerVar); url != "" {
		if err := ask(url, os.Getenv("ASKER_TOKEN"), os.Getenv(levelVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m) // nothing that a test started may outlive the tests
}

// meet waits until all agents of a level have come here once: on a busy machine
// they are started far apart, and a level of seconds would fall short of its N.
// Who does not come is not awaited for ever.
func meet(level, where string) error {
	n := 0
	if _, err := fmt.Sscanf(filepath.Base(level), "n%d", &n); err != nil {
		return nil // a baseline, of one
	}
	if err := os.WriteFile(filepath.Join(level, fmt.Sprintf("%s-%d", where, os.Getpid())), nil, 0o644); err != nil {
		return err
	}
	for range 3000 {
		if here, err := filepath.Glob(filepath.Join(level, where+"-*")); err != nil || len(here) >= n {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func ask(url, token, level string) (err error) {
	if level != "" {
		if err := meet(level, "begin"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, meet(level, "end")) }()
	}
	for i := range questions {
		body := fmt.Sprintf(`{"model":"m","max_tokens":%d,"stream":true,"messages":[{"role":"user","content":"question %d of %d"}]}`, answerLen, i, os.Getpid())
		req, err := http.NewRequest(http.MethodPost, url+"/v1/messages", strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte("message_stop")) {
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		fmt.Println("answered")
	}
	return os.WriteFile("asked.txt", nil, 0o644)
}

func (asker) Command(job agents.Job) (agents.Command, error) {
	self, err := os.Executable()
	return agents.Command{
		Argv:   []string{self},
		Env:    map[string]string{askerVar: job.View.Gateway, levelVar: filepath.Dir(filepath.Dir(job.View.Workspace))},
		Secret: map[string]string{"ASKER_TOKEN": job.Token},
	}, err
}
func (asker) Reader() agents.Reader                 { return asker{} }
func (asker) Line(time.Time, []byte) []agents.Event { return []agents.Event{{Kind: agents.Request}} }
func (asker) Done() bool                            { return false }
func (asker) Result(end agents.End) (agents.PhaseResult, bool) {
	ok := end.Exit.Code == 0 && end.Stopped == nil
	return agents.PhaseResult{OK: ok, ExitCode: end.Exit.Code, Reason: map[bool]string{false: "it failed"}[ok],
		Turns: questions, ToolCalls: map[string]int{"Ask": questions}}, !ok
}

// known measures an engine of exactly these times, through every room: the
// gateway, the server, its metrics, the windows, the report on disk.
func known(t *testing.T, ttft, itl time.Duration) *report.Report {
	t.Helper()
	return knownWith(t, ttft, itl, func(*dail.Plan) {})
}

// askPlan is a run whose agents ask, and need nothing installed.
func askPlan(t *testing.T) *dail.Plan {
	t.Helper()
	plan, err := dail.Config{Benchmark: "testdata/benchmarks/known/scenario.yaml", Results: t.TempDir()}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	if err := os.Mkdir(filepath.Join(tools, "node_modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	plan.Agent, plan.AgentName = asker{}, "asker"
	plan.Toolchain = &agents.Toolchain{Dir: tools}
	plan.Runner = agents.Local{}
	return plan
}

// knownServer serves the plan's model at exactly these times.
func knownServer(plan *dail.Plan, ttft, itl time.Duration) pod.Provider {
	return &pod.Simulated{Config: &sim.Config{Step: sim.Fixed{TTFT: ttft, ITL: itl}, Model: plan.Run.Serving.ServedModelName}}
}

func knownWith(t *testing.T, ttft, itl time.Duration, change func(*dail.Plan)) *report.Report {
	t.Helper()
	plan := askPlan(t)
	plan.Provider = knownServer(plan, ttft, itl)
	change(plan)
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if code := dail.ExitStatus(rep, err); code != 0 {
		t.Fatalf("exit status %d: %v", code, rep.Faults())
	}
	stored, _ := oneReport(t, plan.Results)
	return stored
}

// checkKnown compares a report with the truth: means exactly, quantiles by
// their bounds, the verdict, and what the agents perceived, which can only be
// later than the server's own figures.
func checkKnown(t *testing.T, rep *report.Report, ttft, itl time.Duration) {
	t.Helper()
	if rep.Source != report.Simulated || rep.Agent.Name != "asker" {
		t.Errorf("source %q, agent %q", rep.Source, rep.Agent.Name)
	}
	l := rep.ByDevs[0]
	near := func(what string, got *float64, want float64) {
		t.Helper()
		if got == nil || math.Abs(*got-want) > 1e-6*want {
			show, _ := json.Marshal(got)
			t.Errorf("%s = %s, want exactly %g", what, show, want)
		}
	}
	near("mean_ttft", l.MeanTTFT, ttft.Seconds())
	near("mean_tps", l.MeanTPS, 1/itl.Seconds())
	near("e2e_mean", l.E2EMean, (ttft + (answerLen-1)*itl).Seconds())
	within := func(key string, truth float64) {
		t.Helper()
		b, ok := l.Bounds[key]
		if eps := 1e-9 * truth; !ok || truth < b.Low-eps || truth > b.High+eps {
			t.Errorf("%s: the truth %g is not within %+v", key, truth, b)
		}
	}
	within("median_ttft", ttft.Seconds())
	within("median_tps", 1/itl.Seconds())
	within("p99_tps", 1/itl.Seconds())
	if holds := 1/itl.Seconds() >= 20; l.HoldsSLOCertain && l.HoldsSLO != holds {
		t.Errorf("certain that holds_slo is %v, but the truth is %v", l.HoldsSLO, holds)
	}
	want := int64(l.Devs * questions)
	if l.Requests.Started != want || l.ServerTokens.Generation != want*answerLen || l.AgentsOK != l.Devs {
		t.Errorf("%d requests, %d tokens, %d agents", l.Requests.Started, l.ServerTokens.Generation, l.AgentsOK)
	}
	if whole := (ttft + (answerLen-1)*itl).Seconds(); l.Perceived.Whole == nil || l.Perceived.Whole.P50 < whole-0.002 {
		t.Errorf("perceived whole request %+v, but the engine took %g s", l.Perceived.Whole, whole)
	}
	if l.Perceived.Requests != int(want) || l.Perceived.Errors != 0 {
		t.Errorf("perceived %+v", l.Perceived)
	}
}

func TestChainReportsAKnownEngineExactly(t *testing.T) {
	rep := known(t, 200*time.Millisecond, 30*time.Millisecond)
	checkKnown(t, rep, 200*time.Millisecond, 30*time.Millisecond)
	// A control: the same check must not pass for other times.
	if l := rep.ByDevs[0]; math.Abs(*l.MeanTPS-1/0.031) < 0.1 || math.Abs(*l.MeanTTFT-0.21) < 1e-3 {
		t.Error("the check cannot tell 30 ms from 31 ms")
	}
}

func TestChainReportsRandomEnginesExactly(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 12))
	for i := range 12 {
		ttft := time.Duration(1+rng.IntN(400)) * time.Millisecond
		itl := time.Duration(500+rng.IntN(80_000)) * time.Microsecond
		t.Run(fmt.Sprintf("%d/ttft=%v,itl=%v", i, ttft, itl), func(t *testing.T) {
			t.Parallel()
			checkKnown(t, known(t, ttft, itl), ttft, itl)
		})
	}
}

// The workload contract: neither probe nor baseline unless asked for, and a
// baseline stands beside the levels, never among them.
func TestBaselineIsAskedForAndKeptApart(t *testing.T) {
	plan, err := dail.Config{}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if plan.Baseline || plan.Run.Benchmark.SaturationProbe != nil {
		t.Error("the default dev-load asks for a baseline or a saturation probe")
	}
	rep := knownWith(t, 10*time.Millisecond, 5*time.Millisecond, func(p *dail.Plan) { p.Baseline = true })
	if rep.Baseline == nil || rep.Baseline.Devs != 1 || rep.Baseline.Valid == nil || !*rep.Baseline.Valid {
		t.Errorf("baseline = %+v", rep.Baseline)
	}
	if len(rep.ByDevs) != 1 || rep.ByDevs[0].Devs != 3 {
		t.Errorf("by_devs = %+v", rep.ByDevs)
	}
	if rep := known(t, 10*time.Millisecond, 5*time.Millisecond); rep.Baseline != nil {
		t.Error("a baseline nobody asked for")
	}
}

// A server with our mark in its answers is simulated, whatever the provider is
// called; one without it needs the user's word before a local agent runs.
func TestSourceIsSimulatedBehindAnyProvider(t *testing.T) {
	engine, err := sim.NewServer(sim.Config{Step: sim.Fixed{TTFT: time.Millisecond, ITL: time.Millisecond}, Model: "qwen3-coder-30b-fp8"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	var hidden atomic.Bool // whether /version hides what it is
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hidden.Load() && r.URL.Path == "/version" {
			io.WriteString(w, `{"version":"0.11.0"}`)
			return
		}
		engine.ServeHTTP(w, r)
	}))
	defer srv.Close()
	endpoint := srv.URL
	behind := func(p *dail.Plan) { p.Provider = pod.Endpoint{URL: endpoint} }
	rep := knownWith(t, 0, 0, behind)
	if rep.Source != report.Simulated || rep.Provider != "endpoint" {
		t.Errorf("source %q, provider %q", rep.Source, rep.Provider)
	}

	hidden.Store(true)
	plan, err := dail.Config{Benchmark: "testdata/benchmarks/known/scenario.yaml", Results: filepath.Join(t.TempDir(), "results"), Provider: "endpoint", Endpoint: endpoint, Runner: "local"}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	plan.Toolchain = &agents.Toolchain{Dir: t.TempDir()}
	_, err = dail.Run(t.Context(), plan)
	if dail.ExitStatus(nil, err) != 2 || !strings.Contains(err.Error(), "-allow-host-exec") {
		t.Errorf("a real model's commands would run on this machine: %v", err)
	}
	if _, err := os.Stat(plan.Results); !os.IsNotExist(err) {
		t.Error("the refused run created its results folder")
	}
	// With the user's word it runs; its metrics still say what it is.
	rep = knownWith(t, 0, 0, func(p *dail.Plan) { behind(p); p.AllowHostExec = true })
	if rep.Source != report.Simulated {
		t.Errorf("source %q, though /metrics says dail_simulated 1", rep.Source)
	}
}
