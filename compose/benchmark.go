package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Defaults of a scenario.
const (
	DefaultMaxTurns     = 30    // model requests of one phase
	DefaultPhaseTimeout = 1800  // s
	DefaultGateTimeout  = 300   // s
	DefaultPercentile   = "p50" // of slo.percentile

	// ProbePromptRatio is how many prompt tokens the saturation probe has per
	// output token: dev-load's own, once what the prefix cache held is taken
	// off (765 to 855 computed prompt tokens and 255 output tokens a request).
	ProbePromptRatio = 3
)

// DefaultProbe is the saturation probe of a run that asks for one where the
// scenario has none: the original lab's streams, time and output.
func DefaultProbe() SaturationProbe {
	return SaturationProbe{Concurrency: 64, DurationS: 120, OutputTokens: 256, PromptTokens: ProbePromptRatio * 256}
}

// benchmarkFile is a scenario with the places of its keys, and of the files
// that prompts came from.
type benchmarkFile struct {
	*Benchmark
	doc     *document
	folder  string            // as it is shown
	prompts map[string]Origin // key → file of a prompt
}

// findBenchmark turns the request's word into a file: a bare name is looked up
// in the layers, anything with a separator or ending in .yaml is on the disk.
func findBenchmark(req Request, f *faults) (source, bool) {
	name := req.Benchmark
	if strings.ContainsAny(name, `/`+string(filepath.Separator)) || strings.HasSuffix(name, ".yaml") {
		return benchmarkOnDisk(name, f)
	}
	all := benchmarks(req.Benchmarks, f)
	if src, ok := all[name]; ok {
		return src, true
	}
	if name == "" {
		f.flag("benchmark", didYouMean(name, keys(all)), "no benchmark was named")
	} else {
		f.flag("benchmark", didYouMean(name, keys(all)), "no benchmark is called %s", quoted(name))
	}
	return source{}, false
}

func benchmarkOnDisk(name string, f *faults) (source, bool) {
	info, err := os.Stat(name)
	if err == nil && info.IsDir() {
		name = filepath.Join(name, scenarioFile)
		info, err = os.Stat(name)
	}
	if err == nil && info.IsDir() {
		err = errors.New("it is a folder")
	}
	if err != nil {
		f.flag("benchmark", "give a benchmark's name, its folder, or its "+scenarioFile, "%s", unreadable(name, err).Error())
		return source{}, false
	}
	dir, file := filepath.Split(filepath.Clean(name))
	if dir == "" {
		dir = "."
	}
	return source{Layer{Name: filepath.ToSlash(filepath.Clean(dir)), FS: os.DirFS(dir)}, file}, true
}

func loadBenchmark(src source, f *faults) (benchmarkFile, bool) {
	text, ok := src.read(f)
	if !ok {
		return benchmarkFile{}, false
	}
	folder := path.Dir(src.path)
	dir, err := fs.Sub(src.layer.FS, folder)
	if err != nil {
		f.add(unreadable(src.show(), err))
		return benchmarkFile{}, false
	}
	b := benchmarkFile{Benchmark: &Benchmark{Dir: dir}, folder: src.layer.show(folder), prompts: map[string]Origin{}}
	b.doc = decode(src.show(), text, b.Benchmark, f, misplacedInScenario)
	b.check()
	b.settle()
	return b, true
}

func misplacedInScenario(key string) string {
	switch key {
	case "model", "hardware", "gpus", "quant":
		return "a benchmark is the task alone; the run chooses: use -" + key
	case "phases", "gates", "gate_files":
		return "it belongs under task:"
	case "max_ttft", "min_tps", "percentile":
		return "it belongs under slo:"
	}
	if _, ok := fields(typeOf[Serving]())[key]; ok {
		return "it belongs under serving:"
	}
	return ""
}

