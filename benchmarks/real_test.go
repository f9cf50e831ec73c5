package benchmarks_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/proxy"
	"github.com/x/dail/sim"
	"github.com/x/dail/trace"
)

// The player of internal/play only imitates Claude Code. Here the real one
// builds the benchmarks, against an engine that costs no time.
//
// DAIL_CLAUDE names the program, so another version can be tried.
// DAIL_BENCHMARK_AGENTS is the number of agents at once, by default 1.
func TestRealClaudeCodePlaysTheCassettes(t *testing.T) {
	modules := toolchain(t)
	claude := os.Getenv("DAIL_CLAUDE")
	if claude == "" {
		t.Skip("needs the real Claude Code: set DAIL_CLAUDE to its path (make test does)")
	}
	n := 1
	if s := os.Getenv("DAIL_BENCHMARK_AGENTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("DAIL_BENCHMARK_AGENTS is %q; it is a number of agents from 1", s)
		}
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) { playReal(t, load(t, name), modules, claude, n) })
	}
}

func playReal(t *testing.T, b loaded, modules, claude string, n int) {
	cassette, err := sim.LoadCassette(b.Dir, b.Cassette, b.Task.Phases)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sim.NewServer(sim.Config{
		Step: sim.Fixed{TTFT: time.Millisecond, ITL: 10 * time.Microsecond}, Model: "dail", MaxModelLen: 65536,
	}, cassette)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	upstream := httptest.NewServer(engine)
	defer upstream.Close()
	address, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var records []trace.Record
	gateway := httptest.NewServer(proxy.NewMessages(proxy.Config{
		Upstream: address, Model: "dail",
		Trace: func(r trace.Record) {
			mu.Lock()
			defer mu.Unlock()
			records = append(records, r)
		},
	}))
	defer gateway.Close()

	fleet := agents.Fleet{
		N: n, Agent: agents.ClaudeCode{Path: claude}, Dir: t.TempDir(), Name: b.Name, BaseURL: gateway.URL, Model: "dail",
		Runner: agents.Local{Path: []string{filepath.Join(modules, ".bin")}, NodeModules: modules, Scratch: t.TempDir()},
		Token:  func(agent int, phase string) string { return fmt.Sprintf("%s-%d", phase, agent) },
	}
	requests := 0
	for i, ph := range b.Task.Phases {
		fleet.Phases = append(fleet.Phases, agents.Phase{
			ID: ph.ID, Title: ph.Title, Prompt: ph.Prompt, AllowedTools: ph.AllowedTools, MaxTurns: ph.MaxTurns,
			Timeout: time.Duration(ph.TimeoutS) * time.Second,
		})
		requests += len(b.cassette[i].Turns)
	}
	start := time.Now()
	results, err := fleet.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d agents: %.1f s", n, time.Since(start).Seconds())
	for _, r := range results {
		if !r.OK {
			t.Errorf("agent %d: %s", r.Agent, r.Reason)
		}
		for i, ph := range r.Phases {
			t.Logf("agent %d, %s: %d requests, %v, %d output tokens, %.1f s", r.Agent, ph.Phase, ph.Turns, ph.ToolCalls, ph.Tokens.Output, ph.WallTime.Seconds())
			failures := 0
			for _, turn := range b.cassette[i].Turns {
				for _, call := range turn.Calls {
					if call.Expect == sim.Error {
						failures++
					}
				}
			}
			if ph.Turns != len(b.cassette[i].Turns) || ph.ToolErrors != failures || len(ph.APIErrors) > 0 {
				t.Errorf("agent %d, %s: %d requests, want %d; %d tool errors, want %d; API errors %v",
					r.Agent, ph.Phase, ph.Turns, len(b.cassette[i].Turns), ph.ToolErrors, failures, ph.APIErrors)
			}
		}
		if v := score(t, b, modules, r.Workspace); !v.Passed {
			t.Errorf("agent %d: gates: %+v", r.Agent, v.Results)
		}
	}
	if got := mismatches(t, upstream.URL); got != 0 {
		t.Errorf("%d cassette mismatches", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(records) != n*requests {
		t.Errorf("the gateway saw %d requests, want %d", len(records), n*requests)
	}
	for _, r := range records {
		if r.Status != http.StatusOK {
			t.Errorf("a request ended with %d: %s", r.Status, r.Error)
		}
	}
}

// mismatches sums the engine's counter over the phases.
func mismatches(t *testing.T, base string) (n int) {
	t.Helper()
	resp, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "dail_simulated 1") {
		t.Error("the engine does not say that it is simulated")
	}
	for _, m := range regexp.MustCompile(`(?m)^dail_cassette_mismatches_total(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		n += int(v)
	}
	return n
}
