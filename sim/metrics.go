package sim

import (
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// exposition turns an engine's stats into metric families as a vLLM server
// exposes them (vLLM 0.15 to 0.24; vllm-litellm.md §1.1): names, types,
// labels, buckets, and the _created samples of Python's prometheus_client.
type exposition struct {
	labels   []*dto.LabelPair // model_name and engine
	created  float64          // when the server began, Unix seconds
	families []*dto.MetricFamily
}

// families returns the engine's metrics at this moment of its time.
func (e *Engine) families(created float64) []*dto.MetricFamily {
	st := e.stats
	x := &exposition{labels: pairs("engine", "0", "model_name", e.cfg.Model), created: created}

	x.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", float64(len(e.running)))
	x.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", float64(len(e.waiting)))
	x.add("vllm:num_requests_waiting_by_reason", "Number of waiting requests by reason.", dto.MetricType_GAUGE,
		gaugeOf(float64(len(e.waiting)), x.with("reason", "capacity")), gaugeOf(0, x.with("reason", "deferred")))
	x.add("vllm:engine_sleep_state", "Engine sleep state.", dto.MetricType_GAUGE,
		gaugeOf(1, x.with("sleep_state", "awake")), gaugeOf(0, x.with("sleep_state", "weights_offloaded")), gaugeOf(0, x.with("sleep_state", "discard_all")))
	x.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", float64(e.cache.used())/float64(e.cache.total()))
	x.counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in terms of number of queried tokens.", st.prefixQueries)
	x.counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in terms of number of cached tokens.", st.prefixHits)
	x.counter("vllm:num_preemptions_total", "Cumulative number of preemptions from the engine.", st.preemptions)
	x.counter("vllm:prompt_tokens_total", "Number of prefill tokens processed.", st.promptTokens)
	x.counters("vllm:prompt_tokens_by_source_total", "Number of prompt tokens by source.", "source",
		[]string{"local_compute", "local_cache_hit", "external_kv_transfer"}, []int64{st.promptTokens - st.cachedTokens, st.cachedTokens, 0})
	x.counter("vllm:prompt_tokens_cached_total", "Number of cached prompt tokens.", st.cachedTokens)
	x.counter("vllm:generation_tokens_total", "Number of generation tokens processed.", st.generatedTokens)
	x.counters("vllm:request_success_total", "Count of successfully processed requests.", "finished_reason", finishReasons[:], st.finished[:])

	x.histogram("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", st.iterTokens)
	x.histogram("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", st.ttft)
	x.histogram("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", st.itl)
	x.histogram("vllm:request_time_per_output_token_seconds", "Histogram of time per output token in seconds per request.", st.tpot)
	x.histogram("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", st.e2e)
	x.histogram("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", st.queue)
	x.histogram("vllm:request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.", st.inference)
	x.histogram("vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", st.prefill)
	x.histogram("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", st.decode)
	x.histogram("vllm:request_prompt_tokens", "Number of prefill tokens processed.", st.promptLen)
	x.histogram("vllm:request_generation_tokens", "Number of generation tokens processed.", st.generatedLen)
	x.histogram("vllm:request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens.", st.maxGenerated)
	x.histogram("vllm:request_params_n", "Histogram of the n request parameter.", st.params)
	x.histogram("vllm:request_params_max_tokens", "Histogram of the max_tokens request parameter.", st.maxTokens)
	x.histogram("vllm:request_prefill_kv_computed_tokens", "Histogram of new KV tokens computed during prefill.", st.computedLen)

	if e.cfg.Speculative.Tokens > 0 {
		x.counter("vllm:spec_decode_num_drafts_total", "Number of spec decoding drafts.", st.drafts)
		x.counter("vllm:spec_decode_num_draft_tokens_total", "Number of draft tokens.", st.draftTokens)
		x.counter("vllm:spec_decode_num_accepted_tokens_total", "Number of accepted tokens.", st.acceptedTokens)
		positions := make([]string, len(st.acceptedPerPos))
		for i := range positions {
			positions[i] = strconv.Itoa(i)
		}
		x.counters("vllm:spec_decode_num_accepted_tokens_per_pos_total", "Accepted tokens per draft position.", "position", positions, st.acceptedPerPos)
	}

	x.add("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", dto.MetricType_GAUGE, gaugeOf(1, pairs(
		"block_size", strconv.Itoa(e.cfg.BlockSize),
		"cache_dtype", orElse(e.cfg.CacheDtype, "auto"),
		"enable_prefix_caching", "True",
		"engine", "0",
		"gpu_memory_utilization", strconv.FormatFloat(e.cfg.GPUMemoryUtilization, 'g', -1, 64),
		"num_gpu_blocks", strconv.Itoa(e.cache.total()),
	)))
	return x.families
}

// simFamilies are our own, by which a reader knows that no GPU was there.
func simFamilies(c *Cassette, mismatches map[string]int64) []*dto.MetricFamily {
	x := &exposition{}
	x.add("dail_simulated", "1: these are the figures of a simulated engine.", dto.MetricType_GAUGE, gaugeOf(1, nil))
	if c != nil {
		var metrics []*dto.Metric
		for _, p := range c.phases {
			metrics = append(metrics, &dto.Metric{Label: pairs("phase", p.ID), Counter: &dto.Counter{Value: ptr(float64(mismatches[p.ID]))}})
		}
		x.add("dail_cassette_mismatches_total", "Requests that did not follow the cassette, by phase.", dto.MetricType_COUNTER, metrics...)
	}
	return x.families
}

func (x *exposition) add(name, help string, kind dto.MetricType, metrics ...*dto.Metric) {
	x.families = append(x.families, &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: metrics})
}

