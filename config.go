package dail

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/pod"
)

// Config is a benchmark on one model × hardware as a person asks for it: the
// programs' flags. [Config.Plan] turns it into values, or refuses it. The zero
// value asks for dev-load with qwen3-coder on one simulated l40s.
type Config struct {
	Benchmark string // bare name, or a path to a scenario.yaml
	Model     string // family
	Hardware  string
	Quant     string // empty: the hardware's first that the family has
	GPUs      int
	Devs      string // "4,8", or "auto[:MAX]" to search; empty: the scenario's

	Provider  string // "simulated", "runpod", "ssh" or "endpoint"
	Endpoint  string // a running server's address, for the provider "endpoint"
	Host      string // user@box[:port], for the provider "ssh"
	RunPodURL string // another base URL of RunPod's REST v2: a test double
	Gateway   string // "native" or "litellm"
	Runner    string // "auto", "local" or "docker"

	Results string // folder of the reports
	Configs string // folder that overlays the embedded models/, hardware/ and apis/
	Claude  string // the agent program; empty: the pinned one, installed on demand

	Probe         bool    // measure the saturated server's throughput after the levels
	Resume        string  // go on with this earlier run, or with "latest"; empty: a new one
	Baseline      bool    // measure one agent first, kept beside the levels
	Precision     float64 // keep N at work until the judged figures are known to this part of their value; 0: each agent works once
	Repeat        int     // measure each team size this often, merged; 0: once
	AllowHostExec bool    // let a real model's commands run on this machine
	HoursPerMonth float64 // what a month of a GPU is billed for; 0: 730
	DutyCycle     float64 // part of that time in which one person's agent is at work, at most 1; 0: not known

	MaxUSDPerHour float64 // refuse machines above this price, all GPUs together; 0: the hardware file's ceiling
	MaxUSD        float64 // give the pod back when the run has cost this much; 0: no such ceiling
	USDPerHour    float64 // what your own machine costs, all GPUs together; 0: the hardware file's price
	Keep          Keep    // leave the pod running afterwards, for this long
	Explain       bool    // print the composed configuration and stop
}

// Defaults of the flags.
const (
	DefaultBenchmark = "dev-load"
	DefaultModel     = "qwen3-coder"
	DefaultHardware  = "l40s"
	DefaultResults   = "results"
	// HoursPerMonth is 365 × 24 ÷ 12.
	HoursPerMonth = 730
)

// withDefaults fills in what was left empty.
func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Benchmark, DefaultBenchmark)
	def(&c.Model, DefaultModel)
	def(&c.Hardware, DefaultHardware)
	def(&c.Provider, "simulated")
	def(&c.Gateway, "native")
	def(&c.Runner, runnerAuto)
	def(&c.Results, DefaultResults)
	if c.GPUs == 0 {
		c.GPUs = 1
	}
	if c.HoursPerMonth == 0 {
		c.HoursPerMonth = HoursPerMonth
	}
	return c
}

