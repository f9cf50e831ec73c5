package compose

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Request names the three axes of a run, and where they are described.
type Request struct {
	Configs    []Layer // each holds models/*.yaml and hardware/*.yaml
	Benchmarks []Layer // each holds <name>/scenario.yaml
	Benchmark  string  // a bare name; or a path on the disk, which has a separator or ends in .yaml
	Model      string  // family
	Hardware   string  // the file's name without .yaml
	Quant      string  // forces the variant; "" is the first of supported_quants that the family has
	GPUs       int     // at least 1; all of them serve one vLLM, by tensor parallelism
	Devs       []int   // team sizes; empty: the scenario's
	Probe      bool    // measure Θmax after the levels: as the scenario says, else DefaultProbe
}

// What vLLM is always started with. It listens on loopback only: a pod is
// reached through SSH, and vLLM has no password.
const (
	DefaultHost        = "127.0.0.1"
	DefaultPort        = 8000
	DefaultDownloadDir = "/workspace/huggingface"
)

// Merge composes one benchmark, model and hardware into a Run, or refuses. The
// error of a refusal holds every fault that could be found: see Faults.
//
// For a key that several of them set, precedence is: constants < model <
// hardware < benchmark.serving. A key is replaced whole, lists and maps too.
func Merge(req Request) (*Run, error) {
	var f faults
	in, ok := gather(req, &f)
	if f.any() || !ok {
		return nil, f.err()
	}
	r := in.compose()
	if r.Serving.MaxModelLen == 0 {
		in.benchmark.doc.at("serving.max_model_len", "add serving.max_model_len, in tokens",
			"the context window is required where neither the model nor the hardware caps it")
		return nil, f.err()
	}
	if p := r.Benchmark.SaturationProbe; p != nil && p.PromptTokens+p.OutputTokens > r.Serving.MaxModelLen {
		const hint, msg = "lower prompt_tokens and output_tokens", "%d prompt and %d output tokens are more than max_model_len, which is %d"
		if in.benchmark.SaturationProbe != nil {
			in.benchmark.doc.at("saturation_probe", hint, msg, p.PromptTokens, p.OutputTokens, r.Serving.MaxModelLen)
		} else {
			f.flag("probe", "give the scenario a saturation_probe: with smaller ones", msg, p.PromptTokens, p.OutputTokens, r.Serving.MaxModelLen)
		}
		return nil, f.err()
	}
	for _, m := range r.misfits() {
		m.Hint = strings.Join(slices.DeleteFunc([]string{m.Hint, in.wouldDo(req)}, func(s string) bool { return s == "" }), "; ")
		f.add(m)
	}
	if f.any() {
		return nil, f.err()
	}
	return r, nil
}

// inputs is what a run is composed from, each part free of faults of its own.
type inputs struct {
	benchmark benchmarkFile
	model     modelFile
	hardware  hardwareFile
	models    []modelFile
	gpus      int
	devs      []int // the request's; empty: the scenario's
	quantFlag bool  // the request forced the variant
	probe     bool  // the request asks for a probe
}

// gather reads everything that a request names; false where something is
// missing, in which case f says what.
func gather(req Request, f *faults) (in inputs, ok bool) {
	in = inputs{gpus: req.GPUs, devs: grid(req.Devs), quantFlag: req.Quant != "", probe: req.Probe}
	if req.GPUs < 1 {
		f.flag("gpus", "give at least 1", "%d GPUs cannot serve anything", req.GPUs)
	}
	for _, n := range req.Devs {
		if n < 1 {
			f.flag("devs", "a team has at least 1 developer", "%d is no team size", n)
		}
	}
	src, haveBenchmark := findBenchmark(req, f)
	if haveBenchmark {
		in.benchmark, haveBenchmark = loadBenchmark(src, f)
	}
	in.models = loadModels(req.Configs, f)
	haveHardware := false
	hardware := files(req.Configs, "hardware", f)
	if src, ok := hardware[req.Hardware]; ok {
		in.hardware, haveHardware = loadHardware(src, req.Hardware, f)
	} else if req.Hardware == "" {
		f.flag("hardware", didYouMean("", keys(hardware)), "no hardware was named")
	} else {
		f.flag("hardware", didYouMean(req.Hardware, keys(hardware)), "no hardware is called %s", quoted(req.Hardware))
	}
	haveModel := in.chooseModel(req, haveHardware, f)
	if haveBenchmark && in.benchmark.doc.has("serving.tensor_parallel_size") {
		if tp := in.benchmark.doc.serving.TensorParallelSize; tp != req.GPUs {
			in.benchmark.doc.at("serving.tensor_parallel_size", "remove the key: it is derived from -gpus",
				"%d is not the number of GPUs, which is %d", tp, req.GPUs)
		}
	}
	return in, haveBenchmark && haveModel && haveHardware
}

