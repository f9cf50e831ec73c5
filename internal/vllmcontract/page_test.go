package vllmcontract_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A page is what a /metrics page shows, by name of the family.
type page map[string]*dto.MetricFamily

// scrape reads the server's page, and its text.
func (s *server) scrape(ctx context.Context) (page, []byte, error) {
	r := s.do(ctx, "GET", "/metrics", "", http.Header{"Accept": {"text/plain;version=0.0.4"}})
	if r.err != nil || r.status != http.StatusOK {
		return nil, nil, fmt.Errorf("/metrics: %v", r)
	}
	p, err := parsePage(r.body)
	return p, r.body, err
}

func parsePage(text []byte) (page, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	return page(families), err
}

// shape is all of a page but its numbers: a line per series, with its family's
// type, its labels and its buckets. Values of labels are part of it where they
// are the engine's own words (a reason, a source); those that tell of the machine
// or the model are left out.
func (p page) shape() map[string]string {
	lines := map[string]string{}
	for name, f := range p {
		for _, m := range f.GetMetric() {
			lines[name+seriesOf(name, m)] = strings.ToLower(f.GetType().String()) + bucketsOf(m)
		}
	}
	return lines
}

// seriesOf is a series' labels, sorted.
func seriesOf(family string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		text := l.GetName()
		if strings.HasPrefix(family, "vllm:") && family != "vllm:cache_config_info" && text != "model_name" {
			text += "=" + strconv.Quote(l.GetValue())
		}
		labels = append(labels, text)
	}
	slices.Sort(labels)
	return "{" + strings.Join(labels, ",") + "}"
}

func bucketsOf(m *dto.Metric) string {
	if m.Histogram == nil {
		return ""
	}
	text := ""
	for _, b := range m.Histogram.GetBucket() {
		text += " " + strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)
	}
	return text
}

// counts are the numbers of a page that depend on nothing but the requests: no
// times, no moments, nothing of the machine.
func (p page) counts() map[string]float64 {
	out := map[string]float64{}
	for name, f := range p {
		if !strings.HasPrefix(name, "vllm:") || strings.HasSuffix(name, "_created") || strings.HasPrefix(name, "vllm:estimated_") ||
			name == "vllm:cache_config_info" {
			continue
		}
		for _, m := range f.GetMetric() {
			key := name + seriesOf(name, m)
			switch {
			case m.Counter != nil:
				out[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				out[key] = m.Gauge.GetValue()
			case m.Histogram != nil:
				out[key+" count"] = float64(m.Histogram.GetSampleCount())
				if strings.HasSuffix(name, "_seconds") {
					continue
				}
				out[key+" sum"] = m.Histogram.GetSampleSum()
				for _, b := range m.Histogram.GetBucket() {
					if !math.IsInf(b.GetUpperBound(), 1) {
						out[key+" le="+strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)] = float64(b.GetCumulativeCount())
					}
				}
			}
		}
	}
	return out
}

// since returns what was counted after the earlier page; gauges stay.
func since(now, before map[string]float64) map[string]float64 {
	out := maps.Clone(now)
	for k := range out {
		if strings.Contains(k, "_total") || strings.Contains(k, " ") {
			out[k] -= before[k]
		}
	}
	return out
}

// differences compares two maps line by line, and calls the sides a and b.
func differences[V comparable](a, b string, left, right map[string]V) []string {
	var out []string
	keys := slices.Collect(maps.Keys(left))
	for k := range right {
		if _, ok := left[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		l, inLeft := left[k]
		r, inRight := right[k]
		switch {
		case !inRight:
			out = append(out, fmt.Sprintf("only %s: %s %v", a, k, l))
		case !inLeft:
			out = append(out, fmt.Sprintf("only %s: %s %v", b, k, r))
		case l != r:
			out = append(out, fmt.Sprintf("%s: %s %v, %s %v", k, a, l, b, r))
		}
	}
	return out
}

// workload sends the same requests to any server, one after another. Prompts
// are numbers of tokens, so that no tokenizer decides; seed makes other prompts,
// which no earlier call has left in the prefix cache.
func (s *server) workload(ctx context.Context, seed int) error {
	tokens := func(n, which int) []int {
		ids := make([]int, n)
		for i := range ids {
			ids[i] = 300 + (i*i+7*i+131*which+1009*seed)%3500
		}
		return ids
	}
	again := tokens(300, 1)
	for i, r := range []object{
		{"prompt": again, "max_tokens": 20},
		{"prompt": again, "max_tokens": 20},                                         // two blocks are cached
		{"prompt": append(slices.Clone(again), tokens(200, 2)...), "max_tokens": 1}, // no gap between tokens
		{"prompt": tokens(5000, 3), "max_tokens": 64},                               // in chunks
		{"prompt": tokens(40, 4), "max_tokens": 3, "stream": true},
		{"prompt": tokens(256, 5), "max_tokens": 2},
		{"prompt": tokens(256, 5), "max_tokens": 2}, // the last token is computed all the same
	} {
		if got := s.post(ctx, "/v1/completions", r.with("ignore_eos", true, "temperature", 0)); got.status != http.StatusOK {
			return fmt.Errorf("request %d of the workload: %v", i, got)
		}
	}
	return nil
}