// Flags registers the flags that every program shares. What c holds before is
// their default.
func (c *Config) Flags(set *flag.FlagSet) {
	*c = c.withDefaults()
	set.StringVar(&c.Model, "model", c.Model, "model `family`; -explain shows the file it was found in")
	set.StringVar(&c.Hardware, "hardware", c.Hardware, "GPU type: a file's `name` in configs/hardware")
	set.IntVar(&c.GPUs, "gpus", c.GPUs, "`number` of GPUs; also the tensor parallel size")
	set.StringVar(&c.Quant, "quant", c.Quant, "force this `variant` of the model (default: the hardware's first that the family has)")
	set.StringVar(&c.Provider, "provider", c.Provider, "where the model is served: simulated (free, no model behind it), runpod (rents a GPU, costs money), ssh (your own box), endpoint (a server that already runs)")
	set.StringVar(&c.Endpoint, "endpoint", c.Endpoint, "`URL` of a running vLLM, for -provider endpoint; it is neither started nor stopped")
	set.StringVar(&c.Host, "host", c.Host, "`user@box[:port]` of your own GPU machine, for -provider ssh")
	set.StringVar(&c.RunPodURL, "runpod-url", c.RunPodURL, "base `URL` of a test double of RunPod's REST v2, for -provider runpod")
	set.Float64Var(&c.MaxUSDPerHour, "max-usd-per-hour", c.MaxUSDPerHour, "refuse a pod that costs more `USD` an hour, all GPUs together (default: the hardware file's max_usd_per_hour)")
	set.Float64Var(&c.MaxUSD, "max-usd", c.MaxUSD, "give the pod back when the run has cost this many `USD`")
	set.Float64Var(&c.USDPerHour, "usd-per-hour", c.USDPerHour, "what your own machine costs you, in `USD` an hour, all GPUs together, for -provider ssh and endpoint (default: the hardware file's price)")
	set.Var(&c.Keep, "keep", "leave the pod running after the run, for debugging: -keep for 2 hours, or -keep=`duration`; it is billed, and ends by itself then")
	set.StringVar(&c.Gateway, "gateway", c.Gateway, "what stands between the agents and the server: native (dail's own) or litellm (the pinned LiteLLM, installed on first use; needs Python 3.10)")
	set.StringVar(&c.Runner, "runner", c.Runner, "where agents and gates run: local (processes of this machine), docker (containers without a network), auto (docker where the model is real and an engine answers, else local)")
	set.StringVar(&c.Results, "results", c.Results, "`folder` of the reports")
	set.StringVar(&c.Configs, "configs", c.Configs, "`folder` with models/, hardware/ and apis/ of your own, over the built-in ones (default: configs, where it exists)")
	set.StringVar(&c.Claude, "claude", c.Claude, "`path` of your own Claude Code (default: the pinned version, installed on first use)")
	set.BoolVar(&c.AllowHostExec, "allow-host-exec", c.AllowHostExec, "let commands that a real model wrote run on this machine, with your rights")
	set.Float64Var(&c.HoursPerMonth, "hours-per-month", c.HoursPerMonth, "`hours` of a month that a GPU is paid for")
	set.Func("duty", "`fraction` of those hours in which one person's agent is really at work, such as 0.25: how many people a team of always busy agents stands for (default: not known)", c.setDuty)
	set.BoolVar(&c.Explain, "explain", c.Explain, "print every composed key, its value and the line it came from, and stop")
}

// LoadFlags registers the flags of a capacity run.
func (c *Config) LoadFlags(set *flag.FlagSet) {
	c.Flags(set)
	set.StringVar(&c.Benchmark, "benchmark", c.Benchmark, "benchmark `name`, or the path of a scenario.yaml")
	set.StringVar(&c.Devs, "devs", c.Devs, "team sizes, such as `4,8`, or auto[:MAX] to search for the largest that holds, up to MAX (32) (default: the scenario's)")
	set.StringVar(&c.Resume, "resume", c.Resume, "go on with an earlier `run`: its id (or a beginning of it), or latest, the latest one with these flags; measures the levels that it lacks into the same report")
	set.BoolVar(&c.Baseline, "baseline", c.Baseline, "measure one agent first, to read the levels against")
	set.Float64Var(&c.Precision, "precision", c.Precision, "keep all agents at work until the judged figures are known to this `part` of their value, such as 0.05, or the level is 4 times as long (default: each agent does its work once)")
	set.IntVar(&c.Repeat, "repeat", c.Repeat, "measure each team size this many `times`; the verdict is the worst of them (default: once)")
	set.BoolVar(&c.Probe, "probe", c.Probe, "measure the saturated server (Θmax) after the levels, the yardstick of their utilization: as the scenario's saturation_probe says, else 64 streams for 120 s")
}

// InputError is a refusal: something asked for cannot be, and nothing was
// created. Programs exit with status 2.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// refuse returns an InputError made like fmt.Errorf.
func refuse(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}

// refused makes an InputError of a pod's refusal, before which nothing was
// created either.
func refused(err error) error {
	if errors.As(err, new(*pod.Refusal)) {
		return &InputError{err}
	}
	return err
}

