package slo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxPage bounds a /metrics page; a real one is under 200 KB.
const maxPage = 16 << 20

// Parse reads a /metrics page in the Prometheus text format, as it stood at
// the given time. A page that is cut short, that lacks a series which a figure
// needs, or that contradicts itself is an error; nothing is read as zero that
// was not there.
func Parse(r io.Reader, at time.Time) (*Snapshot, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxPage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("slo: read metrics page: %w", err)
	case len(body) > maxPage:
		return nil, fmt.Errorf("slo: metrics page is longer than %d MiB: is this vLLM's /metrics?", maxPage>>20)
	case len(body) == 0:
		return nil, errors.New("slo: metrics page is empty: the server is still starting, or something else answers there")
	}
	// The colons in vLLM's names pass the legacy scheme; a zero TextParser
	// panics.
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("slo: metrics page of %d bytes is broken or cut short: %w", len(body), err)
	}
	p := page{families: families, engines: map[[2]string]*Engine{}}
	s, err := p.snapshot(at)
	if err != nil {
		return nil, fmt.Errorf("slo: metrics page: %w", err)
	}
	return s, nil
}

// page is a parsed page on its way to a Snapshot.
type page struct {
	families map[string]*dto.MetricFamily
	engines  map[[2]string]*Engine // by model_name, engine
}

func (p *page) snapshot(at time.Time) (*Snapshot, error) {
	s := &Snapshot{At: at}
	if err := p.readCounters(); err != nil {
		return nil, err
	}
	if err := p.readHistograms(); err != nil {
		return nil, err
	}
	if err := p.readGauges(s); err != nil {
		return nil, err
	}
	if len(p.engines) == 0 {
		return nil, errors.New(`no "vllm:" series on it: is this vLLM's /metrics?`)
	}
	for _, e := range p.engines {
		for _, id := range requiredCounters {
			if !e.counters[id].ok {
				return nil, missing(e, counterNames[id])
			}
		}
		for _, id := range requiredHistograms {
			if len(e.histograms[id].Cumulative) == 0 {
				return nil, missing(e, histogramNames[id])
			}
		}
		s.Engines = append(s.Engines, *e)
	}
	slices.SortFunc(s.Engines, Engine.compare)
	return s, nil
}

func missing(e *Engine, names []string) error {
	return fmt.Errorf("%s has no %s: the page was cut short, or this version of vLLM calls it otherwise",
		e.name(), strings.Join(names, " or "))
}

// first returns the family of the first name that is on the page.
func (p *page) first(names []string) (*dto.MetricFamily, bool) {
	for _, name := range names {
		if f, ok := p.families[name]; ok {
			return f, true
		}
	}
	return nil, false
}

// engine returns the engine that a series belongs to.
func (p *page) engine(m *dto.Metric) *Engine {
	key := [2]string{label(m, "model_name"), label(m, "engine")}
	e, ok := p.engines[key]
	if !ok {
		e = &Engine{Model: key[0], Label: key[1],
			finished: map[string]float64{}, bySource: map[string]float64{}, created: map[string]float64{}}
		p.engines[key] = e
	}
	return e
}

// each calls fn for every series of a family of single numbers, and refuses
// a series that stands there twice.
func each(f *dto.MetricFamily, fn func(*dto.Metric, float64)) error {
	seen := map[string]bool{}
	for _, m := range f.GetMetric() {
		var v float64
		switch {
		case m.Counter != nil:
			v = m.Counter.GetValue()
		case m.Gauge != nil:
			v = m.Gauge.GetValue()
		case m.Untyped != nil: // a counter of a page in OpenMetrics
			v = m.Untyped.GetValue()
		default:
			return fmt.Errorf("%s is a %s, want a single number", f.GetName(), f.GetType())
		}
		if math.IsNaN(v) || v < 0 || v > 1<<53 {
			return fmt.Errorf("%s%s is %v, want a number from 0 to 2^53", f.GetName(), labels(m), v)
		}
		if key := labels(m); seen[key] {
			return fmt.Errorf("%s%s stands there twice", f.GetName(), key)
		} else {
			seen[key] = true
		}
		fn(m, v)
	}
	return nil
}

