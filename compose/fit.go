package compose

import (
	"fmt"
	"slices"
	"strings"
)

// misfits reports why the composed run could not be served: what vLLM would
// only say after the pod is paid for and the weights are loaded.
func (r *Run) misfits() []*Error {
	out := r.uneven()
	if b := r.MaxNumBatchedTokens(); b < r.Serving.MaxNumSeqs {
		hint := fmt.Sprintf("set serving.max_num_batched_tokens to %d or more", r.Serving.MaxNumSeqs)
		out = append(out, r.errorAt("serving.max_num_seqs", hint,
			"%d sequences at once are more than the %d tokens of an engine step, which vLLM refuses", r.Serving.MaxNumSeqs, b))
	}
	m, ok := r.Memory()
	if !ok {
		return out
	}
	inGiB := func(gb float64) string { return fmt.Sprintf("%.1f GiB", gb*1e9/gib) }
	usable := fmt.Sprintf("%v of the card's %s is %s", r.Serving.GPUMemoryUtilization, inGiB(m.TotalGB), inGiB(m.UsableGB))
	if m.KVTokens == 0 {
		return append(out, r.errorAt("model.architecture.weights_gb", "",
			"the weights of %s-%s do not fit on %s: they take %s of each GPU, and %s, of which %s is for activations",
			r.Model.Family, r.Model.Quant, r.cards(), inGiB(m.WeightsGB), usable, inGiB(m.ReservedGB)))
	}
	if m.KVTokens >= r.Serving.MaxModelLen {
		return out
	}
	need := float64(r.Serving.MaxModelLen) * float64(m.KVBytesPerToken) / 1e9
	hint := fmt.Sprintf("set serving.max_model_len to %d or less", m.KVTokens)
	if width, ok := dtypeBytes(r.Serving.KVCacheDtype); ok && width > 1 && 2*m.KVTokens >= r.Serving.MaxModelLen {
		hint += ", or kv_cache_dtype to fp8, which halves it"
	}
	return append(out, r.errorAt("serving.max_model_len", hint,
		"the KV cache of %s on %s cannot hold one context of %d tokens: that needs %s on each GPU (%s), and %s is left (%s, less %s of weights and %s for activations); the longest that fits is about %d tokens",
		r.Model.Family+"-"+r.Model.Quant, r.cards(), r.Serving.MaxModelLen, inGiB(need), r.kvRule(m),
		inGiB(m.KVGB()), usable, inGiB(m.WeightsGB), inGiB(m.ReservedGB), m.KVTokens))
}

// kvRule says how a token's size follows from the number of GPUs, since that
// is where the surprise lies.
func (r *Run) kvRule(m Memory) string {
	rule := fmt.Sprintf("%.1f KiB a token", float64(m.KVBytesPerToken)/1024)
	a := r.Model.Architecture
	switch {
	case r.GPUs == 1:
	case a.KVReplicated:
		rule += ", which every GPU holds whole: MLA is not divided by more GPUs"
	case r.GPUs > a.KVHeads:
		rule += fmt.Sprintf(", divided by the %d KV heads and not by %d GPUs", a.KVHeads, r.GPUs)
	}
	return rule
}

// uneven reports a number of GPUs that the model's tensors cannot be cut by.
func (r *Run) uneven() []*Error {
	a, tp := r.Model.Architecture, r.Serving.TensorParallelSize
	if a == nil || tp <= 1 {
		return nil
	}
	why := ""
	switch {
	case a.Heads > 0 && a.Heads%tp != 0:
		why = fmt.Sprintf("its %d attention heads are not divisible by %d", a.Heads, tp)
	case !a.KVReplicated && a.KVHeads%tp != 0 && tp%a.KVHeads != 0:
		why = fmt.Sprintf("its %d KV heads are neither divisible by %d nor a divisor of it", a.KVHeads, tp)
	case a.ExpertSize > 0 && a.WeightBlock > 0 && (a.ExpertSize%tp != 0 || a.ExpertSize/tp%a.WeightBlock != 0) &&
		!slices.Contains(r.Serving.ExtraArgs, "--enable-expert-parallel"):
		why = fmt.Sprintf("its experts are %d wide, and a part of 1/%d is not a multiple of the quantisation block %d, unless extra_args has --enable-expert-parallel", a.ExpertSize, tp, a.WeightBlock)
	default:
		return nil
	}
	return []*Error{{File: FlagFile, Key: "gpus", Msg: fmt.Sprintf("%s-%s cannot be divided among %d GPUs: %s", r.Model.Family, r.Model.Quant, tp, why)}}
}

func (r *Run) cards() string { return fmt.Sprintf("%d × %s", r.GPUs, r.Hardware.Key) }

func (r *Run) errorAt(key, hint, format string, args ...any) *Error {
	o := r.origins[key]
	if o.Line == 0 { // derived, or a constant: there is no place to point at
		o.File = ""
	}
	return &Error{File: o.File, Line: o.Line, Key: strings.TrimPrefix(key, "model."), Msg: fmt.Sprintf(format, args...), Hint: hint}
}

// wouldDo searches the configurations for what could serve the request: the
// same card in greater number or with another quant first, then the cheapest
// others. It is empty where nothing is known to do.
func (in inputs) wouldDo(req Request) string {
	const most = 4
	type choice struct {
		text string
		cost float64
		own  bool
	}
	var found []choice
	var quiet faults
	sources := files(req.Configs, "hardware", &quiet)
	for _, name := range keys(sources) {
		var own faults
		h, ok := loadHardware(sources[name], name, &own)
		if !ok || own.any() {
			continue
		}
		m, ok := h.prefer(in.models, req.Model)
		if in.quantFlag {
			m, ok = in.model, h.supports(req.Quant)
		}
		if !ok {
			continue
		}
		for _, gpus := range []int{1, 2, 4, 8} {
			if r, ok := in.try(h, m, gpus); ok {
				found = append(found, choice{fmt.Sprintf("%s (%s, $%.2f/h)", r.cards(), m.Quant, r.CostPerHour()), r.CostPerHour(), name == req.Hardware})
				break
			}
		}
	}
	var others []string
	if m, ok := in.otherQuant(); ok {
		others = append(others, fmt.Sprintf("%d × %s with -quant %s", in.gpus, in.hardware.Key, m.Quant))
	}
	slices.SortStableFunc(found, func(a, b choice) int {
		switch {
		case a.own != b.own:
			if a.own {
				return -1
			}
			return 1
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	for _, c := range found[:min(most, len(found))] {
		others = append(others, c.text)
	}
	if len(others) == 0 {
		return ""
	}
	return "what would do: " + strings.Join(others, ", ")
}

// otherQuant is another variant of the family that would fit as requested.
func (in inputs) otherQuant() (modelFile, bool) {
	for _, q := range in.hardware.SupportedQuants {
		if m, ok := variant(in.models, in.model.Family, q); ok && q != in.model.Quant {
			if _, ok := in.try(in.hardware, m, in.gpus); ok {
				return m, true
			}
		}
	}
	return modelFile{}, false
}

// try composes with another hardware, variant and number of GPUs, and reports
// whether the result is known to fit.
func (in inputs) try(h hardwareFile, m modelFile, gpus int) (*Run, bool) {
	in.hardware, in.model, in.gpus = h, m, gpus
	r := in.compose()
	_, known := r.Memory()
	return r, known && r.Serving.MaxModelLen > 0 && len(r.misfits()) == 0
}
