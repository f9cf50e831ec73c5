package slo

import (
	"fmt"
	"math"
)

// APIPrice is what a hosted API charges, in USD per million tokens. Where a
// vendor names no price for cached tokens, CacheRead and CacheWrite are Input.
type APIPrice struct {
	Input      float64 // prompt tokens that are neither read from a cache nor written to it
	CacheRead  float64 // prompt tokens that the cache held
	CacheWrite float64 // prompt tokens that the cache takes up
	Output     float64
}

// Usage is what a server counted in a window. Prompt includes Cached, the part
// of it that the prefix cache held.
type Usage struct {
	Prompt, Cached, Output int64
}

// Cost is what these tokens would have cost at the API, in USD:
//
//	(cached × CacheRead + (prompt − cached) × CacheWrite + output × Output) ÷ 10⁶
//
// Every prompt token that was not read is taken to be written, for an agent
// asks with its whole conversation again and a coding client marks all of it
// for the cache; Input alone counts where nothing was cached. That the API's
// cache would have held what ours did is an assumption: its entries live for
// minutes, ours until they are pushed out. Negative counts, or more cached
// than prompt tokens, are an error.
func (p APIPrice) Cost(u Usage) (float64, error) {
	if u.Prompt < 0 || u.Output < 0 || u.Cached < 0 || u.Cached > u.Prompt {
		return 0, fmt.Errorf("slo: cost of %d prompt tokens, %d of them cached, and %d output tokens: want counts of at least 0, and no more cached than prompt tokens",
			u.Prompt, u.Cached, u.Output)
	}
	fresh := p.CacheWrite
	if u.Cached == 0 {
		fresh = p.Input
	}
	return (float64(u.Cached)*p.CacheRead + float64(u.Prompt-u.Cached)*fresh + float64(u.Output)*p.Output) / 1e6, nil
}

// APIPerDevHour is what one busy agent's work costs per hour at an API, in USD:
// cost × 3600 ÷ seconds ÷ n, for the cost of a window in which n agents were
// at work. False where the window has no length, or n is below 1.
func APIPerDevHour(cost, seconds float64, n int) (float64, bool) {
	if seconds <= 0 || n < 1 {
		return 0, false
	}
	return cost * 3600 / seconds / float64(n), true
}

// APIPerDevMonth is what a developer's agent costs per month at an API, in USD:
// per busy hour × hours × duty. hours is what the month has, 0 is
// [HoursPerMonth]; duty is the part of them in which the agent is really at
// work, 0 is 1. Unlike a GPU, an API is paid for nothing while nobody asks.
func APIPerDevMonth(perDevHour, hours, duty float64) float64 {
	if hours == 0 {
		hours = HoursPerMonth
	}
	if duty == 0 {
		duty = 1
	}
	return perDevHour * hours * duty
}

// BreakEven is N*, the smallest team for which the GPUs' flat cost per month is
// at or below the API's bill: ⌈GPU cost ÷ API cost per developer⌉, at least 1.
// Whether a team of N* is within what holds the SLO is the caller's to ask.
// False where the API costs nothing, or no team is large enough.
func BreakEven(gpuPerMonth, apiPerDevMonth float64) (devs int, ok bool) {
	ratio := gpuPerMonth / apiPerDevMonth
	if !(apiPerDevMonth > 0) || !(ratio >= 0) || ratio > mostPeople {
		return 0, false
	}
	// 10 developers at 73 pay 730: what floats add to that must not make 11.
	return max(1, int(math.Ceil(ratio*(1-1e-12)))), true
}

// SLOPremium is the SLO's price: by what factor a token costs more at the
// largest team that holds the SLO than on the saturated server, both in USD
// per million output tokens. False where either is not known.
func SLOPremium(atN, atThetaMax float64) (float64, bool) {
	if !(atN > 0) || !(atThetaMax > 0) {
		return 0, false
	}
	return atN / atThetaMax, true
}

// SafeRisk is the probability with which [People]'s safe number of people has
// more agents busy at once than hold the SLO.
const SafeRisk = 0.05

// mostPeople bounds a team; beyond it the arithmetic means nothing.
const mostPeople = 1e9

// People turns n agents that are always busy into how many people they stand
// for. duty is the fraction of the paid working time in which one person's
// agent is really at work: above 0, at most 1.
//
// mean is n ÷ duty: with so many people n agents are busy on average, and more
// than that about half of the time. safe is the largest number H of people for
// which P(X > n) ≤ [SafeRisk], X being how many are busy at once: binomial of
// H and duty, summed exactly, everybody at work independently of the others.
// Teams are not quite independent (they meet, and come back from meetings), so
// safe is no guarantee either.
func People(n int, duty float64) (mean float64, safe int, err error) {
	switch {
	case n < 1:
		return 0, 0, fmt.Errorf("slo: people for %d agents: want at least 1", n)
	case !(duty > 0) || duty > 1:
		return 0, 0, fmt.Errorf("slo: people at a duty cycle of %g: want a fraction above 0, at most 1", duty)
	}
	mean = float64(n) / duty
	if mean > mostPeople {
		return 0, 0, fmt.Errorf("slo: people at a duty cycle of %g: more than a billion", duty)
	}
	// P(X > n) grows with H. It is 0 for n people, and far above the risk
	// where n are busy on average: the answer lies between.
	low, high := n, int(math.Ceil(mean))+1
	for high-low > 1 {
		if mid := low + (high-low)/2; moreThan(n, mid, duty) <= SafeRisk {
			low = mid
		} else {
			high = mid
		}
	}
	return mean, low, nil
}

// moreThan is P(X > n) for X binomial of h and p: 1 − Σ C(h,k) pᵏ (1−p)ʰ⁻ᵏ for
// k up to n. The terms are made from their logarithms, since the first of them
// is too small for a float where h is large.
func moreThan(n, h int, p float64) float64 {
	if n >= h {
		return 0
	}
	if p == 1 {
		return 1
	}
	logFact := func(k int) float64 { v, _ := math.Lgamma(float64(k) + 1); return v }
	sum := 0.0
	for k := 0; k <= n; k++ {
		sum += math.Exp(logFact(h) - logFact(k) - logFact(h-k) + float64(k)*math.Log(p) + float64(h-k)*math.Log1p(-p))
	}
	return 1 - sum
}
