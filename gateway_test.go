package dail_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/x/dail"
	"github.com/x/dail/pod"
	"github.com/x/dail/proxy"
	"github.com/x/dail/proxy/litellm"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
	"github.com/x/dail/trace"
)

// pretendLiteLLM is this binary in LiteLLM's place: it speaks Messages, asks
// the configured server, and wants the configured key. Where the model is
// called so, it dies at its third question.
func pretendLiteLLM(args []string) int {
	set := flag.NewFlagSet("litellm", flag.ExitOnError)
	config := set.String("config", "", "")
	host, port := set.String("host", "", ""), set.String("port", "", "")
	set.String("num_workers", "", "")
	set.String("telemetry", "", "")
	set.Parse(args)
	text, err := os.ReadFile(*config)
	if err != nil {
		return 3
	}
	var c struct {
		Models []struct {
			Params struct {
				Model string `yaml:"model"`
				Base  string `yaml:"api_base"`
			} `yaml:"litellm_params"`
		} `yaml:"model_list"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil || len(c.Models) != 1 {
		return 4
	}
	params := c.Models[0].Params
	base, err := url.Parse(params.Base)
	if err != nil {
		return 5
	}
	gateway := proxy.NewMessages(proxy.Config{
		Upstream: base,
		Model:    strings.TrimPrefix(params.Model, "hosted_vllm/"),
		Header:   http.Header{"Authorization": {"Bearer " + os.Getenv("DAIL_UPSTREAM_KEY")}},
		Identify: func(token string) (proxy.Caller, bool) {
			return proxy.Caller{}, token == os.Getenv("LITELLM_MASTER_KEY")
		},
	})
	var asked atomic.Int64
	err = http.ListenAndServe(*host+":"+*port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/health"):
		case strings.HasSuffix(params.Model, "/dies") && asked.Add(1) == 3:
			fmt.Fprintln(os.Stderr, "MemoryError: cannot allocate")
			os.Exit(9)
		default:
			gateway.ServeHTTP(w, r)
		}
	}))
	fmt.Fprintln(os.Stderr, err) // a port that a neighbour has taken is tried again
	return 6
}

func litellmPlan(plan *dail.Plan) {
	self, _ := os.Executable()
	plan.Gateway = "litellm"
	plan.LiteLLM.Program = &litellm.Program{Python: self, Version: "1.100.0"}
}

// The figures of a run are the same with two gateways and a program between
// them.
func TestLiteLLMsPathMeasuresTheSame(t *testing.T) {
	const ttft, itl = 80 * time.Millisecond, 15 * time.Millisecond
	var plan *dail.Plan
	rep := knownWith(t, ttft, itl, func(p *dail.Plan) { litellmPlan(p); plan = p })
	checkKnown(t, rep, ttft, itl)
	if rep.Gateway != "litellm" || rep.GatewayVersion != "1.100.0" {
		t.Errorf("gateway %q %q", rep.Gateway, rep.GatewayVersion)
	}
	found, err := filepath.Glob(filepath.Join(plan.Results, "*", "*", "*", "*", "trace.jsonl"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := trace.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	dialects := map[string]map[string]bool{}
	for _, r := range records {
		if dialects[r.Dialect] == nil {
			dialects[r.Dialect] = map[string]bool{}
		}
		dialects[r.Dialect][r.ID] = true
	}
	if n := len(dialects["messages"]); n == 0 || n != len(dialects["chat"]) {
		t.Errorf("%d requests before LiteLLM, %d behind it", n, len(dialects["chat"]))
	}
	for id := range dialects["messages"] {
		if !dialects["chat"][id] {
			t.Errorf("request %s has no such id behind LiteLLM", id)
		}
	}
	config := filepath.Join(filepath.Dir(found[0]), "artifacts", "gateway", "litellm.yaml")
	if _, err := os.Stat(config); err != nil {
		t.Error(err)
	}
}

// A LiteLLM that dies in the middle ends the run at once, says why with its own
// last words, and keeps what was measured.
func TestALiteLLMThatDiesEndsTheRun(t *testing.T) {
	plan := askPlan(t)
	litellmPlan(plan)
	plan.LiteLLM.Model = "hosted_vllm/dies"
	plan.Provider = &pod.Simulated{Config: &sim.Config{
		Step: sim.Fixed{TTFT: 20 * time.Millisecond, ITL: 5 * time.Millisecond}, Model: plan.Run.Serving.ServedModelName,
	}}
	rep, err := dail.Run(t.Context(), plan)
	if err == nil || !strings.Contains(err.Error(), "LiteLLM 1.100.0 ended") || !strings.Contains(err.Error(), "MemoryError") {
		t.Fatalf("err = %v", err)
	}
	if rep == nil || rep.Truncated != report.TruncatedError || !strings.Contains(rep.TruncatedReason, "LiteLLM") || dail.ExitStatus(rep, err) != 1 {
		t.Errorf("report %+v", rep)
	}
}

func TestGatewaysAreRefusedByName(t *testing.T) {
	_, err := dail.Config{Gateway: "envoy"}.Plan()
	if err == nil || !strings.Contains(err.Error(), `-gateway "envoy"`) || !strings.Contains(err.Error(), "litellm") {
		t.Error(err)
	}
	plan := askPlan(t)
	plan.Gateway = "envoy"
	if _, err := dail.Run(t.Context(), plan); err == nil || dail.ExitStatus(nil, err) != 2 {
		t.Error(err)
	}
}
