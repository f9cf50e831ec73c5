package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/x/dail/compose"
)

// benchmarkAgents plays closed-loop agents in virtual time: each sends its
// grown history again after a pause, as Claude Code does. One operation is one
// request.
func benchmarkAgents(b *testing.B, agents int) {
	const firstPrompt, outputLen, grow, maxLen = 8000, 250, 600, 32000
	step, err := NewRoofline(
		compose.Model{Quant: "fp8", Architecture: &compose.Architecture{ParamsB: 30.5, ActiveParamsB: 3.3, Layers: 48, Hidden: 2048,
			KVHeads: 4, HeadDim: 128, Experts: 128, ExpertsPerToken: 8, KVBytesPerToken: 98304, WeightsGB: 31}},
		compose.Hardware{Key: "l40s", GPU: &compose.GPU{BandwidthGBs: 864, BF16TFLOPS: 362, FP8TFLOPS: 733, Architecture: "ada"}}, 1)
	if err != nil {
		b.Fatal(err)
	}
	e, err := NewEngine(Config{Step: step, KVTokens: 120_000, MaxModelLen: 65536, Jitter: 0.05})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	text := randomTokens(rng, maxLen+grow)
	lengths := make([]int, agents)
	owner := make(map[int64]int)
	submit := func(agent int, at time.Duration) {
		n := &lengths[agent]
		*n += grow
		if *n < firstPrompt || *n > maxLen {
			*n = firstPrompt
		}
		prompt := append([]uint32{uint32(agent)}, text[:*n]...)
		id, err := e.Submit(Job{Arrival: at, Prompt: prompt, Output: text[*n : *n+outputLen], Finish: "stop", MaxTokens: 8192})
		if err != nil {
			b.Fatal(err)
		}
		owner[id] = agent
	}
	for agent := range agents {
		submit(agent, time.Duration(agent)*time.Millisecond)
	}
	b.ReportAllocs()
	steps, requests := 0, 0
	b.ResetTimer()
	for requests < b.N {
		for _, ev := range e.Step() {
			if ev.Done {
				requests++
				submit(owner[ev.ID], ev.At+time.Second)
				delete(owner, ev.ID)
			}
		}
		steps++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(steps)/2/b.Elapsed().Seconds(), "steps/s")
	b.ReportMetric(e.clock.Seconds()/b.Elapsed().Seconds(), "sim_s/s")
}

func BenchmarkAgents1(b *testing.B)  { benchmarkAgents(b, 1) }
func BenchmarkAgents8(b *testing.B)  { benchmarkAgents(b, 8) }
func BenchmarkAgents32(b *testing.B) { benchmarkAgents(b, 32) }

// BenchmarkRender is a turn of an agent: a history of about 60 kB, of which
// only the last message is new.
func BenchmarkRender(b *testing.B) {
	tok := NewTokenizer()
	var history []message
	for i := range 40 {
		history = append(history, message{Role: "user", Text: filler(300, uint64(i))})
	}
	renderChat(tok, nil, history)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		history[len(history)-1].Text = filler(300, uint64(1000+i))
		renderChat(tok, nil, history)
	}
}
