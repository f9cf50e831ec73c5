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
// # The saturated server
//
// [Saturate] measures Θmax, the yardstick of a level's utilization: what the
// server does when it always has more to do. So many streams each keep one
// request with it, of a fixed shape:
//
//	theta, err := slo.Saturate(ctx, slo.Probe{
//		URL: "http://127.0.0.1:8000", Model: "qwen3-coder-30b-fp8",
//		Concurrency: 64, Duration: 2 * time.Minute, PromptTokens: 768, OutputTokens: 256,
//	})
//	fmt.Println(theta.TokensPerHour, theta.Limited, theta.Notes)
//
// A prompt is a list of token numbers, which the server's own /tokenize told
// of: it has exactly the tokens it should, with no tolerance, and Theta holds a
// note where the server's count says otherwise. Its first eight tokens spell a
// number of its own, so that no two share a block of a prefix cache. Answers
// are of one length (ignore_eos, max_tokens = min_tokens).
//
// Only the steady window counts: from the scrape after the last stream's first
// token to one while all streams are still full. Streams begin with answers of
// different length, up to a whole one; if they went on in step, a window would
// hold a wave of prompts too many or too few. What is left of that is the share
// of one prompt's computing in the window's length, a few tenths of a per cent.
// Each token counts once, as computed: also where a preempted request was
// computed again, and where the prompts were in a cache after all.
//
// Theta is of this shape: longer prompts make more tokens per hour, longer
// contexts fewer. It is no limit of what any load can reach.
//
// [Perceive] reads the same level from the other side: exact quantiles of what
// the agents waited, from the gateway's trace.
package slo
