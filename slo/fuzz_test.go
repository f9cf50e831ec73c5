package slo_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/x/dail/slo"
)

// Whatever parses gives figures that are finite, quantiles within their bounds,
// and no verdict that contradicts itself.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.after.prom")
	if err != nil || len(names) == 0 {
		f.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		page, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(page)
	}
	small := &server{engines: []*engine{{label: "0"}}}
	small.engines[0].request(100, 50, 0.2, 0.03, 0.03)
	f.Add([]byte(small.page()))
	f.Fuzz(func(t *testing.T, page []byte) {
		after, err := slo.Parse(bytes.NewReader(page), start.Add(time.Minute))
		if err != nil {
			if after != nil {
				t.Error("an error and a snapshot")
			}
			return
		}
		w, err := slo.Delta(&slo.Snapshot{At: start}, after)
		if err != nil {
			t.Fatalf("since nothing: %v", err)
		}
		fig := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
		for what, v := range map[string]float64{"ttft": fig.MeanTTFT, "tps": fig.MeanTPS, "e2e": fig.MeanE2E, "tokens": fig.TokensPerHour, "computed": fig.ComputedPerHour} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s is %v", what, v)
			}
		}
		for _, q := range []slo.Quantile{fig.TTFT.P50, fig.TTFT.P99, fig.TPS.P50, fig.TPS.P90, fig.E2E.P99} {
			if q.Measured() && !(q.Low <= q.Value && q.Value <= q.High) {
				t.Errorf("quantile %+v", q)
			}
			if _, err := json.Marshal(q); err != nil {
				t.Error(err)
			}
		}
		if (fig.HoldsSLO || fig.HoldsSLOCertain) && !fig.Measured {
			t.Errorf("a verdict on nothing: %+v", fig)
		}
	})
}
