package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// column is one of the CSV's. Units are in the name, where it has one.
type column struct {
	name string
	of   func(r *Report, l Level) string
}

func text(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return text(*v)
}

func flag(v *bool) string {
	if v == nil {
		return ""
	}
	return strconv.FormatBool(*v)
}

// words is a column of texts. Some of them come from others, and a spreadsheet
// would run one that begins like a formula; an apostrophe makes it a text there.
func words(of func(*Report, Level) string) func(*Report, Level) string {
	return func(r *Report, l Level) string {
		s := of(r, l)
		if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
			return "'" + s
		}
		return s
	}
}

// inTable is a text in a cell of a Markdown table.
var inTable = strings.NewReplacer("|", `\|`, "\r\n", " ", "\n", " ", "\r", " ").Replace

// columns of WriteCSV, in their order. They only ever grow at the end.
func columns() []column {
	bound := func(key string, high bool) func(*Report, Level) string {
		return func(_ *Report, l Level) string {
			b, ok := l.Bounds[key]
			switch {
			case !ok:
				return ""
			case !high:
				return text(b.Low)
			}
			return optional(number(b.High))
		}
	}
	return []column{
		{"run_id", words(func(r *Report, _ Level) string { return r.RunID })},
		{"source", words(func(r *Report, _ Level) string { return string(r.Source) })},
		{"benchmark", words(func(r *Report, _ Level) string { return r.Benchmark })},
		{"family", words(func(r *Report, _ Level) string { return r.Family })},
		{"quant", words(func(r *Report, _ Level) string { return r.Quant })},
		{"model", words(func(r *Report, _ Level) string { return r.Model })},
		{"hardware", words(func(r *Report, _ Level) string { return r.Hardware })},
		{"gpu_count", func(r *Report, _ Level) string { return strconv.Itoa(r.GPUCount) }},
		{"provider", words(func(r *Report, _ Level) string { return r.Provider })},
		{"price_usd_per_gpu_hour", func(r *Report, _ Level) string { return text(r.PriceUSDPerGPUHour) }},
		{"slo_max_ttft_s", func(r *Report, _ Level) string { return text(r.SLO.MaxTTFT) }},
		{"slo_min_tps", func(r *Report, _ Level) string { return text(r.SLO.MinTPS) }},
		{"slo_percentile", words(func(r *Report, l Level) string { return cmp.Or(l.SLOPercentile, r.SLO.Percentile, "p50") })},
		{"devs", func(_ *Report, l Level) string { return strconv.Itoa(l.Devs) }},
		{"holds_slo", func(_ *Report, l Level) string { return strconv.FormatBool(l.HoldsSLO) }},
		{"holds_slo_certain", func(_ *Report, l Level) string { return strconv.FormatBool(l.HoldsSLOCertain) }},
		{"valid", func(_ *Report, l Level) string { return flag(l.Valid) }},
		{"agents_ok", func(_ *Report, l Level) string { return strconv.Itoa(l.AgentsOK) }},
		{"cost_per_dev_month_usd", func(_ *Report, l Level) string { return text(l.CostPerDevMonth) }},
		{"mean_tps", func(_ *Report, l Level) string { return optional(l.MeanTPS) }},
		{"median_tps", func(_ *Report, l Level) string { return optional(l.MedianTPS) }},
		{"median_tps_low", bound("median_tps", false)},
		{"median_tps_high", bound("median_tps", true)},
		{"p90_tps", func(_ *Report, l Level) string { return optional(l.P90TPS) }},
		{"median_ttft_s", func(_ *Report, l Level) string { return optional(l.MedianTTFT) }},
		{"median_ttft_low_s", bound("median_ttft", false)},
		{"median_ttft_high_s", bound("median_ttft", true)},
		{"p90_ttft_s", func(_ *Report, l Level) string { return optional(l.P90TTFT) }},
		{"e2e_p50_s", func(_ *Report, l Level) string { return optional(l.E2EP50) }},
		{"tokens_per_dev", func(_ *Report, l Level) string { return strconv.FormatInt(l.TokensPerDev, 10) }},
		{"tokens_per_hour", func(_ *Report, l Level) string { return optional(l.TokensPerHour) }},
		{"cost_per_mtok_usd", func(_ *Report, l Level) string { return optional(l.CostPerMTok) }},
		{"cost_per_mtok_output_usd", func(_ *Report, l Level) string { return optional(l.CostPerMTokOutput) }},
		{"prefix_cache_hit_rate", func(_ *Report, l Level) string { return optional(l.PrefixCacheHitRate) }},
		{"utilization", func(_ *Report, l Level) string { return optional(l.Utilization) }},
		{"truncated", words(func(r *Report, _ Level) string { return r.Truncated })},
		{"verdict", words(func(_ *Report, l Level) string { return l.Verdict })},
		{"hours_per_month", func(r *Report, _ Level) string { return text(r.hours()) }},
	}
}

