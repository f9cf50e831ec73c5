package slo

// counterID and histogramID name what this package reads, whatever the server's
// version calls it.
type (
	counterID   int
	histogramID int
)

const (
	promptTokens counterID = iota
	generationTokens
	prefixQueries
	prefixHits
	preemptions
	drafts
	promptCached
	numCounters
)

const (
	ttftSeconds histogramID = iota
	itlSeconds
	e2eSeconds
	queueSeconds
	prefillSeconds
	decodeSeconds
	numHistograms
)

// counterNames lists, per counter, the names it has had, the newest first; the
// first one on the page is read. vLLM 0.9 dropped "gpu_" from the prefix
// cache's names. Names without _total are what a server that answers in
// OpenMetrics, or a very old one, shows.
var counterNames = [numCounters][]string{
	promptTokens:     {"vllm:prompt_tokens_total"},
	generationTokens: {"vllm:generation_tokens_total"},
	prefixQueries: {"vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total",
		"vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries"},
	prefixHits: {"vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total",
		"vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits"},
	preemptions:  {"vllm:num_preemptions_total"},
	drafts:       {"vllm:spec_decode_num_drafts_total"},
	promptCached: {"vllm:prompt_tokens_cached_total"},
}

// histogramNames is the same for histograms. Inter-token latency was called
// time_per_output_token_seconds up to vLLM 0.10, both in 0.11.
var histogramNames = [numHistograms][]string{
	ttftSeconds:    {"vllm:time_to_first_token_seconds"},
	itlSeconds:     {"vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"},
	e2eSeconds:     {"vllm:e2e_request_latency_seconds"},
	queueSeconds:   {"vllm:request_queue_time_seconds"},
	prefillSeconds: {"vllm:request_prefill_time_seconds"},
	decodeSeconds:  {"vllm:request_decode_time_seconds"},
}

// A page without one of these cannot answer the question at all.
var (
	requiredCounters   = []counterID{promptTokens, generationTokens}
	requiredHistograms = []histogramID{ttftSeconds, itlSeconds, e2eSeconds}
)

// Series that carry a label of their own, and gauges.
const (
	successName      = "vllm:request_success_total"         // finished_reason
	bySourceName     = "vllm:prompt_tokens_by_source_total" // source
	localCompute     = "local_compute"
	mismatchName     = "dail_cassette_mismatches_total" // phase
	simulatedName    = "dail_simulated"
	processStartName = "process_start_time_seconds"
	runningName      = "vllm:num_requests_running"
	waitingName      = "vllm:num_requests_waiting"
)

var kvUsageNames = []string{"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"}
