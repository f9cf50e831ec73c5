package report

import (
	"time"

	"github.com/x/dail/slo"
)

// SchemaVersion is what this package writes. The original lab's files carry
// none, which reads as 0.
const SchemaVersion = 1

// Source says what stands behind a report's figures. It comes from the server
// that answered, never from the provider's name.
type Source string

const (
	Measured  Source = "measured"  // a real GPU
	Simulated Source = "simulated" // dail's own engine, over HTTP in real time
	Forecast  Source = "forecast"  // dail's own engine, in virtual time
	Imported  Source = "imported"  // a file of the original lab: a real GPU, the old definitions
)

// Why a run ended before it was complete.
const (
	TruncatedStall       = "stall"       // nothing moved for too long
	TruncatedMaxPhase    = "max_phase"   // a phase took too long
	TruncatedMaxRun      = "max_run"     // the run took too long, or cost too much
	TruncatedInterrupted = "interrupted" // Ctrl-C, or SIGTERM
	TruncatedError       = "error"       // something failed
)

// Report is one run: a benchmark with a model on a hardware, at one or more
// team sizes. Its JSON is report.json; the keys of the original lab's files
// keep their names and meanings. Times are in seconds, prices in USD.
type Report struct {
	SchemaVersion int    `json:"schema_version"`
	RunID         string `json:"run_id"`
	Date          string `json:"date"` // YYYY-MM-DD

	Benchmark string `json:"benchmark"`
	Family    string `json:"family"`
	Quant     string `json:"quant"`
	Model     string `json:"model"`           // the name it was served under
	HFID      string `json:"hf_id,omitempty"` // its Hugging Face id
	Hardware  string `json:"hardware"`
	GPUCount  int    `json:"gpu_count"`

	PriceUSDPerGPUHour float64 `json:"price_usd_per_gpu_hour"`
	PriceAsOf          string  `json:"price_as_of,omitempty"`  // YYYY-MM-DD, when the price was seen
	PriceSource        string  `json:"price_source,omitempty"` // who says so: a file, a flag, the provider
	CostPerHour        float64 `json:"cost_per_hour"`          // price × GPUs
	HoursPerMonth      float64 `json:"hours_per_month,omitempty"`

	Provider string `json:"provider,omitempty"`
	Source   Source `json:"source,omitempty"`
	Gateway  string `json:"gateway,omitempty"`
	// GatewayVersion is that of a gateway which is not dail's own.
	GatewayVersion string  `json:"gateway_version,omitempty"`
	Runner         string  `json:"runner,omitempty"`
	AgentVersion   string  `json:"agent_version,omitempty"`
	VLLMVersion    string  `json:"vllm_version,omitempty"`
	MaxModelLen    int     `json:"max_model_len,omitempty"` // context window that was served
	Agent          *Client `json:"agent,omitempty"`

	SLO       SLO        `json:"slo"`
	Devs      []int      `json:"devs,omitempty"` // the team sizes that were asked for
	ByDevs    []Level    `json:"by_devs"`
	Baseline  *Level     `json:"baseline,omitempty"` // one agent alone, to read the levels against
	Tokens    Tokens     `json:"tokens,omitzero"`    // all levels' agents, as the client counted
	ModelMeta *ModelMeta `json:"model_meta,omitempty"`
	ThetaMax  *ThetaMax  `json:"theta_max,omitempty"`
	// Capacity is the largest team that holds, where the run searched for it.
	Capacity *Capacity `json:"capacity,omitempty"`
	// UtilizationBasis names the yardstick of the levels' utilization:
	// "theta_max", or "best_level" where no probe was made and at least two
	// levels were a real load; empty where there is neither.
	UtilizationBasis string `json:"utilization_basis,omitempty"`
	// UtilizationTokens says what both sides count: "computed", each token
	// once and without what the prefix cache held, or "served" where a level
	// does not say what was computed.
	UtilizationTokens string `json:"utilization_tokens,omitempty"`

	// Money is the run beside hosted APIs; see [Report.Compare].
	Money *Money `json:"money,omitempty"`
	// Origin is whose figures these are, where they are not ours.
	Origin *Origin `json:"origin,omitempty"`

	// Truncated is why the run ended early, empty where it did not; one of the
	// Truncated constants. TruncatedReason says it in words.
	Truncated       string `json:"truncated,omitempty"`
	TruncatedReason string `json:"truncated_reason,omitempty"`

	// Timeline is the billed time of all sessions together.
	Timeline   []Step   `json:"timeline,omitempty"`
	PodCostUSD *float64 `json:"pod_cost_usd,omitempty"` // Σ billed seconds × price × GPUs ÷ 3600
	// CostBasis says what PodCostUSD is: what was paid by list price, or what
	// a simulated pod's time would have cost.
	CostBasis string `json:"cost_basis,omitempty"`
	// Sessions are the servers that the run was measured on, one after the
	// other: more than one where it was resumed. Files from before 2026-11-24
	// 17:00 have none.
	Sessions []Session `json:"sessions,omitempty"`
}

