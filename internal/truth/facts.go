package truth

import (
	"math"
	"slices"
	"time"

	"github.com/x/dail/internal/virtual"
)

// facts is what really happened in a window, from the log of the requests.
type facts struct {
	seconds float64

	ttft, itl, e2e []float64 // s; itl between the moments at which tokens came
	speeds         []float64 // tokens/s of each such step

	started, done          int
	prompt, cached, output int64   // tokens, prompts counted at the first token
	after                  int64   // tokens after each request's first
	busy                   float64 // s × requests in the server, within the window
	left                   bool    // some client left, or was still waiting
}

// add takes over what happened after from, and not after to.
func (f *facts) add(log []*virtual.Request, from, to time.Duration) {
	in := func(t time.Duration) bool { return t > from && t <= to }
	for _, r := range log {
		end := to
		for i, at := range r.Events {
			if !in(at) {
				continue
			}
			f.output += int64(r.Counts[i])
			if i == 0 {
				f.started++
				f.ttft = append(f.ttft, (at - r.Arrival).Seconds())
				f.prompt += int64(r.Prompt)
				f.cached += int64(r.Cached)
				continue
			}
			gap := (at - r.Events[i-1]).Seconds()
			f.itl = append(f.itl, gap)
			f.speeds = append(f.speeds, float64(r.Counts[i])/gap)
			f.after += int64(r.Counts[i])
		}
		if r.Done {
			if end = r.Events[len(r.Events)-1]; in(end) {
				f.done++
				f.e2e = append(f.e2e, (end - r.Arrival).Seconds())
			}
		}
		f.left = f.left || !r.Done || !in(end) || r.Arrival < from
		f.busy += max(0, (min(end, to) - max(r.Arrival, from)).Seconds())
	}
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func sum(values []float64) float64 { return mean(values) * float64(len(values)) }

// nearestRank is the ⌈q·n⌉-th smallest.
func nearestRank(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[max(1, int(math.Ceil(q*float64(len(s)))))-1]
}

// slowest is the value that the share q of all reach: the slow end of speeds.
func slowest(values []float64, q float64) float64 {
	negative := make([]float64, len(values))
	for i, v := range values {
		negative[i] = -v
	}
	return -nearestRank(negative, q)
}
