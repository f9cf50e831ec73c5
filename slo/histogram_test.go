package slo_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/x/dail/slo"
)

var inf = math.Inf(1)

// Every special case of a quantile from buckets, after the list of promql's
// BucketQuantile.
func TestHistogramQuantile(t *testing.T) {
	three := slo.Histogram{Bounds: []float64{0.01, 0.025, 0.05}, Cumulative: []float64{0, 10, 30, 40}, Sum: 1.2}
	for _, c := range []struct {
		name string
		h    slo.Histogram
		q    float64
		want slo.Quantile
	}{
		{"nothing was made", slo.Histogram{}, 0.5, slo.Quantile{}},
		{"nothing was observed", slo.Histogram{Bounds: []float64{1}, Cumulative: []float64{0, 0}}, 0.5, slo.Quantile{}},
		{"below 0", three, -0.1, slo.Quantile{}},
		{"above 1", three, 1.1, slo.Quantile{}},
		{"not a number", three, math.NaN(), slo.Quantile{}},
		{"middle of a bucket", three, 0.5, slo.Quantile{Value: 0.0375, Low: 0.025, High: 0.05}},
		{"end of a bucket", three, 0.25, slo.Quantile{Value: 0.025, Low: 0.01, High: 0.025}},
		{"smallest: an empty first bucket is passed over", three, 0, slo.Quantile{Value: 0.01, Low: 0.01, High: 0.025}},
		{"in the last bucket: the highest bound", three, 0.99, slo.Quantile{Value: 0.05, Low: 0.05, High: inf}},
		{"largest", three, 1, slo.Quantile{Value: 0.05, Low: 0.05, High: inf}},
		{"all in the first bucket: the lab's 200 tok/s", slo.Histogram{Bounds: []float64{0.01, 0.025}, Cumulative: []float64{50, 50, 50}},
			0.5, slo.Quantile{Value: 0.005, Low: 0, High: 0.01}},
		{"one observation", slo.Histogram{Bounds: []float64{0.01, 0.025}, Cumulative: []float64{0, 1, 1}}, 0.5, slo.Quantile{Value: 0.0175, Low: 0.01, High: 0.025}},
		{"no finite bucket: the mean", slo.Histogram{Cumulative: []float64{4}, Sum: 10}, 0.5, slo.Quantile{Value: 2.5, Low: 0, High: inf}},
		{"empty buckets in between", slo.Histogram{Bounds: []float64{1, 2, 3}, Cumulative: []float64{5, 5, 10, 10}}, 0.51, slo.Quantile{Value: 2.02, Low: 2, High: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.h.Quantile(c.q)
			if math.Abs(got.Value-c.want.Value) > 1e-12 || got.Low != c.want.Low || got.High != c.want.High {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got.Measured() != (c.want != slo.Quantile{}) {
				t.Errorf("measured is %v", got.Measured())
			}
		})
	}
}

func TestQuantileJSON(t *testing.T) {
	for _, c := range []struct {
		q    slo.Quantile
		want string
	}{
		{slo.Quantile{Value: 60.9, Low: 40, High: 100}, `{"value":60.9,"low":40,"high":100}`},
		{slo.Quantile{Value: 80, Low: 80, High: inf}, `{"value":80,"low":80,"high":null}`},
		{slo.Quantile{}, `null`},
	} {
		b, err := json.Marshal(c.q)
		if err != nil || string(b) != c.want {
			t.Errorf("%+v is %s, %v; want %s", c.q, b, err, c.want)
		}
		var back slo.Quantile
		if err := json.Unmarshal(b, &back); err != nil || back != c.q {
			t.Errorf("%s reads as %+v, %v; want %+v", b, back, err, c.q)
		}
	}
	var q slo.Quantile
	if err := json.Unmarshal([]byte(`"fast"`), &q); err == nil {
		t.Error("text was read as a quantile")
	}
}
