package slo_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/sim"
	"github.com/x/dail/slo"
)

// inProcess is a transport to a handler, without a network, so that a bubble's
// clock can go on while everybody waits.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body, out := io.Pipe()
	w := &pipeResponse{header: http.Header{}, out: out, began: make(chan int, 1)}
	go func() {
		p.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		out.Close()
	}()
	select {
	case status := <-w.began:
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: w.header, Body: body, Request: r}, nil
	case <-r.Context().Done():
		body.Close()
		return nil, r.Context().Err()
	}
}

type pipeResponse struct {
	header http.Header
	out    *io.PipeWriter
	once   sync.Once
	began  chan int
}

func (w *pipeResponse) Header() http.Header        { return w.header }
func (w *pipeResponse) WriteHeader(status int)     { w.once.Do(func() { w.began <- status }) }
func (w *pipeResponse) Flush()                     {}
func (w *pipeResponse) SetWriteDeadline(time.Time) {}
func (w *pipeResponse) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.out.Write(b)
}

func simEngine(t testing.TB, cfg sim.Config) *sim.Server {
	t.Helper()
	cfg.Model = "m"
	s, err := sim.NewServer(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// probe asks h for a minute of 8 streams, unless change says otherwise.
func probe(h http.Handler, change func(*slo.Probe)) slo.Probe {
	p := slo.Probe{
		URL: "http://engine", Model: "m", Concurrency: 8, Duration: time.Minute, PromptTokens: 96, OutputTokens: 32,
		Seed: 1, Client: &http.Client{Transport: inProcess{h}},
	}
	if change != nil {
		change(&p)
	}
	return p
}

// affine is a GPU of round numbers: so long a step, and more for each sequence
// that decodes and each prompt token.
type affine struct{ step, sequence, token time.Duration }

func (a affine) Step(b sim.Batch) time.Duration {
	return a.step + time.Duration(b.Decode)*a.sequence + time.Duration(b.Prefill)*a.token
}

// truth is what an engine of this kind does per hour with p's streams in a long
// time, driven by itself: requests that end are followed by others at once, and
// they began far apart.
func truth(t *testing.T, cfg sim.Config, p slo.Probe) (prompt, output float64) {
	t.Helper()
	e, err := sim.NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const settled, until = 5 * time.Minute, 25 * time.Minute
	next := uint32(1)
	submit := func(at time.Duration) {
		job := sim.Job{Arrival: at, Prompt: make([]uint32, p.PromptTokens), Output: make([]uint32, p.OutputTokens), Finish: "length", MaxTokens: p.OutputTokens}
		job.Prompt[0] = next
		next++
		if _, err := e.Submit(job); err != nil {
			t.Fatal(err)
		}
	}
	for i := range p.Concurrency {
		submit(time.Duration(i) * 137 * time.Millisecond)
	}
	for {
		at, ok := e.Next()
		if !ok || at > until {
			break
		}
		for _, ev := range e.Step() {
			if ev.At > settled {
				output += float64(ev.Tokens)
				if ev.Total == ev.Tokens { // its first
					prompt += float64(p.PromptTokens)
				}
			}
			if ev.Done {
				submit(ev.At)
			}
		}
	}
	hours := (until - settled).Hours()
	return prompt / hours, output / hours
}

// l40s is the engine of a whole configuration, with its roofline and its jitter.
func l40s(t *testing.T) sim.Config {
	t.Helper()
	run, err := compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark:  "dev-load", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1, Probe: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := sim.ConfigOf(run)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func off(got, want float64) float64 { return math.Abs(got-want) / want }

// completion is what a request of the probe holds.
type completion struct {
	Prompt    []uint32 `json:"prompt"`
	MaxTokens int      `json:"max_tokens"`
	MinTokens int      `json:"min_tokens"`
	IgnoreEOS bool     `json:"ignore_eos"`
	Stream    bool     `json:"stream"`
}

// between lets change see and alter each request, before next has it.
func between(next http.Handler, change func(*completion)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/completions" {
			var c completion
			json.NewDecoder(r.Body).Decode(&c)
			change(&c)
			body, _ := json.Marshal(c)
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength = int64(len(body))
		}
		next.ServeHTTP(w, r)
	})
}