// chooseModel resolves family and quant to a variant.
func (in *inputs) chooseModel(req Request, haveHardware bool, f *faults) bool {
	have := quants(in.models, req.Model)
	if len(have) == 0 {
		what := "no model family is called " + quoted(req.Model)
		if req.Model == "" {
			what = "no model family was named"
		}
		f.flag("model", didYouMean(req.Model, families(in.models)), "%s", what)
		return false
	}
	if req.Quant != "" && !slices.Contains(have, req.Quant) {
		f.flag("quant", didYouMean(req.Quant, have), "%s has no variant %s", req.Model, quoted(req.Quant))
		return false
	}
	if !haveHardware || in.hardware.doc.lost("supported_quants") {
		return false
	}
	h := in.hardware
	if req.Quant != "" {
		in.model, _ = variant(in.models, req.Model, req.Quant)
		if !h.supports(req.Quant) {
			at := h.doc.mark("supported_quants")
			f.flag("quant", fmt.Sprintf("it serves %s; of these %s has %s", strings.Join(h.SupportedQuants, ", "), req.Model, orNone(common(h.SupportedQuants, have))),
				"%s does not serve %s (%s)", h.Key, req.Quant, position(at.file, at.line))
			return false
		}
		return true
	}
	m, ok := h.prefer(in.models, req.Model)
	if !ok {
		at := h.doc.mark("supported_quants")
		f.flag("model", fmt.Sprintf("add a model file of the family with one of these quants, or choose a hardware that serves %s", strings.Join(have, " or ")),
			"%s has %s, and %s serves %s (%s)", req.Model, list(have), h.Key, strings.Join(h.SupportedQuants, ", "), position(at.file, at.line))
		return false
	}
	in.model = m
	return true
}

