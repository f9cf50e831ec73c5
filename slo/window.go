package slo

import (
	"errors"
	"fmt"
	"time"
)

// A Window is what a server did between two scrapes: the difference per
// engine, summed over the engines. Token counts are the server's.
type Window struct {
	Start, End time.Time
	// Engines is how many engines the sums run over.
	Engines int
	// Simulated is set where either scrape says so.
	Simulated bool
	// Restarted is set where an engine started again inside the window. Its
	// part of the figures then begins at the restart, and Notes says so.
	Restarted bool

	PromptTokens, GenerationTokens int64
	// PrefixQueries and PrefixHits are what the prefix cache was asked for and
	// had: tokens, or blocks up to vLLM 0.8. Older servers count every attempt
	// to schedule a request, so the queries may exceed the prompt.
	PrefixQueries, PrefixHits int64
	// ComputedPromptTokens are the prompt tokens that no cache held, each
	// counted once, where the server says so itself; else nil.
	ComputedPromptTokens *int64
	Preemptions          int64
	// Drafts counts the steps of speculative decoding; 0 without it.
	Drafts int64
	// Finished counts requests by finished_reason: stop, length, abort, error.
	Finished map[string]int64
	// Mismatches counts, per phase, what a cassette's engine refused.
	Mismatches map[string]int

	// TTFT, ITL, E2E, Queue, Prefill and Decode are in seconds. ITL has one
	// observation per decode step of a request, not per token.
	TTFT, ITL, E2E, Queue, Prefill, Decode Histogram

	// Notes are sentences that a reader of the figures should see.
	Notes []string

	uncounted bool // an engine does not say what it computed
}

// Seconds is the window's length.
func (w *Window) Seconds() float64 { return w.End.Sub(w.Start).Seconds() }

// Delta returns what happened between two scrapes of one server.
//
// A restart shows as a changed _created or process_start_time_seconds, as a
// count that fell, or as an engine with other labels (another model was
// loaded). The newer scrape then holds all that is known, and is taken as it
// is. A series that was there before and is missing after, while its engine
// is still there, means a page cut short: an error.
func Delta(before, after *Snapshot) (*Window, error) {
	if before == nil || after == nil {
		return nil, errors.New("slo: delta needs a scrape before the level and one after it")
	}
	if !after.At.After(before.At) {
		return nil, fmt.Errorf("slo: delta: the later scrape is of %s, the earlier one of %s: are they swapped?",
			after.At.Format(time.RFC3339Nano), before.At.Format(time.RFC3339Nano))
	}
	w := &Window{
		Start: before.At, End: after.At, Engines: len(after.Engines),
		Simulated: before.Simulated || after.Simulated,
		Finished:  map[string]int64{},
	}
	reborn := before.processStart != 0 && after.processStart != 0 && before.processStart != after.processStart
	for _, e := range after.Engines {
		old, known := before.find(e)
		if !known {
			w.restarted("%s appeared inside the window; all that it counted is used", e.name())
			w.add(e)
			continue
		}
		d, decreased, err := e.minus(old)
		if err != nil {
			return nil, fmt.Errorf("slo: delta: %s: %w", e.name(), err)
		}
		if decreased || reborn || e.startedAgain(old) {
			w.restarted("%s restarted inside the window; what it did before is lost", e.name())
			d = e
		}
		w.add(d)
	}
	for _, old := range before.Engines {
		if _, still := after.find(old); !still {
			w.restarted("%s is gone at the end of the window; what it did is lost", old.name())
		}
	}
	if w.uncounted {
		w.ComputedPromptTokens = nil // the rest is not the whole
	}
	w.Mismatches = mismatches(before.Mismatches, after.Mismatches)
	return w, nil
}

func (w *Window) restarted(format string, args ...any) {
	w.Restarted = true
	w.Notes = append(w.Notes, fmt.Sprintf(format, args...))
}

// startedAgain compares the times at which the series were made.
func (e Engine) startedAgain(before Engine) bool {
	for series, t := range e.created {
		if old, ok := before.created[series]; ok && old != t {
			return true
		}
	}
	return false
}

