package dail

import (
	"time"

	"github.com/x/dail/slo"
)

// What a search does between two levels, for a test that runs the levels in
// virtual time.

// DecideSequentially is what a search's level of n agents is asked as it runs.
func DecideSequentially(c slo.Criteria, n int, s slo.Series, once, lasted time.Duration) (enough bool, fails string) {
	l := &level{n: n, criteria: c, sequential: &slo.Sequential{Criteria: c}}
	return l.decide(s, once, lasted)
}

var (
	HoldShare       = holdShare
	ConfidenceLevel = confidenceLevel
)
