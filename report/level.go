package report

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/x/dail/slo"
)

// States of a level's gates.
const (
	GatesPending = "pending" // not run yet: Valid is nil
	GatesScored  = "scored"
	// GatesSkipped: the agents were stopped before their work was done, because
	// the verdict was clear; Valid stays nil. Only a level that does not hold.
	GatesSkipped = "skipped"
)

// Level is one team size. Times are in seconds, speeds in tokens per second of
// one stream. A pointer is nil, and its key is missing or null, where nothing
// was measured; zero is never written for that.
type Level struct {
	Devs int `json:"devs"`

	// HoldsSLO is the verdict at SLOPercentile. While the gates are pending it
	// is provisional; an invalid level never holds.
	HoldsSLO bool `json:"holds_slo"`
	// HoldsSLOCertain is set where no value within the bounds of the buckets
	// would change the verdict.
	HoldsSLOCertain bool   `json:"holds_slo_certain"`
	SLOPercentile   string `json:"slo_percentile,omitempty"`
	HoldsSLOP90     *bool  `json:"holds_slo_p90,omitempty"`
	// Verdict is HoldsSLO as a sentence with its figures.
	Verdict string `json:"verdict,omitempty"`

	// Time to first token and speed while decoding, at the server. Means are
	// exact, quantiles are interpolated between the Bounds.
	MeanTTFT   *float64 `json:"mean_ttft,omitempty"`
	MedianTTFT *float64 `json:"median_ttft"`
	P90TTFT    *float64 `json:"p90_ttft,omitempty"`
	P99TTFT    *float64 `json:"p99_ttft,omitempty"`
	MeanTPS    *float64 `json:"mean_tps,omitempty"`
	MedianTPS  *float64 `json:"median_tps"`
	P90TPS     *float64 `json:"p90_tps,omitempty"` // the slow end: nine tenths of the steps reach it
	P99TPS     *float64 `json:"p99_tps,omitempty"`
	E2EMean    *float64 `json:"e2e_mean,omitempty"`
	E2EP50     *float64 `json:"e2e_p50,omitempty"`
	E2EP90     *float64 `json:"e2e_p90,omitempty"`
	E2EP99     *float64 `json:"e2e_p99,omitempty"`
	// Bounds holds, by the key of a quantile above, the bounds of its bucket.
	Bounds map[string]Bound `json:"bounds,omitempty"`
	// TTFTSplit says where the mean time to first token went.
	TTFTSplit *slo.Split `json:"ttft_split,omitempty"`

	CostPerDevHour  float64 `json:"cost_per_dev_hour"`
	CostPerDevMonth float64 `json:"cost_per_dev_month"`

	// Valid says whether the load was real; nil while the gates are pending.
	Valid         *bool  `json:"valid"`
	Gates         string `json:"gates,omitempty"`
	InvalidReason string `json:"invalid_reason,omitempty"`
	AgentsOK      int    `json:"agents_ok"`

	// TokensPerDev is the median over the agents of what their client counted.
	TokensPerDev int64         `json:"tokens_per_dev"`
	ServerTokens *ServerTokens `json:"server_tokens,omitempty"`
	TokensSource string        `json:"tokens_source,omitempty"` // "server" or "client"
	// TokensPerHour is served, ComputedTokensPerHour without what the prefix
	// cache held; ComputedEstimated marks the latter where the server's counts
	// do not say it.
	TokensPerHour         *float64 `json:"tokens_per_hour,omitempty"`
	ComputedTokensPerHour *float64 `json:"computed_tokens_per_hour,omitempty"`
	ComputedEstimated     bool     `json:"computed_estimated,omitempty"`
	CostPerMTok           *float64 `json:"cost_per_mtok,omitempty"`
	CostPerMTokOutput     *float64 `json:"cost_per_mtok_output,omitempty"`
	PrefixCacheHitRate    *float64 `json:"prefix_cache_hit_rate,omitempty"`
	// Utilization is this level's rate ÷ the report's yardstick, the penalty
	// its inverse.
	Utilization             *float64 `json:"utilization,omitempty"`
	UnderutilizationPenalty *float64 `json:"underutilization_penalty,omitempty"`

	Requests             *Requests `json:"requests,omitempty"`
	Preemptions          *int64    `json:"preemptions,omitempty"`
	TokensPerStep        *float64  `json:"tokens_per_step,omitempty"` // above 1 with speculative decoding
	EffectiveConcurrency *float64  `json:"effective_concurrency,omitempty"`
	CassetteMismatches   int       `json:"cassette_mismatches,omitempty"`

	// Delivered is the load that was really there. A level that fell short of its
	// N never holds.
	Delivered *slo.Delivered `json:"delivered,omitempty"`
	Perceived *slo.Perceived `json:"perceived,omitempty"`
	Window    *Windows       `json:"window,omitempty"`
	Harness   *Harness       `json:"harness,omitempty"`
	// Series names the file beside the report with the level's time series:
	// running, waiting, KV use, tokens, once a second.
	Series string `json:"series,omitempty"`
	// Stopped says why the agents were stopped before their work was done: a
	// search does so where the verdict is clear.
	Stopped string `json:"stopped,omitempty"`
	// Repeats holds the levels that this one was merged from.
	Repeats *Repeats `json:"repeats,omitempty"`
	Agents  []Agent  `json:"agents"`
	// Notes are what a reader of the figures should know.
	Notes []string `json:"notes,omitempty"`
}

