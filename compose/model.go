package compose

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// modelFile is a model with the places of its keys.
type modelFile struct {
	*Model
	doc *document
}

// loadModels reads every model file: which one a run uses follows from what is
// inside, so a fault in any of them could be the reason for a wrong choice.
func loadModels(layers []Layer, f *faults) []modelFile {
	sources := files(layers, "models", f)
	var out []modelFile
	for _, name := range keys(sources) {
		text, ok := sources[name].read(f)
		if !ok {
			continue
		}
		m := modelFile{Model: new(Model)}
		m.doc = decode(sources[name].show(), text, m.Model, f, misplacedInModel)
		m.check()
		if m.Family != "" {
			out = append(out, m)
		}
	}
	refuseTwins(out)
	return out
}

// refuseTwins reports two files that describe the same variant: which one was
// meant cannot be known.
func refuseTwins(models []modelFile) {
	for i, m := range models {
		for _, other := range models[:i] {
			if m.Family == other.Family && m.Quant == other.Quant && m.Quant != "" {
				at := other.doc.mark("family")
				m.doc.at("family", "remove one, or give it the other's file name in a later folder so that it takes its place",
					"%s-%s is described already by %s", m.Family, m.Quant, position(at.file, at.line))
			}
		}
	}
}

func misplacedInModel(key string) string {
	switch key {
	case "tensor_parallel_size":
		return "it is derived from the number of GPUs: remove it, and use -gpus"
	case "max_num_seqs":
		return "it is derived from devs: remove it, or set it under the scenario's serving:"
	case "gpu_memory_utilization":
		return "it belongs into the hardware's file"
	}
	if _, ok := fields(typeOf[Serving]())[key]; ok {
		return "it belongs under the scenario's serving:"
	}
	if _, ok := fields(typeOf[Architecture]())[key]; ok {
		return "it belongs under architecture:"
	}
	return ""
}

func (m modelFile) check() {
	d := m.doc
	d.require("family", "quant", "model", "served_model_name", "vllm_version", "image", "container_disk_gb")
	d.name("family", m.Family)
	d.name("quant", m.Quant)
	d.text("model", m.Model.Model)
	d.text("vllm_version", m.VLLMVersion)
	d.text("image", m.Image)
	d.served("served_model_name", m.ServedModelName)
	d.positive("container_disk_gb", float64(m.ContainerDiskGB))
	d.positive("max_model_len_cap", float64(m.MaxModelLenCap))
	d.env("env", m.Env)
	d.args("extra_args", m.ExtraArgs)
	d.indexURL("pip_extra_index_url", m.PipExtraIndexURL)
	if m.EnableAutoToolChoice && m.ToolCallParser == "" && !d.bad["tool_call_parser"] {
		d.at("enable_auto_tool_choice", "name a tool_call_parser too", "vLLM answers 400 to every tool call without a parser")
	}
	if s := m.Speculative; s != nil {
		d.require("speculative.tokens", "speculative.acceptance")
		d.positive("speculative.tokens", float64(s.Tokens))
		d.within("speculative.acceptance", s.Acceptance, 0, 1)
	}
	m.checkArchitecture()
}

