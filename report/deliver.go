package report

import (
	"fmt"

	"github.com/x/dail/slo"
)

// deny makes a level not hold, whatever its figures say. The verdict is no
// reading of buckets any more, so it is not called certain.
func (l *Level) deny(verdict string) {
	never := false
	l.HoldsSLO, l.HoldsSLOCertain, l.HoldsSLOP90 = false, false, &never
	l.Verdict = verdict
}

// Narrow adds the figures of the window in which all N agents were at work. A
// level that holds as a whole holds only if it does so in there as well: at the
// ends, fewer agents flatter it.
func (l *Level) Narrow(f slo.Figures) {
	w := WindowOf(f)
	if l.Window == nil {
		l.Window = &Windows{}
	}
	l.Window.AllNActive = &w
	if !f.Measured { // too short to have a speed: it says nothing
		return
	}
	p90 := l.HoldsSLOP90 != nil && *l.HoldsSLOP90 && f.HoldsSLOP90
	if l.HoldsSLO && !f.HoldsSLO {
		l.deny(fmt.Sprintf("does not hold while all %d were at work: %s", l.Devs, f.Why))
		l.HoldsSLOCertain = f.HoldsSLOCertain
	}
	l.HoldsSLOCertain = l.HoldsSLOCertain && (f.HoldsSLOCertain || !l.HoldsSLO)
	l.HoldsSLOP90 = &p90
}

// Deliver adds the load that was really there. A level that fell short of its N
// does not hold.
func (l *Level) Deliver(d slo.Delivered) {
	l.Delivered = &d
	if d.Short && l.Stopped == "" && l.HoldsSLO {
		l.deny("does not hold: the load fell short: " + d.Reason)
	}
}

// Stop marks a level whose agents were stopped because its verdict was clear,
// which must be that it does not hold.
func (l *Level) Stop(why string) {
	l.Stopped, l.Gates = why, GatesSkipped
	if l.HoldsSLO {
		l.deny("does not hold: " + why)
	}
}