// WriteCSV writes every level of every run, a line each, in the order of files, as
// its report has it: at its own run's price, for its own hours per month. What was not measured is empty; a bound that is not known is, too. Units stand
// in the columns' names: s, USD, else tokens/s, or 0 to 1. A text that a
// spreadsheet could take for a formula has an apostrophe before it.
func WriteCSV(w io.Writer, files []File) error {
	cols := columns()
	out := csv.NewWriter(w)
	head := make([]string, len(cols))
	for i, c := range cols {
		head[i] = c.name
	}
	out.Write(head)
	for _, f := range files {
		for _, l := range f.Report.ByDevs {
			row := make([]string, len(cols))
			for i, c := range cols {
				row[i] = c.of(f.Report, l)
			}
			out.Write(row)
		}
	}
	out.Flush()
	return out.Error()
}

// Markdown writes the answers, a table per benchmark, the cheapest first. Every
// row says where its figures come from, and by which limits they were judged; its
// money is as [Combine] has it.
func Markdown(w io.Writer, files []File) error {
	var b strings.Builder
	all := Combine(files)
	for i, c := range all {
		if i > 0 && all[i-1].Benchmark == c.Benchmark {
			continue
		}
		var same []Combined
		for _, o := range all {
			if o.Benchmark == c.Benchmark {
				same = append(same, o)
			}
		}
		fmt.Fprintf(&b, "## %s\n\nA month has %g hours; a row goes by the price of its latest run.\n\n| hardware | model | source | SLO | holds for | $/dev-month | tok/s (bounds) | TTFT | certain | runs |\n| --- | --- | --- | --- | --: | --: | --: | --: | --- | --- |\n", inTable(c.Benchmark), c.Hours)
		for _, o := range Rank(same) {
			b.WriteString(o.row())
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row is a combination's in Markdown.
func (c Combined) row() string {
	ids := make([]string, len(c.Files))
	for i, f := range c.Files {
		ids[i] = inTable(f.Report.RunID)
	}
	lead := fmt.Sprintf("| %d × %s | %s/%s | %s | %s: %g s, %g tok/s |", c.GPUs, inTable(c.Hardware), inTable(c.Family), inTable(c.Quant),
		inTable(cmp.Or(string(c.Source), "unknown")), inTable(c.SLO.Percentile), c.SLO.MaxTTFT, c.SLO.MinTPS)
	l, ok := c.Best()
	if !ok {
		return fmt.Sprintf("%s none | – | – | – | – | %s |\n", lead, strings.Join(ids, ", "))
	}
	team, certain := strconv.Itoa(l.Devs), "yes"
	if l.provisional() {
		team += " (provisional: gates pending)"
	}
	if !l.HoldsSLOCertain {
		certain = "no"
	}
	speed := value("%.1f", l.MedianTPS)
	if b, ok := l.Bounds["median_tps"]; ok {
		speed += within(b)
	}
	return fmt.Sprintf("%s %s | %.2f | %s | %s | %s | %s |\n", lead, team, l.CostPerDevMonth, speed, value("%.2f s", l.MedianTTFT), certain, strings.Join(ids, ", "))
}