func (m modelFile) checkArchitecture() {
	d, a := m.doc, m.Architecture
	if a == nil || d.bad["architecture"] {
		return
	}
	const p = "architecture."
	d.require(p+"params_b", p+"active_params_b", p+"layers", p+"hidden", p+"kv_heads", p+"head_dim", p+"kv_bytes_per_token", p+"weights_gb")
	d.positive(p+"params_b", a.ParamsB)
	d.positive(p+"active_params_b", a.ActiveParamsB)
	d.positive(p+"layers", float64(a.Layers))
	d.positive(p+"hidden", float64(a.Hidden))
	d.positive(p+"kv_heads", float64(a.KVHeads))
	d.positive(p+"head_dim", float64(a.HeadDim))
	d.positive(p+"kv_bytes_per_token", float64(a.KVBytesPerToken))
	d.positive(p+"weights_gb", a.WeightsGB)
	for key, v := range map[string]int{"experts": a.Experts, "experts_per_token": a.ExpertsPerToken, "heads": a.Heads,
		"expert_size": a.ExpertSize, "weight_block": a.WeightBlock} {
		d.atLeast(p+key, float64(v), 0)
	}
	if d.has(p+"active_params_b") && d.has(p+"params_b") && a.ActiveParamsB > a.ParamsB {
		d.at(p+"active_params_b", "", "%v is more than params_b %v", a.ActiveParamsB, a.ParamsB)
	}
	if (a.Experts > 0) != (a.ExpertsPerToken > 0) {
		d.at(p+"experts", "give both experts and experts_per_token, or, for a dense model, neither", "one of the two is missing")
	} else if a.ExpertsPerToken > a.Experts {
		d.at(p+"experts_per_token", "", "%d is more than the %d experts that there are", a.ExpertsPerToken, a.Experts)
	}
	m.checkKVBytes()
	if d.has("container_disk_gb") && d.has(p+"weights_gb") && !m.WeightsCached && float64(m.ContainerDiskGB) < a.WeightsGB {
		d.at("container_disk_gb", fmt.Sprintf("make it %d or more, or set weights_cached: true for a network volume", int(math.Ceil(a.WeightsGB*1.1/10))*10),
			"%d GB cannot hold %v GB of weights", m.ContainerDiskGB, a.WeightsGB)
	}
}

// checkKVBytes compares kv_bytes_per_token with what the shape allows:
// 2 (K and V) × layers × kv_heads × head_dim × bytes of the dtype. Less is
// possible (layers without a cache of their own), more is not; the usual
// reason is a figure for 16 bits beside kv_cache_dtype: fp8.
func (m modelFile) checkKVBytes() {
	d, a := m.doc, m.Architecture
	const key = "architecture.kv_bytes_per_token"
	for _, k := range []string{key, "architecture.layers", "architecture.kv_heads", "architecture.head_dim"} {
		if !d.has(k) {
			return
		}
	}
	width, ok := dtypeBytes(m.KVCacheDtype)
	if a.KVReplicated || !ok {
		return
	}
	most := 2 * float64(a.Layers) * float64(a.KVHeads) * float64(a.HeadDim) * width
	if float64(a.KVBytesPerToken) > most*1.01 {
		dtype := m.KVCacheDtype
		if dtype == "" {
			dtype = "auto"
		}
		d.at(key, "it is meant at the variant's own kv_cache_dtype", "%d is more than 2 × %d layers × %d kv_heads × %d head_dim × %v bytes (%s) = %.0f",
			a.KVBytesPerToken, a.Layers, a.KVHeads, a.HeadDim, width, dtype, most)
	}
}

// dtypeBytes is the size of one element of the KV cache; false for a dtype
// whose size is not known here.
func dtypeBytes(dtype string) (float64, bool) {
	switch {
	case dtype == "" || dtype == "auto" || dtype == "bfloat16" || dtype == "float16" || dtype == "half":
		return 2, true
	case strings.HasPrefix(dtype, "fp8") || strings.HasPrefix(dtype, "int8"):
		return 1, true
	case strings.HasPrefix(dtype, "int4") || dtype == "nvfp4":
		return 0.5, true
	}
	return 0, false
}

// quants lists what a family has, sorted.
func quants(models []modelFile, family string) []string {
	var out []string
	for _, m := range models {
		if m.Family == family && m.Quant != "" {
			out = append(out, m.Quant)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func families(models []modelFile) []string {
	seen := map[string]bool{}
	for _, m := range models {
		seen[m.Family] = true
	}
	return keys(seen)
}

func variant(models []modelFile, family, quant string) (modelFile, bool) {
	for _, m := range models {
		if m.Family == family && m.Quant == quant {
			return m, true
		}
	}
	return modelFile{}, false
}