func (b benchmarkFile) check() {
	d := b.doc
	if d.bad[""] {
		return
	}
	d.require("name", "devs", "slo.max_ttft", "slo.min_tps", "task.phases", "task.gates")
	d.name("name", b.Name)
	d.nonEmpty("devs", len(b.Devs))
	for i, n := range b.Devs {
		d.atLeast(fmt.Sprintf("devs[%d]", i), float64(n), 1)
	}
	d.positive("slo.max_ttft", b.SLO.MaxTTFT)
	d.positive("slo.min_tps", b.SLO.MinTPS)
	d.oneOf("slo.percentile", b.SLO.Percentile, "p50", "p90", "p99")
	if p := b.SaturationProbe; p != nil {
		d.require("saturation_probe.concurrency", "saturation_probe.duration_s", "saturation_probe.output_tokens")
		d.positive("saturation_probe.concurrency", float64(p.Concurrency))
		d.positive("saturation_probe.duration_s", float64(p.DurationS))
		d.positive("saturation_probe.output_tokens", float64(p.OutputTokens))
		d.atLeast("saturation_probe.prompt_tokens", float64(p.PromptTokens), MinProbePrompt)
	}
	d.env("agent.env", b.Agent.Env)
	if d.has("agent.tools") {
		for i, t := range b.Agent.Tools {
			d.text(fmt.Sprintf("agent.tools[%d]", i), t)
		}
	}
	b.checkServing()
	b.checkPhases()
	b.checkGates()
	b.checkFile("cassette", b.Cassette, false)
	b.checkFile("task.gate_files", b.Task.GateFiles, true)
}

func (b benchmarkFile) checkServing() {
	d, s := b.doc, b.doc.serving
	const p = "serving."
	d.positive(p+"max_model_len", float64(s.MaxModelLen))
	d.positive(p+"max_num_seqs", float64(s.MaxNumSeqs))
	d.positive(p+"max_num_batched_tokens", float64(s.MaxNumBatchedTokens))
	d.positive(p+"tensor_parallel_size", float64(s.TensorParallelSize))
	d.within(p+"port", float64(s.Port), 1, 65535)
	d.fraction(p+"gpu_memory_utilization", s.GPUMemoryUtilization)
	d.text(p+"model", s.Model)
	d.text(p+"vllm_version", s.VLLMVersion)
	d.text(p+"download_dir", s.DownloadDir)
	d.served(p+"served_model_name", s.ServedModelName)
	d.env(p+"env", s.Env)
	d.args(p+"extra_args", s.ExtraArgs)
	d.indexURL(p+"pip_extra_index_url", s.PipExtraIndexURL)
	if ip := net.ParseIP(s.Host); d.has(p+"host") && s.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		d.at(p+"host", "remove it: dail reaches vLLM through a tunnel", "%s would publish a server without a password", quoted(s.Host))
	}
}

func (b benchmarkFile) checkPhases() {
	d := b.doc
	d.nonEmpty("task.phases", len(b.Task.Phases))
	ids := make([]string, len(b.Task.Phases))
	for i := range b.Task.Phases {
		ph := &b.Task.Phases[i]
		p := fmt.Sprintf("task.phases[%d]", i)
		ids[i] = ph.ID
		if d.bad[p] {
			continue
		}
		d.require(p+".id", p+".prompt", p+".allowed_tools")
		d.name(p+".id", ph.ID)
		d.text(p+".title", ph.Title)
		d.nonEmpty(p+".allowed_tools", len(ph.AllowedTools))
		d.positive(p+".max_turns", float64(ph.MaxTurns))
		d.positive(p+".timeout_s", float64(ph.TimeoutS))
		b.resolvePrompt(p+".prompt", ph)
	}
	d.unique("task.phases[%d].id", ids)
}

