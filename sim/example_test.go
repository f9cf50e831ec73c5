package sim_test

import (
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

// An engine in virtual time: two requests that arrive together share the
// steps, and nobody waits for them.
func ExampleEngine() {
	engine, err := sim.NewEngine(sim.Config{Step: sim.Fixed{TTFT: 200 * time.Millisecond, ITL: 30 * time.Millisecond}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, arrival := range []time.Duration{0, 50 * time.Millisecond} {
		if _, err := engine.Submit(sim.Job{Arrival: arrival, Prompt: make([]uint32, 100), Output: make([]uint32, 3)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for {
		if _, ok := engine.Next(); !ok {
			break
		}
		for _, ev := range engine.Step() {
			fmt.Printf("%v: request %d has %d tokens\n", ev.At, ev.ID, ev.Total)
		}
	}
	// Output:
	// 200ms: request 0 has 1 tokens
	// 230ms: request 0 has 2 tokens
	// 250ms: request 1 has 1 tokens
	// 260ms: request 0 has 3 tokens
	// 280ms: request 1 has 2 tokens
	// 310ms: request 1 has 3 tokens
}

// The time of one decode step of Qwen3-Coder in FP8 on an L40S.
func ExampleRoofline() {
	model := compose.Model{Family: "qwen3-coder", Quant: "fp8", Architecture: &compose.Architecture{
		ParamsB: 30.5, ActiveParamsB: 3.3, Layers: 48, Hidden: 2048, KVHeads: 4, HeadDim: 128,
		Experts: 128, ExpertsPerToken: 8, KVBytesPerToken: 98304, WeightsGB: 31,
	}}
	card := compose.Hardware{Key: "l40s", GPU: &compose.GPU{
		MemoryGB: 48, BandwidthGBs: 864, BF16TFLOPS: 362, FP8TFLOPS: 733, Interconnect: "pcie4", Architecture: "ada",
	}}
	step, err := sim.NewRoofline(model, card, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range []int{1, 4, 16} {
		batch := sim.Batch{Decode: n, DecodeTokens: n, DecodeContext: n * 16384, Samples: n}
		fmt.Printf("%2d sequences at 16k context: %v\n", n, step.Step(batch).Round(time.Millisecond))
	}
	// Output:
	//  1 sequences at 16k context: 7ms
	//  4 sequences at 16k context: 23ms
	// 16 sequences at 16k context: 70ms
}

// A server is an http.Handler; here it answers in process.
func ExampleServer() {
	server, err := sim.NewServer(sim.Config{Model: "qwen", Step: sim.Fixed{TTFT: time.Millisecond}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	w := httptest.NewRecorder()
	server.ServeHTTP(w, httptest.NewRequest("GET", "/version", nil))
	fmt.Println(w.Body)
	// Output: {"version":"dail-sim/0.1.0"}
}
