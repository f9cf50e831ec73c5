package agents

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// proc is one process of this machine, as far as families are concerned.
type proc struct {
	pid, ppid, pgid int
	// start is when it was started, in a form that orders and tells apart; a
	// pid alone is used again.
	start  string
	zombie bool
	marked bool // it carries the family's marker
}

type ident struct {
	pid   int
	start string
}

func (p proc) ident() ident { return ident{p.pid, p.start} }

// family is all the processes that one command started.
type family struct {
	marker marker
	root   ident
	known  map[ident]bool // seen as members while their parents lived
	dead   map[ident]bool // zombies that were seen
	stop   func()         // ends the watching
}

// killTime is how long a family may resist SIGKILL. It takes longer only where
// a process is stuck in the kernel, or is somebody else's.
const killTime = 10 * time.Second

// members picks the family out of all processes: those that carry the marker,
// the root, those that were members when they were seen before, and whatever
// descends from any of these. inGroup adds the root's process group, for
// systems where nothing can be marked.
func members(all []proc, root ident, known map[ident]bool, inGroup bool) []proc {
	children := map[int][]proc{}
	for _, p := range all {
		children[p.ppid] = append(children[p.ppid], p)
	}
	in := map[int]bool{}
	var family []proc
	var add func(p proc)
	add = func(p proc) {
		if in[p.pid] || p.pid <= 1 {
			return
		}
		in[p.pid] = true
		family = append(family, p)
		for _, c := range children[p.pid] {
			add(c)
		}
	}
	for _, p := range all {
		if p.marked || p.ident() == root || known[p.ident()] || inGroup && p.pgid == root.pid {
			add(p)
		}
	}
	return family
}

// end asks the family to end, gives it the grace time, and forces it then,
// until a look that nobody can have got away from finds nobody. It returns how many processes other than the root
// had to be told.
func (f *family) end(grace time.Duration) (told int, err error) {
	f.forget()
	asked := map[ident]bool{}
	forceAt := time.Now().Add(grace)
	giveUp := forceAt.Add(killTime)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		alive, whole, err := f.alive()
		if err != nil {
			return told, err
		}
		now := time.Now()
		if len(alive) == 0 && (whole || now.After(giveUp)) {
			return told, nil
		}
		if now.After(giveUp) {
			return told, fmt.Errorf("could not end %s, not even with SIGKILL: end them by hand", pids(alive))
		}
		for _, p := range alive {
			switch {
			case !now.Before(forceAt):
				send(p, syscall.SIGKILL)
			case !asked[p.ident()]:
				send(p, syscall.SIGTERM)
			}
			if !asked[p.ident()] {
				asked[p.ident()] = true
				if p.ident() != f.root {
					told++
				}
			}
		}
		time.Sleep(pause)
	}
}

// alive returns the members that still run, and whether these are all. A zombie
// does not: it holds nothing, and only its parent can take it away.
func (f *family) alive() (list []proc, whole bool, err error) {
	all, whole, err := scan(f.marker, f.root, f.dead)
	if err != nil {
		return nil, false, fmt.Errorf("cannot see what it started: %w", err)
	}
	found := members(all, f.root, f.known, !marks)
	for _, p := range found {
		f.known[p.ident()] = true
	}
	return slices.DeleteFunc(found, func(p proc) bool { return p.zombie }), whole, nil
}

// forget ends the watching, where there is any.
func (f *family) forget() {
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
}

// newFamily founds the family of a process that was just started.
func newFamily(m marker, pid int) *family {
	f := &family{marker: m, root: ident{pid, startOf(pid)}, known: map[ident]bool{}, dead: map[ident]bool{}}
	if marks {
		return f
	}
	// Where nothing can be marked, descendants are remembered while they can
	// still be seen to descend. One that cuts itself loose between two looks is
	// missed.
	quit, done := make(chan struct{}), make(chan struct{})
	f.stop = func() { close(quit); <-done }
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				_, _, _ = f.alive() // the last look is the one that must not fail
			}
		}
	}()
	return f
}

func pids(procs []proc) string {
	var s []string
	for _, p := range procs {
		s = append(s, fmt.Sprint(p.pid))
	}
	if len(s) == 1 {
		return "process " + s[0]
	}
	return "processes " + strings.Join(s, ", ")
}