// minus returns what e counted since before. decreased is set where a count
// fell, which a counter does only when it starts again.
func (e Engine) minus(before Engine) (d Engine, decreased bool, err error) {
	d = Engine{Model: e.Model, Label: e.Label}
	for id := range e.counters {
		now, old := e.counters[id], before.counters[id]
		if old.ok && !now.ok {
			return Engine{}, false, gone(counterNames[id][0])
		}
		decreased = decreased || now.v < old.v
		d.counters[id] = value{v: now.v - old.v, ok: now.ok}
	}
	for id := range e.histograms {
		if len(before.histograms[id].Cumulative) > 0 && len(e.histograms[id].Cumulative) == 0 {
			return Engine{}, false, gone(histogramNames[id][0])
		}
		h, fell, err := e.histograms[id].minus(before.histograms[id])
		if err != nil {
			return Engine{}, false, fmt.Errorf("%s: %w", histogramNames[id][0], err)
		}
		decreased = decreased || fell
		d.histograms[id] = h
	}
	var fell bool
	if d.finished, fell, err = minusAll(e.finished, before.finished, successName); err != nil {
		return Engine{}, false, err
	}
	decreased = decreased || fell
	if d.bySource, fell, err = minusAll(e.bySource, before.bySource, bySourceName); err != nil {
		return Engine{}, false, err
	}
	return d, decreased || fell, nil
}

func minusAll(now, old map[string]float64, name string) (map[string]float64, bool, error) {
	d, fell := map[string]float64{}, false
	for k := range old {
		if _, ok := now[k]; !ok {
			return nil, false, gone(fmt.Sprintf("%s for %q", name, k))
		}
	}
	for k, v := range now {
		d[k] = v - old[k]
		fell = fell || d[k] < 0
	}
	return d, fell, nil
}

func gone(series string) error {
	return fmt.Errorf("%s was on the earlier page and is not on the later one: the scrape was cut short, scrape again", series)
}

// add sums one engine's difference into the window.
func (w *Window) add(d Engine) {
	n := func(id counterID) int64 { return int64(d.counters[id].v) }
	w.PromptTokens += n(promptTokens)
	w.GenerationTokens += n(generationTokens)
	w.PrefixQueries += n(prefixQueries)
	w.PrefixHits += n(prefixHits)
	w.Preemptions += n(preemptions)
	w.Drafts += n(drafts)
	for reason, v := range d.finished {
		w.Finished[reason] += int64(v)
	}
	if computed, ok := d.computedPrompt(); ok {
		if w.ComputedPromptTokens == nil {
			w.ComputedPromptTokens = new(int64)
		}
		*w.ComputedPromptTokens += computed
	} else {
		w.uncounted = true
	}
	for id, h := range map[histogramID]*Histogram{ttftSeconds: &w.TTFT, itlSeconds: &w.ITL, e2eSeconds: &w.E2E,
		queueSeconds: &w.Queue, prefillSeconds: &w.Prefill, decodeSeconds: &w.Decode} {
		*h = h.plus(d.histograms[id])
	}
}

// computedPrompt is the prompt tokens that the server itself says it computed:
// by source, or prompt less cached, both only on newer servers. vLLM counts
// them once per request, at its first token. More cached than there was is no
// count to go by.
func (e Engine) computedPrompt() (int64, bool) {
	if v, ok := e.bySource[localCompute]; ok {
		return int64(v), true
	}
	if c := e.counters[promptCached]; c.ok && c.v <= e.counters[promptTokens].v {
		return int64(e.counters[promptTokens].v - c.v), true
	}
	return 0, false
}

// mismatches subtracts per phase; a phase that fell started again.
func mismatches(before, after map[string]int) map[string]int {
	d := map[string]int{}
	for phase, n := range after {
		if old := before[phase]; n >= old {
			n -= old
		}
		if n > 0 {
			d[phase] = n
		}
	}
	return d
}
