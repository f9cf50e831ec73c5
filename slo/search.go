package slo

import (
	"fmt"
	"slices"
)

// Search finds the largest team size that holds, by asking for one level after
// another: doubling from Start until one does not hold, or halving until one
// does, then the middle of what is left. It takes for granted that a team holds
// where a larger one does.
//
//	s := slo.Search{Max: 32}
//	for n, ok := s.Next(); ok; n, ok = s.Next() {
//		… measure n agents …
//		s.Saw(n, slo.Outcome{Holds: f.HoldsSLO, Share: confidence.Holds})
//	}
//	fmt.Println(s.Capacity())
type Search struct {
	Max   int // the largest size that is asked for, at least 1
	Start int // the first one; 0: 4

	seen []seen
}

type seen struct {
	n int
	Outcome
}

// Outcome is what a level said.
type Outcome struct {
	Holds bool
	// Share is the part of the resampled windows that hold, see [Confidence].
	Share float64
}

// Capacity is what a search found.
type Capacity struct {
	// Holds is the largest size measured that holds, 0 where none did. Fails is
	// the smallest one that does not, 0 where all did.
	Holds int `json:"holds"`
	Fails int `json:"fails,omitempty"`
	// Low and High are the interval of the capacity: at least Low and at most
	// High developers, with the given confidence. High is Max where nothing
	// that was asked failed for sure.
	Low  int `json:"low"`
	High int `json:"high"`
	// Confidence is the probability, by the bootstrap of the two levels that
	// bound the interval, that it holds the truth; 0 where the search was cut
	// short before it had one.
	Confidence float64 `json:"confidence"`
	// Done is set where no size is left between Holds and Fails.
	Done bool `json:"done"`
}

// clearShare is the share of resampled windows from which on a verdict counts as
// known, one way or the other.
const clearShare = 0.95

const defaultStart = 4

// Next is the size to measure next; false where the answer is known.
func (s *Search) Next() (n int, ok bool) {
	holds, fails := s.bracket()
	switch {
	case len(s.seen) == 0:
		start := s.Start
		if start < 1 {
			start = defaultStart
		}
		return min(start, s.limit()), true
	case fails == 0:
		return min(2*holds, s.limit()), holds < s.limit()
	case holds == 0:
		return fails / 2, fails > 1
	}
	return (holds + fails) / 2, fails-holds > 1
}

// Saw takes a level's outcome.
func (s *Search) Saw(n int, o Outcome) { s.seen = append(s.seen, seen{n, o}) }

// bracket is the largest size that holds below the smallest that does not.
func (s *Search) bracket() (holds, fails int) {
	for _, l := range s.seen {
		if !l.Holds && (fails == 0 || l.n < fails) {
			fails = l.n
		}
	}
	for _, l := range s.seen {
		if l.Holds && (fails == 0 || l.n < fails) {
			holds = max(holds, l.n)
		}
	}
	return holds, fails
}

func (s *Search) limit() int { return max(1, s.Max) }

// Capacity is what is known by now.
func (s *Search) Capacity() Capacity {
	holds, fails := s.bracket()
	c := Capacity{Holds: holds, Fails: fails, High: s.limit()}
	_, more := s.Next()
	c.Done = len(s.seen) > 0 && !more

	// The interval's ends are the nearest levels whose verdicts are clear; each
	// is wrong with the probability that its resampled windows say.
	levels := slices.Clone(s.seen)
	slices.SortFunc(levels, func(a, b seen) int { return a.n - b.n })
	var lowWrong, highWrong float64
	for _, l := range levels {
		if l.n <= holds && l.Share >= clearShare {
			c.Low, lowWrong = l.n, 1-l.Share
		}
	}
	for _, l := range slices.Backward(levels) {
		if fails > 0 && l.n >= fails && l.Share <= 1-clearShare {
			c.High, highWrong = l.n-1, l.Share
		}
	}
	if len(levels) > 0 {
		c.Confidence = max(0, 1-lowWrong-highWrong)
	}
	return c
}

func (c Capacity) String() string {
	switch {
	case c.Low == c.High:
		return fmt.Sprintf("%d developers", c.Low)
	case c.Holds == 0:
		return fmt.Sprintf("fewer than %d developers", c.High+1)
	}
	return fmt.Sprintf("%d developers (between %d and %d)", c.Holds, c.Low, c.High)
}
