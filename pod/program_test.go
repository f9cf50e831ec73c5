package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/x/dail/internal/clock"
)

// KindsOfTests are what the tests' programs and watchdogs can open.
func KindsOfTests() []Kind { return []Kind{{Name: "cloud", Open: openCloud}} }

// programEnv makes the test binary a program that has a machine: a part of one
// life, up to the point where it stands still and waits to be killed.
const programEnv = "DAIL_TEST_PROGRAM"

// programKeyEnv is where it gets its key from, as real programs do.
const programKeyEnv = "RUNPOD_API_KEY"

// program is what such a program is told.
type program struct {
	URL, State, Run, Clock string
	// Until is where it stands still: intended, asking, answered, created,
	// serving, kept, terminating; or how it ends: panic, exit, clean.
	Until      string
	NoWatchdog bool
	// Vanish removes the program's file before the watchdog is started.
	Vanish bool
}

// RunProgramOfTests is the whole program where this process is one.
func RunProgramOfTests() (was bool) {
	text := os.Getenv(programEnv)
	if text == "" {
		return false
	}
	var p program
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.run()
	}
	if err != nil {
		fmt.Println("program:", err)
		os.Exit(1)
	}
	return true
}

func (p program) run() error {
	var fast clock.Fast
	if err := fast.UnmarshalText([]byte(p.Clock)); err != nil {
		return err
	}
	if p.Vanish {
		exe, err := os.Executable()
		if err = errors.Join(err, os.Remove(exe)); err != nil {
			return err
		}
	}
	ctx := context.Background()
	c := &cloudClient{URL: p.URL, Key: Secret(os.Getenv(programKeyEnv)), http: &http.Client{Transport: &http.Transport{}}}
	w := &watchdog{clk: fast}
	if p.NoWatchdog {
		l, err := openLedger(p.State)
		if err != nil {
			return err
		}
		w.ledger, w.job = l, job{Kind: "cloud", Run: p.Run, Program: processOf(os.Getpid())}
	} else {
		var err error
		if w, err = startWatchdog(ctx, duty{Provider: c, Run: p.Run, State: p.State, Clock: fast}); err != nil {
			return err
		}
	}
	now := fast.Now()
	spec := Spec{Name: NewName(now), Marker: Marker{Owner: "kim@box", Run: p.Run, Deadline: now.Add(time.Hour)}}
	if p.Until == "kept" {
		spec.Marker.Keep = now.Add(2 * time.Minute)
	}
	return p.live(ctx, c, w, spec)
}

// live is a machine's life.
func (p program) live(ctx context.Context, c *cloudClient, w *watchdog, spec Spec) error {
	e := w.intent(spec)
	note := func(s entryState, id string) error {
		e.State, e.ID = s, id
		return w.ledger.put(e)
	}
	if err := note(stateIntended, ""); err != nil {
		return err
	}
	p.reached("intended", w)
	p.reached("asking", w) // the cloud's side says when it has the request
	m, err := c.Create(ctx, spec)
	if err != nil {
		return err
	}
	p.reached("answered", w)
	for _, s := range []entryState{stateCreated, stateServing} {
		if err := note(s, m.ID); err != nil {
			return err
		}
		p.reached(string(s), w)
	}
	p.reached("kept", w)
	p.reached("exit", w)
	p.reached("panic", w)
	if err := note(stateTerminating, m.ID); err != nil {
		return err
	}
	p.reached("terminating", w)
	if err := errors.Join(end(ctx, c, w.clk, m.ID, spec.Name), w.ledger.remove(spec.Name)); err != nil {
		return err
	}
	w.close()
	p.reached("clean", w)
	return nil
}

// reached stands still where the program is told to, or ends there.
func (p program) reached(point string, w *watchdog) {
	if point != p.Until {
		return
	}
	fmt.Printf("%d %s\n", w.process.PID, w.process.Start)
	switch point {
	case "asking":
	case "exit":
		os.Exit(0)
	case "panic":
		go panic("on purpose")
		fallthrough
	default:
		time.Sleep(time.Hour)
	case "clean":
		select {
		case <-w.done:
		case <-time.After(patience):
			fmt.Println("the watchdog has not ended")
		}
	}
}