func (p *page) readCounters() error {
	for id, names := range counterNames {
		f, ok := p.first(names)
		if !ok {
			continue
		}
		err := each(f, func(m *dto.Metric, v float64) { p.engine(m).counters[id].add(v) })
		if err != nil {
			return err
		}
		if err := p.readCreated(f.GetName()); err != nil {
			return err
		}
	}
	if f, ok := p.families[successName]; ok {
		err := each(f, func(m *dto.Metric, v float64) { p.engine(m).finished[label(m, "finished_reason")] += v })
		if err != nil {
			return err
		}
	}
	if f, ok := p.families[bySourceName]; ok {
		return each(f, func(m *dto.Metric, v float64) { p.engine(m).bySource[label(m, "source")] += v })
	}
	return nil
}

// readCreated reads when the series of a family were made: a change is a
// restart, even where every count has grown past its old value since.
func (p *page) readCreated(family string) error {
	name := strings.TrimSuffix(family, "_total") + "_created"
	f, ok := p.families[name]
	if !ok {
		return nil
	}
	return each(f, func(m *dto.Metric, v float64) { p.engine(m).created[name+labels(m)] = v })
}

func (p *page) readHistograms() error {
	for id, names := range histogramNames {
		f, ok := p.first(names)
		if !ok {
			continue
		}
		for _, m := range f.GetMetric() {
			h, err := histogram(m.GetHistogram())
			if err != nil {
				return fmt.Errorf("%s%s: %w", f.GetName(), labels(m), err)
			}
			e := p.engine(m)
			e.histograms[id] = e.histograms[id].plus(h)
		}
		if err := p.readCreated(f.GetName()); err != nil {
			return err
		}
	}
	return nil
}

// histogram checks one histogram of a page and takes it over.
func histogram(d *dto.Histogram) (Histogram, error) {
	switch {
	case d == nil:
		return Histogram{}, errors.New("not a histogram")
	case len(d.GetBucket()) == 0:
		return Histogram{}, errors.New("a histogram without buckets")
	case d.SampleSum == nil || d.SampleCount == nil && d.SampleCountFloat == nil:
		return Histogram{}, errors.New("no _sum or no _count: the page was cut short")
	case math.IsNaN(d.GetSampleSum()) || math.IsInf(d.GetSampleSum(), 0):
		return Histogram{}, fmt.Errorf("_sum is %v", d.GetSampleSum())
	}
	h := Histogram{Sum: d.GetSampleSum()}
	bound, sofar := 0.0, 0.0
	for _, b := range d.GetBucket() {
		upper, n := b.GetUpperBound(), float64(b.GetCumulativeCount())+b.GetCumulativeCountFloat()
		if !(upper > bound) || !(n >= sofar) || n > 1<<53 {
			return Histogram{}, fmt.Errorf("bucket le=%v counts %v after le=%v with %v: bounds must rise and counts must not fall",
				upper, n, bound, sofar)
		}
		bound, sofar = upper, n
		if !math.IsInf(upper, 1) {
			h.Bounds = append(h.Bounds, upper)
		}
		h.Cumulative = append(h.Cumulative, n)
	}
	count := float64(d.GetSampleCount()) + d.GetSampleCountFloat()
	if !math.IsInf(bound, 1) || count != sofar {
		return Histogram{}, fmt.Errorf("_count is %v, the last bucket le=%v counts %v: the page was cut short", count, bound, sofar)
	}
	return h, nil
}

func (p *page) readGauges(s *Snapshot) error {
	type gauge struct {
		names []string
		set   func(*dto.Metric, float64)
	}
	for _, g := range []gauge{
		{[]string{runningName}, func(m *dto.Metric, v float64) { p.engine(m).Running += v }},
		{[]string{waitingName}, func(m *dto.Metric, v float64) { p.engine(m).Waiting += v }},
		{kvUsageNames, func(m *dto.Metric, v float64) { p.engine(m).KVUsage = v }},
		{[]string{simulatedName}, func(_ *dto.Metric, v float64) { s.Simulated = s.Simulated || v != 0 }},
		{[]string{processStartName}, func(_ *dto.Metric, v float64) { s.processStart = v }},
		{[]string{mismatchName}, func(m *dto.Metric, v float64) {
			if s.Mismatches == nil {
				s.Mismatches = map[string]int{}
			}
			s.Mismatches[label(m, "phase")] += int(v)
		}},
	} {
		if f, ok := p.first(g.names); ok {
			if err := each(f, g.set); err != nil {
				return err
			}
		}
	}
	return nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// labels prints a series' labels in one order, for messages and as a key.
func labels(m *dto.Metric) string {
	pairs := make([]string, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ",") + "}"
}
