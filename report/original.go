package report

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/x/dail/slo"
)

// Origin is where figures were taken from that others measured.
type Origin struct {
	Name    string `json:"name"`
	URL     string `json:"url,omitempty"`
	Licence string `json:"licence,omitempty"`
	Note    string `json:"note,omitempty"` // what was done to them, and what they must not be taken for
}

// bucketCaveat stands on every level that is imported.
const bucketCaveat = "medians and tails are interpolated within vLLM's buckets: only the bounds are sure, and a speed such as 200, 57 or 27 tok/s is a bucket's middle, not a speed that was seen"

// The upper bounds of vLLM's buckets, in seconds (v0.10 to v0.23,
// vllm/v1/metrics/loggers.py): what an imported quantile lies between.
var (
	ttftBuckets = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	itlBuckets  = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
)

// ReadOriginal reads levels that were measured with the original lab, in the form
// of its published table: a line per level, columns by their names in the first
// line. It makes a report of each run, whose source is imported.
//
// Figures are taken over as they are; bounds are added, and with them whether a
// verdict is certain. Of a level that is not valid by our rule, it says so, and it
// does not hold. Who did what (agents, gates) is not in the table and is left out.
// origin stands in every report.
func ReadOriginal(in io.Reader, origin Origin) ([]*Report, error) {
	rows := csv.NewReader(in)
	head, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("report: the table's first line: %w", err)
	}
	byRun := map[string]*Report{}
	for {
		fields, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		line, _ := rows.FieldPos(0)
		row := original{at: map[string]string{}}
		for i, name := range head {
			row.at[name] = fields[i]
		}
		run := row.text("run_id") + " " + row.text("family") + " " + row.text("quant") + " " + row.text("hardware")
		if byRun[run] == nil {
			byRun[run] = row.report(origin)
		}
		byRun[run].ByDevs = append(byRun[run].ByDevs, row.level(byRun[run]))
		if row.err != nil {
			return nil, fmt.Errorf("report: line %d: %w", line, row.err)
		}
	}
	var all []*Report
	for _, r := range byRun {
		slices.SortFunc(r.ByDevs, func(a, b Level) int { return cmp.Compare(a.Devs, b.Devs) })
		for _, l := range r.ByDevs {
			r.Devs = append(r.Devs, l.Devs)
		}
		r.Complete()
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Report) int {
		return cmp.Or(cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.Hardware, b.Hardware), cmp.Compare(a.Quant, b.Quant))
	})
	return all, nil
}

// original is a line of the table. The first thing that is wrong with it is kept.
type original struct {
	at  map[string]string
	err error
}

func (o *original) fail(key, want string) {
	if o.err == nil {
		o.err = fmt.Errorf("column %s is %q: want %s", key, o.at[key], want)
	}
}

func (o *original) text(key string) string {
	if o.at[key] == "" {
		o.fail(key, "a text")
	}
	return o.at[key]
}

// optional is a number, nil where the table has none.
func (o *original) optional(key string) *float64 {
	if o.at[key] == "" {
		return nil
	}
	v, err := strconv.ParseFloat(o.at[key], 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		o.fail(key, "a number of at least 0")
		return nil
	}
	return &v
}

func (o *original) number(key string) float64 {
	v := o.optional(key)
	if v == nil {
		o.fail(key, "a number")
		return 0
	}
	return *v
}

// whole is a count; the bound keeps a bad line from making a large report.
func (o *original) whole(key string) int64 {
	v := o.number(key)
	if v != math.Trunc(v) || v > 1e15 {
		o.fail(key, "a whole number")
		return 0
	}
	return int64(v)
}

func (o *original) truth(key string) bool {
	v, err := strconv.ParseBool(o.at[key])
	if err != nil {
		o.fail(key, "true or false")
	}
	return v
}

// perhaps is true or false, nil where the table has neither.
func (o *original) perhaps(key string) *bool {
	if o.at[key] == "" {
		return nil
	}
	v := o.truth(key)
	return &v
}