func common(ordered, have []string) []string {
	return slices.DeleteFunc(slices.Clone(ordered), func(q string) bool { return !slices.Contains(have, q) })
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// compose merges inputs that have no faults. Whether the result fits the GPUs
// is asked afterwards.
func (in inputs) compose() *Run {
	r := &Run{
		Benchmark: *in.benchmark.Benchmark, Model: *in.model.Model, Hardware: *in.hardware.Hardware,
		GPUs: in.gpus, origins: map[string]Origin{},
	}
	r.adopt("benchmark", in.benchmark.doc)
	r.adopt("model", in.model.doc)
	r.adopt("hardware", in.hardware.doc)
	for key, o := range in.benchmark.prompts {
		r.origins["benchmark."+key] = o
	}
	r.origins["hardware.key"] = Origin{File: FlagFile, Note: "-hardware"}
	r.origins["gpus"] = Origin{File: FlagFile, Note: "-gpus"}
	if len(in.devs) > 0 {
		r.Devs = in.devs
		r.origins["devs"] = Origin{File: FlagFile, Note: "-devs"}
	} else {
		r.Devs = grid(in.benchmark.Devs)
		r.origins["devs"] = r.origins["benchmark.devs"]
	}

	if in.probe && r.Benchmark.SaturationProbe == nil {
		probe := DefaultProbe()
		r.Benchmark.SaturationProbe = &probe
		for _, key := range []string{"concurrency", "duration_s", "output_tokens", "prompt_tokens"} {
			r.origins["benchmark.saturation_probe."+key] = Origin{File: FlagFile, Note: "-probe; the scenario has none"}
		}
	}

	r.Serving = Serving{Host: DefaultHost, Port: DefaultPort, DownloadDir: DefaultDownloadDir}
	for _, key := range []string{"host", "port", "download_dir"} {
		r.origins["serving."+key] = Origin{File: "constant"}
	}
	r.take(reflect.ValueOf(in.model.Model).Elem(), in.model.doc, "")
	r.take(reflect.ValueOf(in.hardware.Hardware).Elem(), in.hardware.doc, "")
	r.take(reflect.ValueOf(&in.benchmark.doc.serving).Elem(), in.benchmark.doc, "serving")
	r.derive()
	return r
}

// adopt remembers the places of a file's keys under the axis's name.
func (r *Run) adopt(axis string, d *document) {
	for key, m := range d.marks {
		r.origins[join(axis, key)] = m.origin()
	}
	r.origins[axis] = Origin{File: d.file}
}

// take copies from an axis what Serving has under the same name.
func (r *Run) take(from reflect.Value, d *document, prefix string) {
	to := reflect.ValueOf(&r.Serving).Elem()
	theirs := fields(from.Type())
	for name, i := range fields(to.Type()) {
		if j, ok := theirs[name]; ok && d.has(join(prefix, name)) {
			to.Field(i).Set(from.Field(j))
			r.origins["serving."+name] = d.mark(join(prefix, name)).origin()
			for key, m := range d.marks { // the entries of a map
				if rest, ok := strings.CutPrefix(key, join(prefix, name)+"."); ok {
					r.origins["serving."+name+"."+rest] = m.origin()
				}
			}
		}
	}
}

// derive fills the keys that follow from others.
func (r *Run) derive() {
	s := &r.Serving
	s.TensorParallelSize = r.GPUs
	r.origins["serving.tensor_parallel_size"] = Origin{File: "derived", Note: "all GPUs of the run"}

	biggest := 0
	if len(r.Devs) > 0 {
		biggest = r.Devs[len(r.Devs)-1]
	}
	seqs, why := biggest, fmt.Sprintf("the largest team: devs, %s", r.origins["devs"])
	if s.MaxNumSeqs > seqs {
		seqs, why = s.MaxNumSeqs, fmt.Sprintf("serving.max_num_seqs, %s, is above the largest team %d", r.origins["serving.max_num_seqs"], biggest)
	}
	if p := r.Benchmark.SaturationProbe; p != nil && p.Concurrency > seqs {
		seqs, why = p.Concurrency, fmt.Sprintf("saturation_probe.concurrency, %s", r.origins["benchmark.saturation_probe.concurrency"])
	}
	s.MaxNumSeqs = seqs
	r.origins["serving.max_num_seqs"] = Origin{File: "derived", Note: why}

	asked, from := s.MaxModelLen, r.origins["serving.max_model_len"]
	for _, c := range []struct {
		cap int
		key string
	}{{r.Hardware.MaxModelLenCap, "hardware.max_model_len_cap"}, {r.Model.MaxModelLenCap, "model.max_model_len_cap"}} {
		if c.cap == 0 || s.MaxModelLen != 0 && s.MaxModelLen <= c.cap {
			continue
		}
		s.MaxModelLen = c.cap
		o := r.origins[c.key]
		o.Note = "the cap; the scenario asks for none"
		if asked > 0 {
			o.Note = fmt.Sprintf("the cap; %s asks for %d", position(from.File, from.Line), asked)
		}
		r.origins["serving.max_model_len"] = o
	}
}

// CostPerHour is the list price of all GPUs of the run, in USD per hour.
func (r *Run) CostPerHour() float64 { return r.Hardware.PriceUSDPerGPUHour * float64(r.GPUs) }
