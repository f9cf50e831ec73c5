package pod

import (
	"context"
	"fmt"
	"time"

	"github.com/x/dail/internal/remote"
)

// guard is what stands beside a machine that outlives its program: the ledger,
// and the watchdog that goes by it. A nil guard does nothing: there is nothing
// to outlive.
type guard struct{ watchdog *watchdog }

// newGuard gives back what earlier runs left behind, and starts the watchdog
// before there is anything to watch.
func newGuard(ctx context.Context, l *life) (*guard, error) {
	survivor, ok := l.provider.(Survivor)
	if !ok {
		return nil, fmt.Errorf("its machines outlive this program, and it cannot be handed to a watchdog: make it a pod.Survivor")
	}
	reaped, err := Reap(ctx, survivor, ReapOptions{OnStart: true, State: l.opts.State, Clock: l.opts.Clock})
	for _, r := range reaped {
		if r.Action != ActionLeft {
			l.say(fmt.Sprintf("of an earlier run: machine %s %s: %s", r.Machine.Name, r.Action, r.Reason))
		}
	}
	if err != nil {
		return nil, err
	}
	w, err := startWatchdog(ctx, duty{Provider: survivor, Run: l.opts.RunID, State: l.opts.State, Clock: l.opts.Clock})
	if err != nil {
		return nil, err
	}
	return &guard{w}, nil
}

// intend writes down that a machine is about to be asked for.
func (g *guard) intend(s Spec) error {
	if g == nil {
		return nil
	}
	e := g.watchdog.intent(s)
	e.Keep = time.Time{} // the marker tells reapers; who guards it is told at the end
	return g.watchdog.ledger.put(e)
}

// keep writes down until when a machine stays though its run is over.
func (g *guard) keep(s Spec) error {
	return g.change(s.Name, func(e *entry) { e.Keep, e.Deadline = s.Marker.Keep, s.Marker.Deadline })
}

// created writes down the machine that came of it.
func (g *guard) created(s Spec, m Machine) error {
	return g.change(s.Name, func(e *entry) { e.State, e.ID, e.USDPerHour = stateCreated, m.ID, m.USDPerHour })
}

// state writes down how far a machine is.
func (g *guard) state(name string, s entryState) error {
	return g.change(name, func(e *entry) { e.State = s })
}

func (g *guard) change(name string, f func(*entry)) error {
	if g == nil {
		return nil
	}
	e, err := g.watchdog.ledger.get(name)
	if err != nil {
		return err
	}
	f(&e)
	return g.watchdog.ledger.put(e)
}

// forget writes down that there is no such machine any more.
func (g *guard) forget(name string) error {
	if g == nil {
		return nil
	}
	return g.watchdog.ledger.remove(name)
}

// close lets the watchdog go. It stays for what is still in the ledger.
func (g *guard) close() {
	if g != nil {
		g.watchdog.close()
	}
}

// CheckKey refuses a private SSH key that could not log in to anything, before
// anything is created.
func CheckKey(path string) error {
	_, err := remote.LoadKey(path)
	return err
}
