package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// OpenMetrics writes a snapshot of all combinations' levels in the text format
// that Prometheus and its kin read: gauges, labelled by what was measured, on
// what, from which source, and judged by which limits. Money is as [Combine] has
// it, at the price and for the hours that stand beside it. What was not measured
// has no sample, nor has a verdict that is not final.
func OpenMetrics(w io.Writer, files []File) error {
	families := map[string]*dto.MetricFamily{}
	gauge := func(name, help string, v float64, labels []*dto.LabelPair) {
		f := families[name]
		if f == nil {
			kind := dto.MetricType_GAUGE
			f = &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
			families[name] = f
		}
		f.Metric = append(f.Metric, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &v}})
	}
	for _, c := range Combine(files) {
		for _, l := range c.Levels {
			labels := c.labels(l.Devs)
			truth := func(name, help string, yes bool) {
				v := 0.0
				if yes {
					v = 1
				}
				gauge(name, help, v, labels)
			}
			some := func(name, help string, v *float64) {
				if v != nil {
					gauge(name, help, *v, labels)
				}
			}
			truth("dail_provisional", "1 while the gates are still to be judged: until then nobody knows whether the level holds.", l.provisional())
			if !l.provisional() {
				truth("dail_holds_slo", "1 where the level holds its SLO.", l.HoldsSLO)
				truth("dail_holds_slo_certain", "1 where the bounds alone decide the verdict.", l.HoldsSLOCertain)
			}
			if l.Valid != nil {
				truth("dail_valid", "1 where the load was real work.", *l.Valid)
			}
			gauge("dail_cost_per_dev_month_usd", "The GPUs' cost over the team, for dail_hours_per_month at dail_price_usd_per_gpu_hour.", l.CostPerDevMonth, labels)
			gauge("dail_hours_per_month", "Hours that the costs per month are of.", c.Hours, labels)
			gauge("dail_price_usd_per_gpu_hour", "Price of the latest run, by which all costs go.", c.Latest.PriceUSDPerGPUHour, labels)
			some("dail_ttft_median_seconds", "Median time to first token, from buckets.", l.MedianTTFT)
			some("dail_stream_tokens_per_second_median", "Median speed of a stream, from buckets.", l.MedianTPS)
			some("dail_stream_tokens_per_second_mean", "Mean speed of a stream, exact.", l.MeanTPS)
			some("dail_tokens_per_hour", "Prompt and output tokens of all agents.", l.TokensPerHour)
			some("dail_cost_per_mtok_usd", "Cost of a million tokens, prompts included.", l.CostPerMTok)
			some("dail_utilization_ratio", "Part of the saturated throughput.", l.Utilization)
		}
	}
	names := make([]string, 0, len(families))
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if _, err := expfmt.MetricFamilyToOpenMetrics(w, families[name]); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	_, err := expfmt.FinalizeOpenMetrics(w)
	return err
}

// labels are a level's, in the order of their names.
func (c Combined) labels(devs int) []*dto.LabelPair {
	var pairs []*dto.LabelPair
	for _, kv := range [][2]string{
		{"benchmark", c.Benchmark}, {"devs", strconv.Itoa(devs)}, {"family", c.Family}, {"gpus", strconv.Itoa(c.GPUs)},
		{"hardware", c.Hardware}, {"quant", c.Quant},
		{"slo_max_ttft_seconds", text(c.SLO.MaxTTFT)}, {"slo_min_tokens_per_second", text(c.SLO.MinTPS)}, {"slo_percentile", c.SLO.Percentile},
		{"source", string(c.Source)},
	} {
		name, value := kv[0], strings.ToValidUTF8(kv[1], "�")
		pairs = append(pairs, &dto.LabelPair{Name: &name, Value: &value})
	}
	return pairs
}