// Requests counts what the server saw.
type Requests struct {
	Started  int64            `json:"started"`            // got a first token
	Finished map[string]int64 `json:"finished,omitempty"` // by finished_reason
}

// Windows are the spans that figures were taken over.
type Windows struct {
	Whole Window `json:"whole"`
	// AllNActive begins when the last agent has started and ends when the
	// first has finished: stragglers run on an emptier GPU and flatter it. nil
	// where all N were never at work at once.
	AllNActive *Window `json:"all_n_active,omitempty"`
}

// Window is the headline figures of one span.
type Window struct {
	Start                time.Time        `json:"start"`
	End                  time.Time        `json:"end"`
	Seconds              float64          `json:"seconds"`
	RequestsStarted      int64            `json:"requests_started"`
	MeanTTFT             *float64         `json:"mean_ttft,omitempty"`
	MedianTTFT           *float64         `json:"median_ttft,omitempty"`
	MeanTPS              *float64         `json:"mean_tps,omitempty"`
	MedianTPS            *float64         `json:"median_tps,omitempty"`
	E2EP50               *float64         `json:"e2e_p50,omitempty"`
	Bounds               map[string]Bound `json:"bounds,omitempty"`
	TokensPerHour        *float64         `json:"tokens_per_hour,omitempty"`
	EffectiveConcurrency *float64         `json:"effective_concurrency,omitempty"`
	// Confidence is how far the figures may be off because the window ended;
	// nil where it was too short to say.
	Confidence *slo.Confidence `json:"confidence,omitempty"`
}

// Harness is the health of the machine that made the load.
type Harness struct {
	Cores int `json:"cores,omitempty"`
	// QuotaCores is what the control groups around the program leave of them, 0
	// where that is all; Throttled the part of the quota's periods in which
	// somebody had to wait for the next one.
	QuotaCores float64 `json:"quota_cores,omitempty"`
	Throttled  float64 `json:"throttled,omitempty"`
	// Saturated is the part of the time in which no core was idle: what tools
	// compute then takes longer than on a developer's own machine.
	Saturated        float64    `json:"saturated,omitempty"`
	CPUShare         *float64   `json:"cpu_share,omitempty"` // busy part of all cores, or of the quota, 0 to 1
	PeakMemoryBytes  uint64     `json:"peak_memory_bytes,omitempty"`
	TotalMemoryBytes uint64     `json:"total_memory_bytes,omitempty"`
	ProxyOverheadS   *slo.Exact `json:"proxy_overhead_s,omitempty"`   // what our gateway added per request
	SchedulingDelayS *slo.Exact `json:"scheduling_delay_s,omitempty"` // how late a timer fired
	// SpawnS is how long a program that does nothing took, s: by so much every
	// tool's result came late.
	SpawnS *slo.Exact `json:"spawn_s,omitempty"`
	// Limited is set where this machine, not the GPU, set the pace.
	Limited bool   `json:"harness_limited"`
	Reason  string `json:"reason,omitempty"`
}

// Bound is the bucket that a quantile fell into, [low, high] in JSON. High is
// +Inf in the last bucket, null in JSON.
type Bound struct {
	Low, High float64
}

// MarshalJSON writes [low, high].
func (b Bound) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]*float64{number(b.Low), number(b.High)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Bound) UnmarshalJSON(data []byte) error {
	var pair []*float64
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 || pair[0] == nil {
		return fmt.Errorf("bounds are %s, want [low, high] where high may be null", data)
	}
	*b = Bound{Low: *pair[0], High: math.Inf(1)}
	if pair[1] != nil {
		b.High = *pair[1]
	}
	return nil
}

// number is nil where JSON has no way to write v.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// measured is nil where v is 0, which no time and no speed can be.
func measured(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return number(v)
}
