package slo_test

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/x/dail/slo"
)

// Two pages of vLLM 0.13, two minutes apart.
func Example() {
	read := func(name string, at time.Time) *slo.Snapshot {
		f, err := os.Open("testdata/" + name)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		s, err := slo.Parse(f, at)
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	w, err := slo.Delta(read("vllm-0.13.before.prom", noon), read("vllm-0.13.after.prom", noon.Add(2*time.Minute)))
	if err != nil {
		log.Fatal(err)
	}
	f := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
	fmt.Println(f.Why)
	fmt.Printf("mean %.1f tok/s; median %.1f, between %.0f and %.0f; certain: %v\n",
		f.MeanTPS, f.TPS.P50.Value, f.TPS.P50.Low, f.TPS.P50.High, f.HoldsSLOCertain)
	fmt.Printf("$%.0f a developer and month\n", slo.CostPerDevMonth(0.79, 1, 8, slo.HoursPerMonth))
	// Output:
	// holds: p50 time to first token 0.30 s is within 10 s, p50 speed 23.2 tok/s reaches 20
	// mean 22.0 tok/s; median 23.2, between 20 and 40; certain: true
	// $72 a developer and month
}

func ExampleHistogram_Quantile() {
	// 50 tokens, all within vLLM's first bucket of inter-token latency.
	h := slo.Histogram{Bounds: []float64{0.01, 0.025}, Cumulative: []float64{50, 50, 50}, Sum: 0.4}
	q := h.Quantile(0.5)
	mean, _ := h.Mean()
	fmt.Printf("median %v s, somewhere between %v and %v; the mean is %v\n", q.Value, q.Low, q.High, mean)
	// Output:
	// median 0.005 s, somewhere between 0 and 0.01; the mean is 0.008
}
