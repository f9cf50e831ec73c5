// Package slo turns vLLM's /metrics into the figures and the verdict of one
// team size.
//
// Two scrapes around a level give a [Window]; [Evaluate] reads the window
// against the limits:
//
//	before, err := slo.Scrape(ctx, client, "http://127.0.0.1:8000")
//	… N agents work …
//	after, err := slo.Scrape(ctx, client, "http://127.0.0.1:8000")
//	w, err := slo.Delta(before, after)
//	f := slo.Evaluate(w, slo.Criteria{MaxTTFT: 10, MinTPS: 20})
//	fmt.Println(f.HoldsSLO, f.HoldsSLOCertain, f.Why)
//
// # What is exact and what is not
//
// Means and counts are exact: they are quotients of the server's own sums. A
// quantile is not: vLLM publishes histograms with coarse buckets (the first
// one for inter-token latency ends at 10 ms), so all that is known is the
// bucket that holds it. A [Quantile] therefore carries the bucket's bounds
// beside its interpolated value, and a verdict is certain only where the
// limit does not lie between them. 20 tok/s is 50 ms, a bucket edge, so a
// verdict at 20 tok/s is always certain in speed.
//
// A quantile here is the nearest-rank one: the ⌈q·n⌉-th smallest of n
// observations. That one always lies within the bounds; a definition that
// averages two neighbours need not.
//
// # What is an error
//
// A scrape that failed, was cut short, or lacks a series that a figure needs
// is an error, never a zero. A server that restarted inside the window is not
// an error: what it counted since the restart is used, the window says
// Restarted, and no verdict on it is certain.
//
// [Perceive] reads the same level from the other side: exact quantiles of what
// the agents waited, from the gateway's trace.
package slo
