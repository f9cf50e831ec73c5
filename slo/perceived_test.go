package slo_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/slo"
	"github.com/x/dail/trace"
)

func TestPerceive(t *testing.T) {
	var records []trace.Record
	for i := range 100 { // 1 s to 100 s, first byte half way, 100 tokens each
		s := float64(100 - i)
		records = append(records, trace.Record{Status: 200, QueueS: 0.001, UpstreamS: s/2 - 0.002, FirstByteS: s / 2, EndS: s, PromptTokens: 1000, CachedTokens: 900, OutputTokens: 100})
	}
	records[0].Retry = true
	records[1].Repairs = []string{"tool_call_in_text", "truncated_json"}
	records = append(records,
		trace.Record{Status: 529, Error: "overloaded", EndS: 9000},
		trace.Record{Status: 0, Error: "the client left", EndS: 9000, OutputTokens: 5},
		trace.Record{Status: 200, Error: "the stream broke", EndS: 9000, Retry: true},
	)
	want := slo.Perceived{
		Requests:  103,
		FirstByte: &slo.Exact{P50: 25, P90: 45, P99: 49.5},
		Whole:     &slo.Exact{P50: 50, P90: 90, P99: 99},
		// The slow end: 90 of 100 were at least as fast as the 90th fastest.
		TPS:    &slo.Exact{P50: 100.0 / 50, P90: 100.0 / 90, P99: 100.0 / 99},
		Errors: 3, Retries: 2, Repairs: 1, RepairKinds: map[string]int{"tool_call_in_text": 1, "truncated_json": 1},
		PromptTokens: 100000, CachedTokens: 90000, OutputTokens: 10000,
	}
	if diff := cmp.Diff(want, slo.Perceive(records)); diff != "" {
		t.Errorf("perceived (-want +got):\n%s", diff)
	}
	if o := slo.ProxyOverhead(records); o == nil || !near(o.P50, 0.003, 1e-9) || !near(o.P99, 0.003, 1e-9) {
		t.Errorf("overhead %+v, want 3 ms", o)
	}
}

// A body that was answered and then sent again is work once; one whose first
// answer got lost is work all the same.
func TestReSendsAreNoWork(t *testing.T) {
	ok := trace.Record{Status: 200, EndS: 1, BodyHash: "a", PromptTokens: 100, CachedTokens: 40, OutputTokens: 10, PromptBytes: 400, OwnPrefixBytes: 100, SharedPrefixBytes: 300}
	again, lost, other := ok, ok, ok
	again.Retry = true
	lost.Status, lost.Error, lost.BodyHash = 0, "the client left", "b"
	relost := again
	relost.BodyHash = "b"
	other.Agent = 1
	p := slo.Perceive([]trace.Record{ok, again, lost, relost, other})
	if p.Requests != 5 || p.Retries != 2 || p.PromptTokens != 300 || p.CachedTokens != 120 || p.OutputTokens != 30 {
		t.Errorf("%+v; want 5 requests, 2 re-sent, and the tokens of three", p)
	}
	if p.OwnPrefix != 0.25 || p.SharedPrefix != 0.75 {
		t.Errorf("prefixes %g own, %g shared; want 0.25 and 0.75", p.OwnPrefix, p.SharedPrefix)
	}
}

func TestPerceiveNothing(t *testing.T) {
	if diff := cmp.Diff(slo.Perceived{}, slo.Perceive(nil)); diff != "" {
		t.Errorf("of no record (-want +got):\n%s", diff)
	}
	failed := []trace.Record{{Status: 500, EndS: 3}}
	if p := slo.Perceive(failed); p.Errors != 1 || p.Whole != nil || p.FirstByte != nil || p.TPS != nil {
		t.Errorf("of a failed one: %+v", p)
	}
	if slo.ProxyOverhead(failed) != nil || slo.ExactOf(nil) != nil {
		t.Error("quantiles of nothing")
	}
}

func TestExactIsNearestRank(t *testing.T) {
	values := []float64{3, 1, 2}
	if got := *slo.ExactOf(values); got != (slo.Exact{P50: 2, P90: 3, P99: 3}) {
		t.Errorf("got %+v", got)
	}
	if values[0] != 3 {
		t.Error("the argument was sorted")
	}
}

func TestConcurrency(t *testing.T) {
	at := func(from, seconds float64) trace.Record {
		return trace.Record{Arrival: start.Add(time.Duration(from * float64(time.Second))), EndS: seconds}
	}
	records := []trace.Record{
		at(0, 10),  // all of it within
		at(-5, 10), // half of it before
		at(8, 100), // most of it after
		at(20, 5),  // after
	}
	if got := slo.Concurrency(records, start, start.Add(10*time.Second)); !near(got, 1.7, 1e-9) {
		t.Errorf("got %v, want 1.7", got)
	}
	if got := slo.Concurrency(records, start, start); got != 0 {
		t.Errorf("of no time: %v", got)
	}
}

// The original lab's formulas give the original lab's numbers.
func TestCosts(t *testing.T) {
	mtok, ok := slo.CostPerMTok(0.34, 32219333.480519183)
	none, never := slo.CostPerMTok(0.34, 0)
	share, penalty, _ := slo.Utilization(795085.2932299731, 16958582.130609628)
	_, _, noYardstick := slo.Utilization(1, 0)
	for what, c := range map[string]struct{ got, want float64 }{
		"hour":         {slo.CostPerHour(1.5, 4), 6},
		"dev hour":     {slo.CostPerDevHour(0.34, 1, 8), 0.0425},
		"dev month":    {slo.CostPerDevMonth(0.34, 1, 8, 0), 31.025000000000002},
		"office month": {slo.CostPerDevMonth(2, 1, 4, 160), 80},
		"mtok":         {mtok, 0.010552670191193578},
		"no mtok":      {none, 0},
		"utilization":  {share, 0.046883948617076475},
		"penalty":      {penalty, 21.329261495602175},
		"pod":          {slo.PodCost(1800, 2, 2), 2},
	} {
		if !near(c.got, c.want, 1e-15) {
			t.Errorf("%s is %v, want %v", what, c.got, c.want)
		}
	}
	if !ok || never || noYardstick {
		t.Errorf("ok %v, %v, %v", ok, never, noYardstick)
	}
}
