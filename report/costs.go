package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Costs is what runs cost, as a Markdown table by source: money that was
// really paid never stands in the same table as what a simulated pod's time
// would have cost.
func Costs(files []File) string {
	var b strings.Builder
	for _, s := range []struct {
		source Source
		title  string
		none   string
	}{
		{Measured, "Paid for", "No run on a rented GPU is committed yet."},
		{Simulated, "Simulated: what the pod's time would have cost; nothing was paid", "None is committed."},
		{Imported, "Taken over from the original lab's reports", ""},
	} {
		rows := costRows(files, s.source)
		if len(rows) == 0 && s.none == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "**%s**\n\n", s.title)
		if len(rows) == 0 {
			fmt.Fprintln(&b, s.none)
			continue
		}
		fmt.Fprintln(&b, "| model | hardware | benchmark | provider | price | pod time | cost |")
		fmt.Fprintln(&b, "| --- | --- | --- | --- | --- | --- | --- |")
		for _, row := range rows {
			fmt.Fprintln(&b, row)
		}
	}
	return b.String()
}

func costRows(files []File, source Source) []string {
	var rows []string
	for _, f := range files {
		r := f.Report
		if r.Source != source || r.PodCostUSD == nil {
			continue
		}
		var seconds float64
		for _, s := range r.Timeline {
			seconds += s.Seconds
		}
		var devs []string
		for _, l := range r.ByDevs {
			devs = append(devs, fmt.Sprint(l.Devs))
		}
		bench := r.Benchmark
		if len(devs) > 0 {
			bench += " (N=" + strings.Join(devs, ",") + ")"
		}
		if r.Truncated != "" {
			bench += ", truncated"
		}
		rows = append(rows, fmt.Sprintf("| %s-%s | %d × %s | %s | %s | $%.2f/h | %s | $%.2f |",
			inTable(r.Family), inTable(r.Quant), r.GPUCount, inTable(r.Hardware), inTable(bench), inTable(r.Provider), r.CostPerHour,
			time.Duration(seconds*float64(time.Second)).Round(time.Second), *r.PodCostUSD))
	}
	slices.Sort(rows)
	return rows
}
