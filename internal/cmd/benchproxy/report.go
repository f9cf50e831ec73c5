package main

import (
	"fmt"
	"io"
	"runtime"
	"time"
)

// A report is everything that was measured; the last line of the output.
type report struct {
	Bench           string      `json:"bench"`
	Date            time.Time   `json:"date"`
	WallS           float64     `json:"wall_s"`
	Quick           bool        `json:"quick,omitempty"`
	Machine         machine     `json:"machine"`
	BodyBytes       int         `json:"body_bytes"`
	UpstreamDelayMS float64     `json:"upstream_delay_ms"`
	Rounds          int         `json:"rounds"`
	SliceS          float64     `json:"slice_s"`
	Rows            []row       `json:"rows"`
	Soak            *soakResult `json:"soak,omitempty"`
	Long            *longResult `json:"long,omitempty"`
	Targets         []target    `json:"targets"`
	// Errors counts requests that failed, of all parts.
	Errors int  `json:"errors"`
	Pass   bool `json:"pass"`
}

type machine struct {
	OS              string  `json:"os"`
	Arch            string  `json:"arch"`
	Cores           int     `json:"cores"`
	Go              string  `json:"go"`
	CPUShare        float64 `json:"cpu_share"`
	TimerDelayP99MS float64 `json:"timer_delay_p99_ms"`
}

// A row is a path at a concurrency.
type row struct {
	Path        string  `json:"path"`
	Concurrency int     `json:"concurrency"`
	Requests    int     `json:"requests"`
	Errors      int     `json:"errors"`
	PerSecond   float64 `json:"requests_per_s"`
	P50MS       float64 `json:"p50_ms"`
	P99MS       float64 `json:"p99_ms"`
	// Above the path "direct"; 0 for that path itself.
	AddedP50MS float64 `json:"added_p50_ms"`
	AddedP99MS float64 `json:"added_p99_ms"`
	// Above the path "copy", where both were run: what the gateway itself takes.
	OverCopy *added `json:"over_copy,omitempty"`
	// Per request, of the path's own process; 0 where it has none or where it
	// cannot be known.
	CPUS       float64 `json:"cpu_s_per_request"`
	Allocs     float64 `json:"allocs_per_request"`
	AllocBytes float64 `json:"alloc_bytes_per_request"`
	RSSMB      float64 `json:"rss_mb"` // the highest; 10^6 bytes
	FirstError string  `json:"first_error,omitempty"`
}

// added is the difference to another path's figures.
type added struct {
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
}

// A target is what the gateway must reach.
type target struct {
	Name   string  `json:"name"`
	Figure float64 `json:"figure"`
	Limit  float64 `json:"limit"`
	// Judged is false where a quick run's figures mean nothing.
	Judged bool `json:"judged"`
	Pass   bool `json:"pass"`
}

func newReport(o options, began time.Time) *report {
	return &report{
		Bench: "proxy", Date: began.UTC().Truncate(time.Second), Quick: o.quick, Rounds: o.rounds, SliceS: o.slice.Seconds(),
		BodyBytes: o.bodyBytes, UpstreamDelayMS: ms(o.delay), Targets: []target{},
		Machine: machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()},
	}
}

// The targets are for this many requests at the same time.
const judgedConcurrency = 8

// The limits.
const (
	maxAddedMS    = 0.3 // native's p50 above copy's
	maxP99Ratio   = 1.5 // native's p99 to copy's
	minLiteLLM    = 20  // LiteLLM's added p50 to native's, both above direct
	smallestAdded = 0.001
)