// with returns the common labels and one more, sorted by name.
func (x *exposition) with(name, value string) []*dto.LabelPair {
	labels := append(slices.Clone(x.labels), pairs(name, value)...)
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return labels
}

func (x *exposition) gauge(name, help string, v float64) {
	x.add(name, help, dto.MetricType_GAUGE, gaugeOf(v, x.labels))
}

func (x *exposition) counter(name, help string, v int64) {
	x.add(name, help, dto.MetricType_COUNTER, &dto.Metric{Label: x.labels, Counter: &dto.Counter{Value: ptr(float64(v))}})
	x.add(strings.TrimSuffix(name, "_total")+"_created", help, dto.MetricType_GAUGE, gaugeOf(x.created, x.labels))
}

func (x *exposition) counters(name, help, label string, values []string, counts []int64) {
	var metrics, created []*dto.Metric
	for i, value := range values {
		labels := x.with(label, value)
		metrics = append(metrics, &dto.Metric{Label: labels, Counter: &dto.Counter{Value: ptr(float64(counts[i]))}})
		created = append(created, gaugeOf(x.created, labels))
	}
	x.add(name, help, dto.MetricType_COUNTER, metrics...)
	x.add(strings.TrimSuffix(name, "_total")+"_created", help, dto.MetricType_GAUGE, created...)
}

func (x *exposition) histogram(name, help string, h *histogram) {
	out := &dto.Histogram{SampleCount: ptr(h.count()), SampleSum: ptr(float64(h.sum) / h.scale)}
	var total uint64
	for i, bound := range append(slices.Clone(h.bounds), math.Inf(1)) {
		total += h.counts[i]
		out.Bucket = append(out.Bucket, &dto.Bucket{UpperBound: ptr(bound), CumulativeCount: ptr(total)})
	}
	x.add(name, help, dto.MetricType_HISTOGRAM, &dto.Metric{Label: x.labels, Histogram: out})
	x.add(name+"_created", help, dto.MetricType_GAUGE, gaugeOf(x.created, x.labels))
}

func gaugeOf(v float64, labels []*dto.LabelPair) *dto.Metric {
	return &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &v}}
}

// pairs makes labels of names and values in turn.
func pairs(namesAndValues ...string) []*dto.LabelPair {
	var out []*dto.LabelPair
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		out = append(out, &dto.LabelPair{Name: ptr(namesAndValues[i]), Value: ptr(namesAndValues[i+1])})
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
