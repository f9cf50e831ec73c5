package progress

import (
	"fmt"
	"time"
)

// Pace estimates how long levels of agents take that all do the same phases. It
// says nothing where nothing is known: a phase that no agent has ended yet can
// take any time.
//
// Within a level, an agent's rest is the mean time of its open phases, less what
// it has spent on the current one. The mean is this level's own as soon as an
// agent has ended the phase; before that it is the level's before, of n0 agents,
// which gives a range for n: no more time where the server had room, n ÷ n0 of it
// where all agents share what one had (fewer agents: the other way round). A
// level's rest is its slowest agent's; later levels take as long as the last
// one, in the same range. Judging the work afterwards is not in it: no server
// waits for that.
//
// The zero value knows nothing. A nil *Pace is silent.
type Pace struct {
	phases int
	n      int // agents of this level; 0: none is under way
	began  time.Time
	agents []pacer
	now    []mean // this level's, by phase
	was    []mean // the level's before
	wasN   int
}

type pacer struct {
	phase int // the one it is in; -1: it has not begun
	since time.Time
}

type mean struct {
	sum time.Duration
	n   int
}

func (m mean) value() time.Duration { return m.sum / time.Duration(max(1, m.n)) }

// Begin says that a level of n agents with so many phases begins.
func (p *Pace) Begin(at time.Time, n, phases int) {
	if p == nil {
		return
	}
	p.n, p.phases, p.began = n, phases, at
	p.agents, p.now = make([]pacer, n), make([]mean, phases)
	for i := range p.agents {
		p.agents[i] = pacer{-1, at}
	}
}

// Phase says that an agent begins a phase, counted from 0; one beyond the last
// says that it is done.
func (p *Pace) Phase(at time.Time, agent, phase int) {
	if p == nil || agent >= len(p.agents) {
		return
	}
	a := &p.agents[agent]
	if a.phase >= 0 && a.phase < p.phases && phase == a.phase+1 {
		p.now[a.phase].sum += at.Sub(a.since)
		p.now[a.phase].n++
	}
	*a = pacer{phase, at}
}

// End says that the level is over, and measured.
func (p *Pace) End(at time.Time) {
	if p == nil || p.n == 0 {
		return
	}
	p.was, p.wasN, p.n = p.now, p.n, 0
}

// Left is how long the level and the later ones, of so many agents each, will
// take yet; false where that is not known.
func (p *Pace) Left(at time.Time, later []int) (low, high time.Duration, ok bool) {
	if p == nil || p.n == 0 {
		return 0, 0, false
	}
	for _, a := range p.agents {
		l, h, ok := p.rest(at, a)
		if !ok {
			return 0, 0, false
		}
		low, high = max(low, l), max(high, h)
	}
	first := [2]time.Duration{low, high}
	for _, n := range later {
		// As long as this one will have taken.
		so := at.Sub(p.began)
		l, _ := scaled(so+first[0], p.n, n)
		_, h := scaled(so+first[1], p.n, n)
		low, high = low+l, high+h
	}
	return low, high, true
}

// rest is what an agent has to do yet.
func (p *Pace) rest(at time.Time, a pacer) (low, high time.Duration, ok bool) {
	for i := max(0, a.phase); i < p.phases; i++ {
		var l, h time.Duration
		switch {
		case p.now[i].n > 0:
			l = p.now[i].value()
			h = l
		case i < len(p.was) && p.was[i].n > 0:
			l, h = scaled(p.was[i].value(), p.wasN, p.n)
		default:
			return 0, 0, false
		}
		if i == a.phase {
			l, h = max(0, l-at.Sub(a.since)), max(0, h-at.Sub(a.since))
		}
		low, high = low+l, high+h
	}
	return low, high, true
}

// scaled is the range of what took d with n0 agents for n of them.
func scaled(d time.Duration, n0, n int) (low, high time.Duration) {
	other := time.Duration(float64(d) * float64(n) / float64(n0))
	return min(d, other), max(d, other)
}

// Words says a range of time left, as "5m–9m left"; times below a minute are
// not told apart.
func Words(low, high time.Duration) string {
	round := func(d time.Duration) string {
		switch {
		case d < time.Minute:
			return "1m"
		case d < time.Hour:
			return fmt.Sprintf("%dm", (d+30*time.Second)/time.Minute)
		}
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	l, h := round(low), round(high)
	switch {
	case high < time.Minute:
		return "under 1m left"
	case l == h:
		return "about " + h + " left"
	}
	return l + "–" + h + " left"
}
