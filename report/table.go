package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/x/dail/slo"
)

// Table writes the report for a person, for a screen of 80 columns: the answer in
// a sentence, a row per team size, what there is to say of them, and the timeline
// with what it cost. Colours are used where w is a
// terminal and the environment's NO_COLOR is not set.
func Table(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, Text(r, colours(w, os.Getenv)))
	return err
}

// colours decides whether to write colours to w.
func colours(w io.Writer, env func(string) string) bool {
	if env("NO_COLOR") != "" || env("TERM") == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// Text is what Table writes, with or without colours.
func Text(r *Report, colour bool) string {
	v := &view{colour: colour}
	v.header(r)
	v.prose("%s", v.paint(bold, Answer(r)))
	if r.Capacity != nil {
		v.prose("%s", r.Capacity.sentence(r.Source))
	}
	v.line("")
	if len(r.ByDevs) > 0 || r.Baseline != nil {
		v.levels(r)
	}
	v.remarks(r)
	v.money(r)
	v.timeline(r)
	return strings.TrimRight(v.b.String(), "\n") + "\n"
}

// view builds the text.
type view struct {
	b      strings.Builder
	colour bool
}

func (v *view) line(format string, args ...any) {
	fmt.Fprintf(&v.b, format, args...)
	v.b.WriteByte('\n')
}

// Colours of a cell: the escape's number.
const (
	plain  = 0
	bold   = 1
	red    = 31
	green  = 32
	yellow = 33
)

func (v *view) paint(code int, s string) string {
	if !v.colour || code == plain {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, s)
}

// label is how figures that were not measured by us are called, "" for those
// that were.
func label(s Source) string {
	if s == Measured {
		return ""
	}
	if s == "" {
		return "source unknown"
	}
	return string(s)
}

func (v *view) header(r *Report) {
	title := fmt.Sprintf("%s/%s × %s × %dgpu", r.Family, r.Quant, r.Hardware, r.GPUCount)
	head := v.paint(bold, title)
	if l := label(r.Source); l != "" {
		head += "   " + v.paint(yellow, strings.ToUpper(l))
	}
	v.line("%s", head)
	price := fmt.Sprintf("$%.2f/h", r.CostPerHour)
	if r.PriceSource != "" {
		price += " (" + r.PriceSource + ")"
	}
	v.prose("%s, run %s, %s", r.Benchmark, r.RunID, price)
	v.line("")
}

// cell is a table's cell.
type cell struct {
	text   string
	colour int
}

func (v *view) levels(r *Report) {
	rows := [][]cell{{{text: "devs"}, {text: "holds"}, {text: "$/dev-mo"}, {text: "tok/s"}, {text: "p50 (bounds)"},
		{text: "TTFT p50"}, {text: "1st byte"}, {text: "valid"}}}
	if r.Baseline != nil {
		rows = append(rows, row("base", *r.Baseline))
	}
	for _, l := range r.ByDevs {
		rows = append(rows, row(fmt.Sprint(l.Devs), l))
	}
	v.table(rows)
	v.line("")
}

// row is a level's row; "–" is what was not measured.
func row(name string, l Level) []cell {
	passed := 0
	for _, a := range l.Agents {
		if a.Passed {
			passed++
		}
	}
	gates := "–"
	if len(l.Agents) > 0 {
		gates = fmt.Sprintf("%d/%d", passed, len(l.Agents))
	}
	switch l.Gates {
	case GatesPending:
		gates = "pending"
	case GatesSkipped: // the agents were stopped: there is no work to judge
		gates = "–"
	}
	firstByte := "–"
	if l.Perceived != nil && l.Perceived.FirstByte != nil {
		firstByte = fmt.Sprintf("%.2f s", l.Perceived.FirstByte.P50)
	}
	return []cell{
		{text: name}, holds(l), {text: fmt.Sprintf("%.0f", l.CostPerDevMonth)},
		{text: value("%.1f", l.MeanTPS)}, {text: value("%.1f", l.MedianTPS) + within(l.Bounds["median_tps"])},
		{text: value("%.2f s", l.MedianTTFT)}, {text: firstByte}, valid(l, gates),
	}
}

func holds(l Level) cell {
	c := cell{text: "NO", colour: red}
	if l.HoldsSLO {
		c = cell{text: "yes", colour: green}
	}
	if l.uncertain() {
		c = cell{text: c.text + " ?", colour: yellow}
	}
	return c
}

// uncertain is set where a verdict rests on figures that could be otherwise
// within their bounds; one that rests on an invalid level, or on no figures,
// does not. The original's files say nothing about it.
func (l Level) uncertain() bool {
	return !l.HoldsSLOCertain && len(l.Bounds) > 0 && (l.Valid == nil || *l.Valid)
}

// valid says whether the load was real, and how many agents passed the gates.
func valid(l Level, gates string) cell {
	switch {
	case l.Gates == GatesSkipped:
		return cell{text: "–"}
	case l.Valid == nil:
		return cell{text: "pending", colour: yellow}
	case *l.Valid:
		return cell{text: "ok " + gates, colour: green}
	}
	return cell{text: "BAD " + gates, colour: red}
}

func value(format string, v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf(format, *v)
}

// within prints a quantile's bounds, " (20–40)"; "" where there are none.
func within(b Bound) string {
	switch {
	case b == Bound{}:
		return ""
	case math.IsInf(b.High, 1):
		return fmt.Sprintf(" (%s up)", short(b.Low))
	}
	return fmt.Sprintf(" (%s–%s)", short(b.Low), short(b.High))
}

// short prints a bound with at most one decimal.
func short(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// table prints rows in columns; the first row is their heads. Numbers and
// heads are right-aligned, as all columns here hold figures or short words.
func (v *view) table(rows [][]cell) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len([]rune(c.text)))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(strings.Repeat(" ", widths[i]-len([]rune(c.text))))
			line.WriteString(v.paint(c.colour, c.text))
		}
		v.line("%s", line.String())
	}
}

