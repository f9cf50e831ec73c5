package compose

import (
	"reflect"
	"slices"
	"time"
)

// hardwareFile is a GPU type with the places of its keys.
type hardwareFile struct {
	*Hardware
	doc *document
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func loadHardware(src source, key string, f *faults) (hardwareFile, bool) {
	text, ok := src.read(f)
	if !ok {
		return hardwareFile{}, false
	}
	h := hardwareFile{Hardware: &Hardware{Key: key}}
	h.doc = decode(src.show(), text, h.Hardware, f, misplacedInHardware)
	if !plainName.MatchString(key) {
		h.doc.at("", "rename it", "the file's name, %s, cannot be the name of a hardware", quoted(key))
	}
	h.check()
	return h, true
}

func misplacedInHardware(key string) string {
	switch key {
	case "gpus", "gpu_count", "tensor_parallel_size":
		return "the number of GPUs is the run's: use -gpus"
	}
	if _, ok := fields(typeOf[GPU]())[key]; ok {
		return "it belongs under gpu:"
	}
	if _, ok := fields(typeOf[Serving]())[key]; ok {
		return "it belongs under the scenario's serving:"
	}
	return ""
}

var (
	interconnects = []string{"nvlink3", "nvlink4", "nvlink5", "pcie4", "pcie5"}
	generations   = []string{"volta", "turing", "ampere", "ada", "hopper", "blackwell"}
)

func (h hardwareFile) check() {
	d := h.doc
	d.require("gpu_type_ids", "price_usd_per_gpu_hour", "gpu_memory_utilization", "supported_quants")
	d.nonEmpty("gpu_type_ids", len(h.GPUTypeIDs))
	d.nonEmpty("supported_quants", len(h.SupportedQuants))
	d.unique("gpu_type_ids[%d]", h.GPUTypeIDs)
	d.unique("supported_quants[%d]", h.SupportedQuants)
	d.atLeast("price_usd_per_gpu_hour", h.PriceUSDPerGPUHour, 0)
	d.fraction("gpu_memory_utilization", h.GPUMemoryUtilization)
	d.positive("max_model_len_cap", float64(h.MaxModelLenCap))
	d.positive("max_usd_per_hour", h.MaxUSDPerHour)
	if d.has("price_as_of") {
		if _, err := time.Parse(time.DateOnly, h.PriceAsOf); err != nil {
			d.at("price_as_of", "write the day on which the price was seen as 2026-11-09", "%s is not a date", quoted(h.PriceAsOf))
		}
	}
	g := h.GPU
	if g == nil || d.bad["gpu"] {
		return
	}
	d.require("gpu.memory_gb", "gpu.bandwidth_gbs", "gpu.bf16_tflops", "gpu.interconnect")
	d.positive("gpu.memory_gb", g.MemoryGB)
	d.positive("gpu.bandwidth_gbs", g.BandwidthGBs)
	d.positive("gpu.bf16_tflops", g.BF16TFLOPS)
	d.atLeast("gpu.fp8_tflops", g.FP8TFLOPS, 0)
	d.oneOf("gpu.interconnect", g.Interconnect, interconnects...)
	d.oneOf("gpu.architecture", g.Architecture, generations...)
}

// prefer returns the variant that a hardware would serve of a family: the
// first of its supported quants that the family has.
func (h hardwareFile) prefer(models []modelFile, family string) (modelFile, bool) {
	for _, q := range h.SupportedQuants {
		if m, ok := variant(models, family, q); ok {
			return m, true
		}
	}
	return modelFile{}, false
}

func (h hardwareFile) supports(quant string) bool { return slices.Contains(h.SupportedQuants, quant) }