// SLO is what the levels were judged by.
type SLO struct {
	MaxTTFT    float64 `json:"max_ttft"`             // s
	MinTPS     float64 `json:"min_tps"`              // tokens/s per stream
	Percentile string  `json:"percentile,omitempty"` // p50 where empty
}

// Criteria is the SLO as slo.Evaluate takes it.
func (s SLO) Criteria() slo.Criteria {
	return slo.Criteria{MaxTTFT: s.MaxTTFT, MinTPS: s.MinTPS, Percentile: s.Percentile}
}

// Client is the agent program that made the load, and the settings that move
// what it sends.
type Client struct {
	Name    string            `json:"name"`
	Version string            `json:"version,omitempty"`
	Env     map[string]string `json:"env,omitempty"` // no secrets
}

// Tokens are an agent's, as its client counted them. Prompt includes what was
// read from a cache.
type Tokens struct {
	Prompt     int64 `json:"prompt"`
	Completion int64 `json:"completion"`
	Total      int64 `json:"total"`
}

// ServerTokens are what the server counted.
type ServerTokens struct {
	Prompt     int64 `json:"prompt"`
	Generation int64 `json:"generation"`
}

// ModelMeta is what a reader wants to know of the model.
type ModelMeta struct {
	Architecture  string  `json:"architecture,omitempty"` // "dense", "moe"
	TotalParamsB  float64 `json:"total_params_b,omitempty"`
	ActiveParamsB float64 `json:"active_params_b,omitempty"`
}

// ThetaMax is the throughput of the saturated server, where it was probed.
type ThetaMax struct {
	TokensPerHour       float64      `json:"tokens_per_hour"`
	OutputTokensPerHour float64      `json:"output_tokens_per_hour"`
	ServerTokens        ServerTokens `json:"server_tokens"`
	DurationS           float64      `json:"duration_s"`
	Shape               Shape        `json:"shape"`
	Concurrency         int          `json:"concurrency,omitempty"` // 0 where the original's does not say

	// Source is what stands behind the figures: the report's, of the server
	// that answered the probe.
	Source Source `json:"source,omitempty"`
	// Window is the span that was counted, WarmupS the time before it.
	Window  *Window `json:"window,omitempty"`
	WarmupS float64 `json:"warmup_s,omitempty"`
	// ComputedTokensPerHour counts each token once and leaves out what a
	// prefix cache held: the yardstick of the levels' utilization.
	ComputedTokensPerHour *float64 `json:"computed_tokens_per_hour,omitempty"`
	ComputedEstimated     bool     `json:"computed_estimated,omitempty"`
	PrefixCacheHitRate    *float64 `json:"prefix_cache_hit_rate,omitempty"`
	Preemptions           *int64   `json:"preemptions,omitempty"`
	// ConcurrencyMean is how many requests were in the server's batch on
	// average, KVPeak the most of its KV cache that was in use, 0 to 1.
	ConcurrencyMean *float64 `json:"concurrency_mean,omitempty"`
	KVPeak          *float64 `json:"kv_peak,omitempty"`
	Requests        *int64   `json:"requests,omitempty"` // that ended in the window
	Errors          *int     `json:"errors,omitempty"`   // requests that failed in it
	// Limited is set where something other than the GPU bounded the rate, or
	// too little was seen to average over; LimitedReason says what.
	Limited       bool     `json:"limited,omitempty"`
	LimitedReason string   `json:"limited_reason,omitempty"`
	Notes         []string `json:"notes,omitempty"`
}

// Shape is the size of one request of the probe.
type Shape struct {
	PromptTokens int `json:"prompt_tokens"`
	OutputTokens int `json:"output_tokens"`
}

// Step is a part of the billed time. Steps with one label are one row.
type Step struct {
	Label   string  `json:"label"`
	Seconds float64 `json:"seconds"`
	CostUSD float64 `json:"cost_usd"`
	Pct     float64 `json:"pct"` // of the billed time, 0 to 1 as in the original's files
}

// AddStep adds billed time of the latest session under a label and brings every
// row's cost, share and the pod's cost up to date.
func (r *Report) AddStep(label string, d time.Duration) {
	timeline := &r.Timeline
	if n := len(r.Sessions); n > 0 {
		timeline = &r.Sessions[n-1].Timeline
	}
	*timeline = addStep(*timeline, Step{Label: label, Seconds: d.Seconds()})
	r.price()
}