// Plan turns the wishes into values. Every error is an [*InputError], and
// nothing was created.
func (c Config) Plan() (*Plan, error) {
	c = c.withDefaults()
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	devs, searchMax, err := parseDevs(c.Devs)
	fault(err)
	run, err := c.compose(devs)
	fault(err)
	env, err := LoadEnv()
	fault(err)
	options, err := c.options(env)
	fault(err)
	provider, err := c.provider(env, &options)
	fault(err)
	if !knownGateway(c.Gateway) {
		fault(fmt.Errorf("-gateway %q: want native (Claude Code → dail → vLLM) or litellm (Claude Code → LiteLLM → dail → vLLM)", c.Gateway))
	}
	if c.HoursPerMonth < 0 || c.HoursPerMonth > 744 {
		fault(fmt.Errorf("-hours-per-month %g: a month has between 0 and 744 hours", c.HoursPerMonth))
	}
	if c.Precision < 0 || c.Precision >= 1 {
		fault(fmt.Errorf("-precision %g: want a part of the figures between 0 and 1, such as 0.05 for ±5 %%", c.Precision))
	}
	switch {
	case c.Repeat < 0 || c.Repeat > maxRepeat:
		fault(fmt.Errorf("-repeat %d: want 1 to %d", c.Repeat, maxRepeat))
	case searchMax > 0 && (c.Repeat > 1 || c.Precision > 0):
		fault(fmt.Errorf("-devs %s goes on with a level until its verdict is clear; leave -repeat and -precision to fixed team sizes", c.Devs))
	}
	fault(dutyFault(c.DutyCycle))
	apis, err := c.apis()
	fault(err)
	if c.Claude != "" {
		_, err := os.Stat(c.Claude)
		fault(err)
	}
	plan := &Plan{
		Run:           run,
		Provider:      provider,
		Pod:           options,
		Gateway:       c.Gateway,
		LiteLLM:       LiteLLM{Model: env.Get("LITELLM_UPSTREAM_MODEL"), Base: env.Get("VLLM_BASE"), Key: env.secret("LITELLM_UPSTREAM_KEY")},
		Results:       c.Results,
		Claude:        c.Claude,
		Baseline:      c.Baseline,
		Precision:     c.Precision,
		Repeat:        c.Repeat,
		SearchMax:     searchMax,
		Resume:        c.Resume,
		AllowHostExec: c.AllowHostExec,
		HoursPerMonth: c.HoursPerMonth,
		DutyCycle:     c.DutyCycle,
		APIs:          apis,
	}
	fault(c.runner(plan, env))
	if len(faults) > 0 {
		return nil, &InputError{errors.Join(faults...)}
	}
	return plan, nil
}

// compose merges the three axes.
func (c Config) compose(devs []int) (*compose.Run, error) {
	cfg, bench, err := c.layers()
	if err != nil {
		return nil, err
	}
	if c.GPUs < 1 {
		return nil, fmt.Errorf("-gpus %d: want at least 1", c.GPUs)
	}
	return compose.Merge(compose.Request{
		Configs:    cfg,
		Benchmarks: bench,
		Benchmark:  c.Benchmark,
		Model:      c.Model,
		Hardware:   c.Hardware,
		Quant:      c.Quant,
		GPUs:       c.GPUs,
		Devs:       devs,
		Probe:      c.Probe,
	})
}

// layers returns the folders of configuration, the built-in ones first. A
// local configs/ or benchmarks/ lies over them where it exists.
func (c Config) layers() (cfg, bench []compose.Layer, err error) {
	cfg = []compose.Layer{{Name: "configs", FS: configs.FS()}}
	bench = []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}}
	overlay := func(dir string) *compose.Layer {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return &compose.Layer{Name: filepath.ToSlash(dir), FS: os.DirFS(dir)}
		}
		return nil
	}
	dir := c.Configs
	if dir == "" {
		dir = "configs"
	}
	if l := overlay(dir); l != nil {
		cfg = append(cfg, *l)
	} else if c.Configs != "" {
		return nil, nil, fmt.Errorf("-configs %s: %w", c.Configs, fs.ErrNotExist)
	}
	if l := overlay("benchmarks"); l != nil {
		bench = append(bench, *l)
	}
	return cfg, bench, nil
}

// maxRepeat bounds -repeat: beyond it, one longer level says more.
const maxRepeat = 20

// parseDevs reads "4,8", or "auto" and "auto:16", whose largest size is then
// the only one that the composition knows. Empty means the scenario's own.
func parseDevs(s string) (devs []int, searchMax int, err error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, 0, nil
	}
	size := func(f string) (int, error) {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 1 {
			return 0, fmt.Errorf("-devs %q: %q is no team size; want whole numbers of at least 1, such as 4,8, or auto, or auto:16", s, strings.TrimSpace(f))
		}
		return n, nil
	}
	if first, rest, limited := strings.Cut(s, ":"); first == "auto" {
		searchMax = DefaultMaxDevs
		if limited {
			if searchMax, err = size(rest); err != nil {
				return nil, 0, err
			}
		}
		return []int{searchMax}, searchMax, nil
	}
	for _, f := range strings.Split(s, ",") {
		n, err := size(f)
		if err != nil {
			return nil, 0, err
		}
		devs = append(devs, n)
	}
	return devs, 0, nil
}