// resolvePrompt replaces the name of a file under phases/ by its text. A word
// that ends like a file is meant as one; anything longer is the prompt itself.
func (b benchmarkFile) resolvePrompt(key string, ph *Phase) {
	d := b.doc
	d.text(key, ph.Prompt)
	if !d.has(key) {
		return
	}
	name := strings.TrimPrefix(strings.TrimSpace(ph.Prompt), "phases/")
	if ext := path.Ext(name); strings.ContainsAny(name, " \t\n") || ext != ".md" && ext != ".txt" {
		return
	}
	file := path.Join("phases", name)
	text, err := fs.ReadFile(b.Dir, file)
	switch {
	case err != nil:
		var there []string
		entries, _ := fs.ReadDir(b.Dir, "phases")
		for _, e := range entries {
			there = append(there, e.Name())
		}
		hint := didYouMean(name, there)
		if len(there) == 0 {
			hint = "write the prompt into that file, or in place of its name"
		}
		d.at(key, hint, "there is no file %s", path.Join(b.folder, file))
	case !utf8.Valid(text):
		d.at(key, "save it as UTF-8", "%s is not text", path.Join(b.folder, file))
	case strings.TrimSpace(string(text)) == "":
		d.at(key, "write the prompt", "%s is empty", path.Join(b.folder, file))
	default:
		ph.Prompt = string(text)
		b.prompts[key] = Origin{File: path.Join(b.folder, file), Line: 1, Note: "the whole file"}
	}
}

func (b benchmarkFile) checkGates() {
	d := b.doc
	if d.has("task.gates") && len(b.Task.Gates) == 0 {
		d.at("task.gates", "add one", "without a gate nothing shows that an agent did any real work")
	}
	ids := make([]string, len(b.Task.Gates))
	for i, g := range b.Task.Gates {
		p := fmt.Sprintf("task.gates[%d]", i)
		ids[i] = g.ID
		if d.bad[p] {
			continue
		}
		d.require(p+".id", p+".cmd")
		d.name(p+".id", g.ID)
		d.text(p+".cmd", g.Cmd)
		d.within(p+".expect_exit", float64(g.ExpectExit), 0, 255)
		d.positive(p+".timeout_s", float64(g.TimeoutS))
	}
	d.unique("task.gates[%d].id", ids)
}

// checkFile reports a file or a folder beside the scenario that is not there.
func (b benchmarkFile) checkFile(key, name string, folder bool) {
	d := b.doc
	d.text(key, name)
	if !d.has(key) {
		return
	}
	what := "file"
	if folder {
		what = "folder"
	}
	if !fs.ValidPath(path.Clean(name)) || path.Clean(name) == "." {
		d.at(key, "name it as it lies beside the scenario", "%s is not a %s beside the scenario", quoted(name), what)
		return
	}
	info, err := fs.Stat(b.Dir, path.Clean(name))
	if err != nil || info.IsDir() != folder {
		var there []string
		entries, _ := fs.ReadDir(b.Dir, ".")
		for _, e := range entries {
			if e.IsDir() == folder && e.Name() != scenarioFile {
				there = append(there, e.Name())
			}
		}
		d.at(key, didYouMean(name, there), "there is no %s %s", what, path.Join(b.folder, name))
	}
}

// MinProbePrompt is the least prompt of a probe, in tokens: it must fill a block of the
// prefix cache, or nothing shows that no prompt shares one.
const MinProbePrompt = 32

// settle fills in the defaults. It does not mark the keys: Merge calls those
// without a mark defaults.
func (b benchmarkFile) settle() {
	if b.SLO.Percentile == "" {
		b.SLO.Percentile = DefaultPercentile
	}
	if p := b.SaturationProbe; p != nil && p.PromptTokens == 0 {
		p.PromptTokens = max(MinProbePrompt, ProbePromptRatio*p.OutputTokens)
	}
	for i := range b.Task.Phases {
		ph := &b.Task.Phases[i]
		if ph.Title == "" {
			ph.Title = ph.ID
		}
		if ph.MaxTurns == 0 {
			ph.MaxTurns = DefaultMaxTurns
		}
		if ph.TimeoutS == 0 {
			ph.TimeoutS = DefaultPhaseTimeout
		}
	}
	for i := range b.Task.Gates {
		if b.Task.Gates[i].TimeoutS == 0 {
			b.Task.Gates[i].TimeoutS = DefaultGateTimeout
		}
	}
}

// grid sorts team sizes and removes repeated ones.
func grid(devs []int) []int {
	return slices.Compact(slices.Sorted(slices.Values(devs)))
}
