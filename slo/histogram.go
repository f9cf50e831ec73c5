package slo

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Histogram is a classic Prometheus histogram, or the difference of two. The
// zero value has seen nothing.
type Histogram struct {
	// Bounds are the finite upper bounds of the buckets, ascending and above 0,
	// as those of durations and token counts are. A last bucket without an
	// upper bound follows them.
	Bounds []float64
	// Cumulative[i] counts the observations ≤ Bounds[i]; its last element, one
	// more than there are bounds, counts them all.
	Cumulative []float64
	// Sum is the sum of the observations, exact, in their unit.
	Sum float64
}

// Count is the number of observations.
func (h Histogram) Count() float64 {
	if len(h.Cumulative) == 0 {
		return 0
	}
	return h.Cumulative[len(h.Cumulative)-1]
}

// Mean is the exact mean, sum ÷ count; false where nothing was observed.
func (h Histogram) Mean() (float64, bool) {
	if h.Count() <= 0 {
		return 0, false
	}
	return h.Sum / h.Count(), true
}

// A Quantile is what a histogram knows of a quantile: the true value v lies in
// Low < v ≤ High, the bounds of the bucket it fell into, and Value is the
// linear interpolation between them, as Prometheus' histogram_quantile gives
// it. High is +Inf in the last bucket. The zero Quantile means that nothing
// was observed.
type Quantile struct {
	Value, Low, High float64
}

// Measured reports whether there was anything to take a quantile of.
func (q Quantile) Measured() bool { return q.High > 0 }

// MarshalJSON writes {"value":…,"low":…,"high":…}; an infinite bound is null,
// and so is the whole of a quantile that was not measured.
func (q Quantile) MarshalJSON() ([]byte, error) {
	if !q.Measured() {
		return []byte("null"), nil
	}
	return json.Marshal(struct {
		Value float64  `json:"value"`
		Low   float64  `json:"low"`
		High  *float64 `json:"high"`
	}{q.Value, q.Low, finite(q.High)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (q *Quantile) UnmarshalJSON(b []byte) error {
	var v *struct {
		Value float64  `json:"value"`
		Low   float64  `json:"low"`
		High  *float64 `json:"high"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("slo: quantile: %w", err)
	}
	*q = Quantile{}
	if v != nil {
		*q = Quantile{Value: v.Value, Low: v.Low, High: math.Inf(1)}
		if v.High != nil {
			q.High = *v.High
		}
	}
	return nil
}

func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}

// Quantile returns the q-quantile of the observations, nearest rank, with the
// bounds of its bucket. The value is Prometheus' (promql BucketQuantile): the
// rank q·n is placed linearly between the bucket's bounds. Special cases:
//
//   - nothing observed, or q is not within [0, 1]: the zero Quantile
//   - the rank is in the last, unbounded bucket: the highest finite bound, and
//     High is +Inf
//   - there is no finite bound at all: the mean, Low 0, High +Inf
//   - the first bucket begins at 0
//   - q = 0 is the lower bound of the first bucket that holds anything
func (h Histogram) Quantile(q float64) Quantile {
	n := h.Count()
	if n <= 0 || !(q >= 0 && q <= 1) {
		return Quantile{}
	}
	rank := q * n
	// The bucket of the ⌈rank⌉-th observation. Counts are whole numbers, so the
	// first bucket whose cumulative count reaches rank is also the one that
	// reaches ⌈rank⌉. At q = 0 that must not be an empty bucket.
	b := slices.IndexFunc(h.Cumulative, func(c float64) bool { return c >= rank && c > 0 })
	if len(h.Bounds) == 0 {
		return Quantile{Value: h.Sum / n, High: math.Inf(1)}
	}
	if b == len(h.Bounds) {
		last := h.Bounds[b-1]
		return Quantile{Value: last, Low: last, High: math.Inf(1)}
	}
	var low, below float64
	if b > 0 {
		low, below = h.Bounds[b-1], h.Cumulative[b-1]
	}
	high := h.Bounds[b]
	share := max(rank-below, 0) / (h.Cumulative[b] - below)
	return Quantile{Value: min(low+(high-low)*share, high), Low: low, High: high}
}

// speed turns a quantile of seconds per step into one of tokens per second, at
// perStep tokens a step. The 0.9-quantile of the latency becomes the speed that
// nine tenths of the steps reach: the slow end.
//
// With more than a token a step (speculative decoding) the speed of one step is
// not known, only that it made at least one token; so the upper bound goes.
func speed(latency Quantile, perStep float64) Quantile {
	if !latency.Measured() || latency.Value <= 0 {
		return Quantile{}
	}
	s := Quantile{Value: perStep / latency.Value, Low: 1 / latency.High, High: 1 / latency.Low}
	if perStep > 1 {
		s.High = math.Inf(1)
	}
	return s
}

// minus returns h - before, which must have the same buckets. decreased is set
// where a count went down: the server started again.
func (h Histogram) minus(before Histogram) (d Histogram, decreased bool, err error) {
	if len(before.Cumulative) == 0 {
		return h, false, nil
	}
	if !slices.Equal(h.Bounds, before.Bounds) {
		return Histogram{}, false, fmt.Errorf("the buckets changed from %v to %v", before.Bounds, h.Bounds)
	}
	d = Histogram{Bounds: h.Bounds, Cumulative: make([]float64, len(h.Cumulative)), Sum: h.Sum - before.Sum}
	var inBuckets float64
	for i := range d.Cumulative {
		d.Cumulative[i] = h.Cumulative[i] - before.Cumulative[i]
		if d.Cumulative[i] < inBuckets {
			return Histogram{}, true, nil
		}
		inBuckets = d.Cumulative[i]
	}
	return d, false, nil
}

// plus adds two histograms. Where their buckets differ the bounds that both
// have are kept: a cumulative count is known only at those.
func (h Histogram) plus(o Histogram) Histogram {
	switch {
	case len(h.Cumulative) == 0:
		return o
	case len(o.Cumulative) == 0:
		return h
	}
	sum := Histogram{Sum: h.Sum + o.Sum}
	for i, b := range h.Bounds {
		if j, ok := slices.BinarySearch(o.Bounds, b); ok {
			sum.Bounds = append(sum.Bounds, b)
			sum.Cumulative = append(sum.Cumulative, h.Cumulative[i]+o.Cumulative[j])
		}
	}
	sum.Cumulative = append(sum.Cumulative, h.Count()+o.Count())
	return sum
}
