package slo_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/slo"
)

// span is an agent at work, in seconds.
func span(agent int, from, to float64, failed string) slo.Span {
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	return slo.Span{Agent: agent, Start: at(from), End: at(to), Failed: failed}
}

func TestDeliver(t *testing.T) {
	for _, tc := range []struct {
		name              string
		n                 int
		spans             []slo.Span
		mean, share, skew float64
		failed, absent    int
		short             bool
		reason            string
	}{
		{name: "all at once", n: 2, spans: []slo.Span{span(0, 0, 100, ""), span(1, 0, 100, "")}, mean: 2, share: 1},
		{name: "a straggler", n: 2, spans: []slo.Span{span(0, 0, 100, ""), span(1, 10, 80, "")}, mean: 1.7, share: 0.7, skew: 10},
		{name: "one finished early", n: 2, spans: []slo.Span{span(0, 0, 100, ""), span(1, 0, 40, "")}, mean: 1.4, share: 0.4, short: true, reason: "agent 1 had finished after 40 of 100 s"},
		{name: "one died", n: 3, spans: []slo.Span{span(0, 0, 100, ""), span(1, 0, 20, "phase p1: API error"), span(2, 0, 100, "")}, mean: 2.2, share: 0.2, failed: 1, short: true, reason: "agent 1 ended after 20 s: phase p1: API error"},
		{name: "one died at the end", n: 2, spans: []slo.Span{span(0, 0, 100, ""), span(1, 0, 90, "gate")}, mean: 1.9, share: 0.9, failed: 1},
		{name: "one came late", n: 2, spans: []slo.Span{span(0, 0, 100, ""), span(1, 70, 100, "")}, mean: 1.3, share: 0.3, skew: 70, short: true, reason: "the last one began 70 s after the first"},
		{name: "one never came", n: 3, spans: []slo.Span{span(0, 0, 100, ""), span(2, 0, 100, "")}, mean: 2, share: 0, absent: 1, short: true, reason: "1 of 3 agents never sent a request"},
		{name: "nobody came", n: 3, absent: 3, short: true, reason: "no agent ever sent a request"},
		{name: "kept busy", n: 2, spans: []slo.Span{span(0, 0, 40, ""), span(0, 40, 100, ""), span(1, 0, 100, "")}, mean: 2, share: 1},
		{name: "one alone", n: 1, spans: []slo.Span{span(0, 5, 6, "")}, mean: 1, share: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := slo.Deliver(tc.n, tc.spans)
			close := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
			if !close(d.ActiveMean, tc.mean) || !close(d.FullShare, tc.share) || !close(d.StartSkewS, tc.skew) {
				t.Errorf("mean %v, share %v, skew %v", d.ActiveMean, d.FullShare, d.StartSkewS)
			}
			if d.Failed != tc.failed || d.Absent != tc.absent || d.Short != tc.short || !strings.Contains(d.Reason, tc.reason) || d.Short != (d.Reason != "") {
				t.Errorf("%+v", d)
			}
		})
	}
	got := slo.Deliver(2, []slo.Span{span(0, 0, 40, ""), span(0, 40, 100, ""), span(1, 20, 100, "")}).Curve
	want := []slo.AtWork{{Seconds: 0, Agents: 1}, {Seconds: 20, Agents: 2}, {Seconds: 40, Agents: 2}, {Seconds: 100}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