// judge decides the targets and counts the errors.
func (rep *report) judge(o options) {
	at := map[string]row{}
	for _, r := range rep.Rows {
		rep.Errors += r.Errors
		if r.Concurrency == judgedConcurrency {
			at[r.Path] = r
		}
	}
	native, isNative := at["native"]
	copied, isCopy := at["copy"]
	if isNative && isCopy {
		rep.atMost("native's p50 above copy's at 8 at once, ms", native.OverCopy.P50MS, maxAddedMS)
		rep.atMost("native's p99 as a multiple of copy's at 8 at once", native.P99MS/copied.P99MS, maxP99Ratio)
	}
	if l, ok := at["litellm"]; ok && isNative {
		figure := l.AddedP50MS / max(native.AddedP50MS, smallestAdded)
		rep.target("LiteLLM's added p50 as a multiple of native's at 8 at once", figure, minLiteLLM, figure >= minLiteLLM)
	}
	if s := rep.Soak; s != nil {
		rep.Errors += s.Errors
		if s.RSS[0] > 0 {
			rep.atMost("soak: rise of resident memory over the last half", s.RSSRise, soakRise)
		}
		rep.atMost("soak: rise of the heap over the last half", s.HeapRise, soakRise)
	}
	if l := rep.Long; l != nil {
		for _, failed := range []bool{l.Error != "", l.Claude != nil && l.Claude.Error != "", l.UpstreamRequests != l.clients()} {
			if failed {
				rep.Errors++
			}
		}
		rep.atMost("long: silence of the stream, s", l.LongestSilence, longestSilence.Seconds())
	}
	rep.Pass = rep.Errors == 0
	for i := range rep.Targets {
		t := &rep.Targets[i]
		t.Judged = !o.quick
		rep.Pass = rep.Pass && (t.Pass || !t.Judged)
	}
}

func (rep *report) atMost(name string, figure, limit float64) {
	rep.target(name, figure, limit, figure <= limit)
}

func (rep *report) target(name string, figure, limit float64, pass bool) {
	rep.Targets = append(rep.Targets, target{Name: name, Figure: figure, Limit: limit, Pass: pass})
}

// print writes the table for people.
func (rep *report) print(w io.Writer) {
	fmt.Fprintf(w, "%d bytes a request, the server answers after %g ms; %d rounds of %g s; %s/%s, %d cores, %.0f %% busy\n\n",
		rep.BodyBytes, rep.UpstreamDelayMS, rep.Rounds, rep.SliceS, rep.Machine.OS, rep.Machine.Arch, rep.Machine.Cores, 100*rep.Machine.CPUShare)
	fmt.Fprintf(w, "%-9s %4s %8s %8s %8s %8s %17s %17s %8s %8s %8s %8s %6s\n", "path", "at", "requests", "per s", "p50 ms", "p99 ms",
		"+direct p50/p99", "+copy p50/p99", "CPU ms", "RSS MB", "allocs", "kB", "errors")
	for _, r := range rep.Rows {
		fmt.Fprintf(w, "%-9s %4d %8d %8.1f %8.2f %8.2f %17s %17s %8.3f %8.1f %8.0f %8.1f %6d\n", r.Path, r.Concurrency, r.Requests, r.PerSecond, r.P50MS, r.P99MS,
			&added{r.AddedP50MS, r.AddedP99MS}, r.OverCopy, 1000*r.CPUS, r.RSSMB, r.Allocs, r.AllocBytes/1e3, r.Errors)
		if r.FirstError != "" {
			fmt.Fprintf(w, "          first error: %s\n", r.FirstError)
		}
	}
	if s := rep.Soak; s != nil {
		last := len(s.RSS) - 1
		fmt.Fprintf(w, "\nsoak: %d requests, %.0f per s, %d errors %s\n      resident %.1f -> %.1f MB, heap %.1f -> %.1f MB after collection; over the last half %+.1f %% and %+.1f %%\n",
			s.Requests, s.PerSecond, s.Errors, s.FirstError, s.RSS[0]/1e6, s.RSS[last]/1e6, s.HeapInUse[0]/1e6, s.HeapInUse[last]/1e6, 100*s.RSSRise, 100*s.HeapRise)
	}
	if l := rep.Long; l != nil {
		fmt.Fprintf(w, "\nlong: an answer of %.1f s took %.1f s, %d pings, at most %.1f s of silence; the server was asked %d times %s\n",
			l.AskedS, l.TookS, l.Pings, l.LongestSilence, l.UpstreamRequests, l.Error)
		if c := l.Claude; c != nil {
			fmt.Fprintf(w, "      Claude Code took %.1f s %s\n", c.TookS, c.Error)
		}
	}
	fmt.Fprintln(w)
	for _, t := range rep.Targets {
		verdict := "FAIL"
		switch {
		case !t.Judged:
			verdict = "----"
		case t.Pass:
			verdict = "pass"
		}
		fmt.Fprintf(w, "%s  %s: %.3g (limit %g)\n", verdict, t.Name, t.Figure, t.Limit)
	}
	if rep.Errors > 0 {
		fmt.Fprintf(w, "FAIL  %d errors\n", rep.Errors)
	}
}

// String is the two differences, or nothing for a path that has none.
func (a *added) String() string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%.3f/%.3f", a.P50MS, a.P99MS)
}