// report is the run's part of a line.
func (o *original) report(origin Origin) *Report {
	r := &Report{
		RunID: o.text("run_id"), Benchmark: o.text("benchmark"), Family: o.text("family"), Quant: o.text("quant"),
		Model: o.text("model"), Hardware: o.text("hardware"), GPUCount: int(o.whole("gpus")),
		PriceUSDPerGPUHour: o.number("price_usd_per_gpu_hour"), PriceSource: "the original run's report",
		HoursPerMonth: slo.HoursPerMonth, Source: Imported, Origin: &origin,
		SLO:       SLO{MaxTTFT: o.number("slo_max_ttft"), MinTPS: o.number("slo_min_tps"), Percentile: "p50"},
		Truncated: o.at["truncated"],
	}
	if len(r.RunID) >= 8 {
		if day, err := time.Parse("20060102", r.RunID[:8]); err == nil {
			r.Date, r.PriceAsOf = day.Format(time.DateOnly), day.Format(time.DateOnly)
		}
	}
	if r.Date == "" {
		o.fail("run_id", "YYYYMMDD-hhmmss")
	}
	if r.Truncated != "" {
		r.TruncatedReason = "the original run was cut short: " + r.Truncated
	}
	if o.at["run_client_prompt_tokens"] != "" { // of all the run's levels, as ours
		prompt, completion := o.whole("run_client_prompt_tokens"), o.whole("run_client_completion_tokens")
		r.Tokens = Tokens{Prompt: prompt, Completion: completion, Total: prompt + completion}
	}
	if v := o.optional("theta_tokens_per_hour"); v != nil {
		r.ThetaMax = &ThetaMax{
			TokensPerHour: *v, OutputTokensPerHour: o.number("theta_output_tokens_per_hour"), DurationS: o.number("theta_duration_s"),
			ServerTokens: ServerTokens{o.whole("theta_server_prompt"), o.whole("theta_server_generation")},
			Shape:        Shape{int(o.whole("theta_probe_prompt_tokens")), int(o.whole("theta_probe_output_tokens"))},
			Source:       Imported,
		}
		r.UtilizationBasis = "theta_max"
	}
	for _, step := range [][2]string{{"create→ready", "create_ready_s"}, {"rsync", "rsync_s"}, {"vLLM startup", "vllm_startup_s"},
		{"generation", "generation_s"}, {"saturation-probe", "saturation_probe_s"}} {
		if v := o.optional(step[1]); v != nil {
			r.AddStep(step[0], time.Duration(*v*float64(time.Second)))
		}
	}
	return r
}

