// Package chaos kills programs that hold a pod, and makes their cloud
// misbehave, and counts what is left: the evidence behind the promise that no
// crash leaves a pod behind.
//
// A trial is real but for the cloud and the pace of time. A program of its own
// process (the victim) gets a pod from a RunPod double (pod/podtest), logs in,
// starts vLLM there, holds it, and gives it back; at a random point it is
// killed, by a signal, a panic, a crash, a stop, or together with its watchdog;
// random faults of the cloud come on top. All processes of a trial share a
// clock that runs [Times] as fast as the wall. Then the server is asked: is a
// pod of ours alive after 60 s (5 minutes where only the switch inside the pod
// is left), and was a pod of anybody else touched? Where the machine may be too
// slow for these times to be the programs' own, [Options].Grace lets a trial wait
// for longer before it calls a pod left.
//
// The same seed makes the same trials; what they meet inside a process depends
// on the machine's speed. A [Control] takes a guard out, which must be noticed.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Times is how fast the clock of a trial runs: a minute takes three seconds.
const Times = 20

// The promises, in the trial's time, from the moment of the kill.
const (
	watched  = time.Minute     // where a watchdog lives
	switched = 5 * time.Minute // where only the switch inside the pod is left
)

// Control is a guard that is taken out, to see that the trial notices.
type Control string

// The controls.
const (
	NoControl  Control = ""
	NoWatchdog Control = "watchdog" // it is killed with the program, and expected to live
	NoSwitch   Control = "switch"   // it dies with its machine's processes, and expected to live
)

// Options are what to try.
type Options struct {
	Trials  int
	Seed    uint64
	AtOnce  int // trials at the same time; 0: 4
	Control Control
	// Grace is how much longer than promised, on the wall, a pod may live before it
	// counts as left. It is 0 where the promise itself is judged, which takes a
	// machine that has nothing else to do. With it, a pod whose watchdog lives has
	// no switch, which would be in time for it too.
	Grace    time.Duration
	Progress io.Writer // a line for each trial that failed, and one now and then; nil: none
}

// Result is what came of the trials.
type Result struct {
	Trials, Kills, Faults int
	PodsLeft              int
	Late                  int // trials in which a pod lived longer than promised, left or not
	ForeignTouched        int
	LongestAlive          time.Duration // of the trial's clock, over all trials
	ByKill                map[Kill]*Row
	Failures              []string
}

// Row is one way to die.
type Row struct {
	Trials, Left int
	Longest      time.Duration
}

// Run makes the trials. Its error is one of the bench, not of what it tries.
func Run(ctx context.Context, opts Options) (*Result, error) {
	if opts.AtOnce <= 0 {
		opts.AtOnce = 4
	}
	res := &Result{Trials: opts.Trials, ByKill: map[Kill]*Row{}}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(opts.AtOnce)
	for i := range opts.Trials {
		plan := draw(rand.New(rand.NewPCG(opts.Seed, uint64(i))), opts.Control)
		plan.number, plan.grace = i, opts.Grace
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			got, err := plan.run(ctx)
			if err != nil {
				return fmt.Errorf("trial %d (%s): %w", i, plan, err)
			}
			mu.Lock()
			defer mu.Unlock()
			res.add(plan, got)
			if opts.Progress != nil {
				if got.left > 0 || got.touched > 0 || len(got.violations) > 0 {
					fmt.Fprintf(opts.Progress, "trial %d: %s: %d pods left, %d of others touched %v\n%s", i, plan, got.left, got.touched, got.violations, got.log)
				} else if done := res.done(); done%50 == 0 {
					fmt.Fprintf(opts.Progress, "%d of %d trials, %d pods left\n", done, opts.Trials, res.PodsLeft)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return res, err
}

func (r *Result) done() int {
	n := 0
	for _, row := range r.ByKill {
		n += row.Trials
	}
	return n
}

func (r *Result) add(p *plan, got outcome) {
	row := r.ByKill[p.kill]
	if row == nil {
		row = &Row{}
		r.ByKill[p.kill] = row
	}
	row.Trials++
	row.Left += got.left
	row.Longest = max(row.Longest, got.alive)
	if p.kill != KillNone {
		r.Kills++
	}
	r.Faults += len(p.faults)
	r.PodsLeft += got.left
	if got.alive > p.promise() {
		r.Late++
	}
	r.ForeignTouched += got.touched
	r.LongestAlive = max(r.LongestAlive, got.alive)
	if got.left > 0 || got.touched > 0 || len(got.violations) > 0 {
		r.Failures = append(r.Failures, fmt.Sprintf("trial %d: %s", p.number, p))
	}
}

// Err is what was promised and not held.
func (r *Result) Err() error {
	var errs []error
	if r.PodsLeft > 0 {
		errs = append(errs, fmt.Errorf("%d pods were left alive", r.PodsLeft))
	}
	if r.ForeignTouched > 0 {
		errs = append(errs, fmt.Errorf("%d pods of others were touched", r.ForeignTouched))
	}
	if len(errs) == 0 && len(r.Failures) > 0 {
		errs = append(errs, fmt.Errorf("%d trials broke the contract of the cloud's double", len(r.Failures)))
	}
	return errors.Join(errs...)
}
