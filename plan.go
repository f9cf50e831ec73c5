package dail

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/compose"
	requirements "github.com/x/dail/infra/litellm"
	"github.com/x/dail/infra/toolchain"
	"github.com/x/dail/pod"
	"github.com/x/dail/proxy/litellm"
	"github.com/x/dail/report"
)

// Plan is a run as values: what [Config.Plan] makes of flags, or what a program
// fills in by itself. Run and Provider must be set.
type Plan struct {
	Run      *compose.Run
	Provider pod.Provider
	// Pod holds the ceilings of the pod's life, and what its provider needs to
	// log in. Progress is the run's own.
	Pod pod.Options
	// Runner is where agents work and gates run, and RunnerName how the report
	// calls it; nil is agents.Local with the toolchain's programs.
	Runner     Runner
	RunnerName string
	// Container takes Runner's place where that is nil, the model turns out to be
	// a real one, and its engine answers; nil is nothing.
	Container *container.Runner
	// Agent is what drives the load, and AgentName how the report calls it; nil
	// is Claude Code as the run's scenario wants it.
	Agent     agents.Agent
	AgentName string
	// Toolchain holds the programs that agents and gates use; nil is the pinned
	// one, which is installed where it is missing.
	Toolchain *agents.Toolchain
	// Claude is the agent program for a nil Agent; empty is the pinned one.
	Claude string
	// Gateway is "native", also when empty, or "litellm".
	Gateway string
	// LiteLLM is how the gateway of that name is set up.
	LiteLLM LiteLLM
	// Results is the folder of the reports; empty is "results".
	Results string

	// SearchMax, above 0, searches for the largest team up to it that holds,
	// instead of measuring Run.Devs.
	SearchMax int
	// Precision, above 0, keeps all agents at work until the figures that are
	// judged are known to that part of their value.
	Precision float64
	// Repeat is how often each team size is measured; below 2: once.
	Repeat int

	// Resume is the id of an earlier run below Results, or "latest": what it lacks
	// is measured into its own folder and report. Its composition must be this
	// one's, but for more team sizes. Empty: a new run.
	Resume string

	Baseline      bool
	AllowHostExec bool
	HoursPerMonth float64 // 0: 730
	// DutyCycle is the part of those hours in which one person's agent is at
	// work, at most 1; 0 where it is not known. APIs are what the run's cost is
	// compared with: who sells what at which price.
	DutyCycle float64
	APIs      []report.API

	// Progress takes what a person should see while the run goes on; nil is
	// silence.
	Progress io.Writer
}

func (p Plan) withDefaults() Plan {
	if p.Gateway == "" {
		p.Gateway = "native"
	}
	if p.Results == "" {
		p.Results = DefaultResults
	}
	if p.HoursPerMonth == 0 {
		p.HoursPerMonth = HoursPerMonth
	}
	return p
}

// check refuses what a program filled in wrong.
func (p Plan) check() error {
	switch {
	case p.Run == nil:
		return refuse("dail: Plan.Run is nil: compose.Merge makes one")
	case p.Provider == nil:
		return refuse("dail: Plan.Provider is nil: &pod.Simulated{} costs nothing")
	case !knownGateway(p.Gateway):
		return refuse("dail: Plan.Gateway %q: want native or litellm", p.Gateway)
	case dutyFault(p.DutyCycle) != nil:
		return refuse("dail: Plan.DutyCycle: %w", dutyFault(p.DutyCycle))
	case !sound(p.Run.Benchmark.SaturationProbe):
		return refuse("dail: the saturation probe %+v cannot be: want at least 1 of each, and %d prompt tokens; compose.Merge makes a sound one",
			*p.Run.Benchmark.SaturationProbe, compose.MinProbePrompt)
	}
	return nil
}

// sound is false of a probe that would be refused only once the levels have
// been paid for.
func sound(p *compose.SaturationProbe) bool {
	return p == nil || p.Concurrency > 0 && p.DurationS > 0 && p.OutputTokens > 0 && p.PromptTokens >= compose.MinProbePrompt
}

// Toolchain makes sure that the pinned programs which agents and gates use are
// installed in the user's cache folder (or in $DAIL_CACHE), and returns them.
// progress hears what the installation says; nil is silence.
func Toolchain(ctx context.Context, progress io.Writer) (agents.Toolchain, error) {
	dir, err := cacheDir("toolchain")
	if err != nil {
		return agents.Toolchain{}, err
	}
	return agents.InstallToolchain(ctx, toolchain.FS(), dir, progress)
}

// LiteLLMProgram makes sure that the pinned LiteLLM is installed beside the
// toolchain, and returns it.
func LiteLLMProgram(ctx context.Context, progress io.Writer) (litellm.Program, error) {
	dir, err := cacheDir("litellm")
	if err != nil {
		return litellm.Program{}, err
	}
	return litellm.Install(ctx, requirements.Requirements(), dir, progress)
}

// cacheDir is where programs of this kind are installed.
func cacheDir(kind string) (string, error) {
	if dir := os.Getenv("DAIL_CACHE"); dir != "" {
		return filepath.Join(dir, kind), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for %s: %w; set DAIL_CACHE to one", kind, err)
	}
	return filepath.Join(cache, "dail", kind), nil
}