// level is the level's part of a line.
func (o *original) level(r *Report) Level {
	valid := o.truth("valid")
	l := Level{
		Devs: int(o.whole("N")), HoldsSLO: o.truth("holds_slo"), HoldsSLOP90: o.perhaps("holds_slo_p90"), SLOPercentile: "p50",
		MedianTTFT: o.optional("median_ttft"), P90TTFT: o.optional("p90_ttft"), P99TTFT: o.optional("p99_ttft"),
		MedianTPS: o.optional("median_tps"), P90TPS: o.optional("p90_tps"), P99TPS: o.optional("p99_tps"),
		E2EP50: o.optional("e2e_p50"), E2EP99: o.optional("e2e_p99"),
		CostPerDevMonth: o.number("cost_per_dev_month"), Valid: &valid, Gates: GatesScored, AgentsOK: int(o.whole("agents_ok")),
		TokensPerDev: o.whole("tokens_per_dev"), TokensSource: "server",
		TokensPerHour: o.optional("tokens_per_hour"), ComputedTokensPerHour: o.optional("computed_tokens_per_hour"),
		CostPerMTok: o.optional("cost_per_mtok"), CostPerMTokOutput: o.optional("cost_per_mtok_output"),
		PrefixCacheHitRate: o.optional("prefix_cache_hit_rate"),
		Utilization:        o.optional("utilization"), UnderutilizationPenalty: o.optional("underutilization_penalty"),
		Agents: []Agent{}, Notes: []string{bucketCaveat}, Bounds: map[string]Bound{},
	}
	if l.Devs < 1 || l.Devs > 100000 {
		o.fail("N", "a team size of at least 1")
		return l
	}
	l.CostPerDevHour = slo.CostPerHour(r.PriceUSDPerGPUHour, r.GPUCount) / float64(l.Devs)
	if o.at["server_prompt_tokens"] != "" {
		l.ServerTokens = &ServerTokens{o.whole("server_prompt_tokens"), o.whole("server_generation_tokens")}
	}
	for key, v := range map[string]*float64{"median_ttft": l.MedianTTFT, "p90_ttft": l.P90TTFT, "p99_ttft": l.P99TTFT} {
		if v != nil {
			l.Bounds[key] = bucket(ttftBuckets, *v)
		}
	}
	for key, v := range map[string]*float64{"median_tps": l.MedianTPS, "p90_tps": l.P90TPS, "p99_tps": l.P99TPS} {
		if v != nil && *v > 0 {
			b := bucket(itlBuckets, 1 / *v)
			l.Bounds[key] = Bound{Low: 1 / b.High, High: 1 / b.Low}
		}
	}
	o.decide(&l, r.SLO)
	l.byOurRule()
	if walls := o.at["agent_wall_s_list"]; walls != "" {
		l.Notes = append(l.Notes, "the agents' wall times, in seconds: "+strings.ReplaceAll(walls, "|", ", "))
	}
	return l
}

// byOurRule judges whether the load of an original's level was real, as we do:
// the original asked for a wall time only, and let a level hold whether it was
// valid or not.
func (l *Level) byOurRule() {
	valid := l.Valid != nil && *l.Valid
	switch {
	case l.Valid == nil:
		return
	case valid && 2*l.AgentsOK < l.Devs:
		valid, l.InvalidReason = false, fmt.Sprintf("%d of %d agents did the work, want at least half (the original took it for valid)", l.AgentsOK, l.Devs)
	case !valid && l.InvalidReason == "":
		l.InvalidReason = "the original run says so, and not why"
	}
	if !valid {
		l.Valid = &valid
		l.deny("does not hold: the load was not real: " + l.InvalidReason)
	}
}

// decide says whether the bounds alone give the verdict, as [slo.Criteria] does.
func (o *original) decide(l *Level, s SLO) {
	ttft, haveT := l.Bounds["median_ttft"]
	tps, haveS := l.Bounds["median_tps"]
	word := "does not hold"
	if l.HoldsSLO {
		word = "holds"
	}
	l.Verdict = fmt.Sprintf("%s, says the original run: p50 time to first token %s s (limit %g), p50 speed %s tok/s (limit %g)",
		word, value("%.2f", l.MedianTTFT), s.MaxTTFT, value("%.1f", l.MedianTPS), s.MinTPS)
	if !haveT || !haveS {
		return
	}
	switch {
	case ttft.High <= s.MaxTTFT && tps.Low >= s.MinTPS:
		l.HoldsSLOCertain = l.HoldsSLO
	case ttft.Low >= s.MaxTTFT || tps.High <= s.MinTPS:
		l.HoldsSLOCertain = !l.HoldsSLO
	}
	if !l.HoldsSLOCertain {
		l.Verdict += "; not certain, for the bounds of the bucket lie on both sides of a limit"
	}
}

// bucket is the one that a value lies in: above its lower bound, at most its
// upper one.
func bucket(upper []float64, v float64) Bound {
	low := 0.0
	for _, high := range upper {
		// A value that is the bound but for its last digits belongs below it.
		if v <= high*(1+1e-9) {
			return Bound{low, high}
		}
		low = high
	}
	return Bound{low, math.Inf(1)}
}
