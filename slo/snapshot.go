package slo

import (
	"cmp"
	"slices"
	"time"
)

// A Snapshot is one scrape of a server's /metrics: everything counted since
// the server started. It is made by [Parse] or [Scrape].
type Snapshot struct {
	// At is when the page was read.
	At time.Time
	// Simulated is set where the server says that it is dail's own engine
	// (gauge dail_simulated 1).
	Simulated bool
	// Engines are the server's engines: one, or one per data-parallel rank.
	Engines []Engine
	// Mismatches counts, per phase, the requests that a cassette's engine
	// refused to play on over (dail_cassette_mismatches_total).
	Mismatches map[string]int

	// processStart is process_start_time_seconds, 0 where it is not shown.
	processStart float64
}

// Engine is one engine of a server: what carries the same model_name and
// engine labels.
type Engine struct {
	// Model is the served model's name; Label is the engine's number as text,
	// empty on servers that do not number them.
	Model, Label string
	// Running, Waiting and KVUsage (0 to 1) are the gauges at this moment.
	Running, Waiting, KVUsage float64

	counters   [numCounters]value
	histograms [numHistograms]Histogram // without Cumulative: not on the page
	finished   map[string]float64       // by finished_reason
	bySource   map[string]float64       // prompt tokens, by source
	created    map[string]float64       // unix seconds, by series
}

// value is a number that may not have been on the page.
type value struct {
	v  float64
	ok bool
}

// add counts one more series into v.
func (v *value) add(x float64) { v.v, v.ok = v.v+x, true }

func (e Engine) compare(o Engine) int {
	return cmp.Or(cmp.Compare(e.Model, o.Model), cmp.Compare(e.Label, o.Label))
}

// name is how an engine is called in messages.
func (e Engine) name() string {
	if e.Label == "" {
		return "engine of " + e.Model
	}
	return "engine " + e.Label + " of " + e.Model
}

// find returns the engine with the labels of e.
func (s *Snapshot) find(e Engine) (Engine, bool) {
	i, ok := slices.BinarySearchFunc(s.Engines, e, Engine.compare)
	if !ok {
		return Engine{}, false
	}
	return s.Engines[i], true
}
