package slo_test

import (
	"testing"

	"github.com/x/dail/slo"
)

// ask runs a search on a server that serves up to truth, and returns what it
// found and the team sizes that it asked for, added up.
func ask(t *testing.T, s *slo.Search, truth int, share func(n int) float64) (slo.Capacity, int) {
	t.Helper()
	asked, work := map[int]bool{}, 0
	for n, ok := s.Next(); ok; n, ok = s.Next() {
		if n < 1 || n > max(1, s.Max) || asked[n] {
			t.Fatalf("truth %d: asks for %d after %v", truth, n, asked)
		}
		if c := s.Capacity(); c.Done || c.Low > truth || c.High < min(truth, max(1, s.Max)) {
			t.Fatalf("truth %d: on the way: %+v", truth, c)
		}
		asked[n], work = true, work+n
		s.Saw(n, slo.Outcome{Holds: n <= truth, Share: share(n)})
	}
	return s.Capacity(), work
}

func TestSearchFindsEveryTruth(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 7, 32, 100} {
		for _, first := range []int{0, 1, 8, 50} {
			for truth := range limit + 3 {
				s := &slo.Search{Max: limit, Start: first}
				c, work := ask(t, s, truth, func(n int) float64 {
					if n <= truth {
						return 1
					}
					return 0
				})
				want := min(truth, max(1, limit))
				if !c.Done || c.Holds != want || c.Low != want || c.High != want || c.Confidence != 1 {
					t.Errorf("max %d, start %d, truth %d: %+v", limit, first, truth, c)
				}
				if c.Fails != 0 && c.Fails != want+1 {
					t.Errorf("max %d, truth %d: fails at %d", limit, truth, c.Fails)
				}
				if limit == 32 && first == 0 && 3*work > 32*33/2 {
					t.Errorf("truth %d: %d agents measured, a sweep takes %d", truth, work, 32*33/2)
				}
			}
		}
	}
}

// Levels near the limit, whose verdict might have been another, widen the
// interval; what bounds it says how sure it is.
func TestSearchSaysHowSureItIs(t *testing.T) {
	s := &slo.Search{Max: 32}
	c, _ := ask(t, s, 12, func(n int) float64 {
		switch {
		case n <= 8:
			return 0.97
		case n <= 12:
			return 0.7
		case n < 16:
			return 0.2
		}
		return 0.01
	})
	want := slo.Capacity{Holds: 12, Fails: 13, Low: 8, High: 15, Done: true}
	want.Confidence = c.Confidence
	if c != want || c.Confidence < 0.959 || c.Confidence > 0.961 {
		t.Errorf("%+v, want %+v with a confidence of 0.96", c, want)
	}
	if got := c.String(); got != "12 developers (between 8 and 15)" {
		t.Error(got)
	}
	if got := (slo.Capacity{High: 3, Fails: 4}).String(); got != "fewer than 4 developers" {
		t.Error(got)
	}
	if got := (slo.Capacity{Holds: 5, Low: 5, High: 5}).String(); got != "5 developers" {
		t.Error(got)
	}
}