// remarks are the sentences below the table.
func (v *view) remarks(r *Report) {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if slices.ContainsFunc(r.ByDevs, Level.uncertain) {
		say("? the verdict could be the other one within the bounds of the server's histograms")
	}
	for _, l := range r.ByDevs {
		switch {
		case l.Valid != nil && !*l.Valid:
			say("%d: BAD, %s", l.Devs, reason(l))
		case l.Verdict != "" && (!l.HoldsSLO || l.uncertain()): // else the row says it all
			say("%d: %s", l.Devs, l.Verdict)
		}
		if l.Stopped != "" {
			say("%d: its agents were stopped: %s", l.Devs, l.Stopped)
		}
		if d := l.Delivered; d != nil && d.Failed > 0 {
			say("%d: %d of its agents ended before their work was done; %.1f were at work on average", l.Devs, d.Failed, d.ActiveMean)
		}
		if p := l.Repeats; p != nil {
			say("%d: the mean of %d repeats%s", l.Devs, p.Count, p.varied())
		}
		if l.Harness != nil && l.Harness.Limited {
			say("%d: this machine, not the GPU, set the pace: %s", l.Devs, l.Harness.Reason)
		}
		if s := gatewaySaw(l.Perceived); s != "" {
			say("%d: %s", l.Devs, s)
		}
		for _, n := range l.Notes {
			say("%d: %s", l.Devs, n)
		}
	}
	if t := r.ThetaMax; t != nil {
		say("%s", t.sentence())
		if u := r.utilized(); u != "" {
			say("%s", u)
		}
		for _, n := range t.Notes {
			say("Θmax: %s", n)
		}
	}
	if r.Truncated != "" {
		why := r.TruncatedReason
		if why == "" {
			why = r.Truncated
		}
		say("%s", v.paint(red, "TRUNCATED: ")+why)
	}
	for _, s := range said {
		v.prose("%s", s)
	}
	if len(said) > 0 {
		v.line("")
	}
}

// gatewaySaw says what the gateway noticed of a level's requests: what it
// mended, what was sent twice, and how much of the prompts a prefix cache could
// have known.
func gatewaySaw(p *slo.Perceived) string {
	if p == nil {
		return ""
	}
	var saw []string
	if p.Repairs > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(p.RepairKinds)) {
			kinds = append(kinds, fmt.Sprintf("%s %d", kind, p.RepairKinds[kind]))
		}
		saw = append(saw, fmt.Sprintf("%d of %d answers repaired (%s)", p.Repairs, p.Requests, strings.Join(kinds, ", ")))
	}
	if p.Retries > 0 {
		saw = append(saw, fmt.Sprintf("%d of %d requests were sent again by the client", p.Retries, p.Requests))
	}
	if p.OwnPrefix > 0 || p.SharedPrefix > 0 {
		saw = append(saw, fmt.Sprintf("of the prompts' bytes, the agent itself had sent %.0f %% before and another agent %.0f %%", 100*p.OwnPrefix, 100*p.SharedPrefix))
	}
	return strings.Join(saw, "; ")
}

func reason(l Level) string {
	if l.InvalidReason == "" {
		return "the load was not real"
	}
	return l.InvalidReason
}

func (v *view) timeline(r *Report) {
	if len(r.Timeline) == 0 {
		return
	}
	title := "Timeline (billed pod time)"
	if r.Source == Simulated || r.Source == Forecast {
		title = "Timeline (" + costBasis(r.Source) + ")"
	}
	v.line("%s", title)
	var rows [][]cell
	steps := 0
	for _, s := range r.Timeline {
		steps = max(steps, len([]rune(s.Label)))
	}
	for _, s := range r.Timeline {
		pad := strings.Repeat(" ", steps-len([]rune(s.Label)))
		rows = append(rows, []cell{{text: "  " + s.Label + pad}, {text: duration(s.Seconds)}, {text: fmt.Sprintf("$%.3f", s.CostUSD)}})
	}
	if r.PodCostUSD != nil {
		pad := strings.Repeat(" ", max(0, steps-len("pod")))
		var seconds float64
		for _, s := range r.Timeline {
			seconds += s.Seconds
		}
		rows = append(rows, []cell{{text: "  pod" + pad, colour: bold}, {text: duration(seconds)}, {text: fmt.Sprintf("$%.3f", *r.PodCostUSD), colour: bold}})
	}
	v.table(rows)
	switch n := len(r.Sessions); {
	case n > 1:
		v.prose("  on %d servers, one after the other: %s", n, r.served())
	case n == 1 && r.Sessions[0].Ended != "":
		v.prose("  on one server: %s", r.served())
	}
	v.line("")
}

// served says what each session cost, and why it ended.
func (r *Report) served() string {
	var said []string
	for _, s := range r.Sessions {
		text := fmt.Sprintf("%s for $%.3f", duration(s.Seconds), s.CostUSD)
		if s.Ended != "" {
			text += " (" + s.Ended + ")"
		}
		said = append(said, text)
	}
	return strings.Join(said, ", ")
}

// duration prints seconds as 7s, 5m12s, 1h02m.
func duration(seconds float64) string {
	d := time.Duration(math.Round(seconds)) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}
