package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/x/dail/pod/podtest"
)

// Kill is a way for a program to die.
type Kill string

// The kills.
const (
	KillNone  Kill = "none" // it ends by itself, whatever the cloud does
	KillInt   Kill = "SIGINT"
	KillTerm  Kill = "SIGTERM"
	KillHup   Kill = "SIGHUP"
	KillKill  Kill = "SIGKILL"
	KillStop  Kill = "SIGSTOP" // it hangs: Ctrl-Z
	KillPanic Kill = "panic"   // of the goroutine that holds the pod
	KillCrash Kill = "crash"   // a panic of another one: no deferred call runs
	KillBoth  Kill = "SIGKILL, and the watchdog"
)

// kills are drawn from, the harder ones more often.
var kills = []Kill{
	KillNone, KillNone, KillInt, KillTerm, KillHup, KillKill, KillKill, KillKill, KillKill,
	KillStop, KillPanic, KillCrash, KillCrash, KillBoth, KillBoth,
}

// fault is one that may be drawn, at most how often in a row, and whether the
// switch alone can still end the pod under it.
type fault struct {
	podtest.Fault
	most  int
	alone bool
}

// faults are those of the double that leave a way out: none of them goes on
// for longer than the promise allows.
var faults = []fault{
	{podtest.CreateHangs, 1, true}, {podtest.CreateCut, 1, true}, {podtest.CreateSlow, 1, true}, {podtest.Create500, 1, true},
	{podtest.CreateLate, 1, false}, {podtest.CreateFails, 2, true}, {podtest.CreateBrokenJSON, 1, true}, {podtest.CreateTwice, 1, true},
	{podtest.NoCapacity, 3, true}, {podtest.BadRequest, 1, true}, {podtest.NoCredit, 1, true}, {podtest.Denied, 1, true},
	{podtest.Unprocessable, 1, true}, {podtest.CreateRate, 2, true},
	{podtest.GetNotFound, 3, true}, {podtest.Get500, 3, true}, {podtest.GetTerminated, 1, true},
	{podtest.List500, 2, true}, {podtest.ListPages, 3, true}, {podtest.ListShortPage, 3, true}, {podtest.ListLags, 3, true},
	{podtest.DeleteRate, 2, true}, {podtest.DeleteMissing, 2, true}, {podtest.Delete500, 3, true}, {podtest.DeleteDone500, 1, true},
	{podtest.DeleteCut, 1, true}, {podtest.DeleteBusy, 2, true}, {podtest.DeleteIgnored, 2, true}, {podtest.DeleteLate, 1, true},
	{podtest.PodKeyDenied, 1, true}, {podtest.GraphQLDenied, 1, true},
	{podtest.RateLimited, 2, true}, {podtest.Unavailable, 3, true}, {podtest.CallCut, 3, true}, {podtest.LogsSilent, 1, true},
	{podtest.SSHNever, 1, true}, {podtest.SSHLate, 1, true}, {podtest.SSHStale, 1, true}, {podtest.SSHRefuses, 1, true},
	{podtest.CostAbove, 1, true}, {podtest.StatusError, 1, false}, {podtest.StatusExited, 1, false}, {podtest.StatusUnknown, 1, true},
	{podtest.StuckPending, 1, false}, {podtest.CreatedAtV1, 1, true}, {podtest.Locked, 1, false},
	{podtest.WrongGPU, 1, true}, {podtest.GPULost, 1, true}, {podtest.GPUFewer, 1, true},
	{podtest.VLLMFails, 1, true}, {podtest.VLLMDies, 1, true}, {podtest.VLLMStall, 1, true}, {podtest.PID1Loops, 1, true},
	{podtest.SSHDrops, 1, true}, {podtest.SSHFreezes, 1, true}, {podtest.SSHMoves, 1, true}, {podtest.HostKeyChanges, 1, true},
	{podtest.ContainerCrash, 1, true}, {podtest.HostDies, 1, false}, {podtest.ForeignPods, 3, true},
}

// injected is a fault and how often it happens.
type injected struct {
	fault podtest.Fault
	times int
}

// noSwitch leaves a pod no way to end itself.
var noSwitch = []injected{{podtest.PodKeyDenied, -1}, {podtest.GraphQLDenied, -1}}

// plan is one trial.
type plan struct {
	number  int
	grace   time.Duration // see Options
	kill    Kill
	control Control
	// The kill comes when the server has answered this many calls, and this much
	// later; at the latest after the longest wait.
	afterCalls int
	delay      time.Duration
	hold       time.Duration // how long the victim holds its pod
	faults     []injected
}

// longestWait is when a victim is killed that the server hears nothing of.
const longestWait = 90 * time.Second

// draw makes up a trial.
func draw(rng *rand.Rand, control Control) *plan {
	p := &plan{
		kill:       kills[rng.IntN(len(kills))],
		control:    control,
		afterCalls: rng.IntN(16),
		delay:      time.Duration(rng.Int64N(int64(12 * time.Second))),
		hold:       time.Duration(rng.Int64N(int64(40 * time.Second))),
	}
	switch control {
	case NoWatchdog, NoSwitch:
		// The kill comes as soon as there is a pod, and nothing else may go wrong.
		p.kill, p.afterCalls, p.delay, p.hold = KillBoth, 0, 0, 10*longestWait
		if control == NoSwitch {
			p.faults = noSwitch
		}
		return p
	}
	for range rng.IntN(3) {
		f := faults[rng.IntN(len(faults))]
		if p.kill == KillBoth && !f.alone {
			continue
		}
		p.faults = append(p.faults, injected{f.Fault, 1 + rng.IntN(f.most)})
	}
	return p
}

// promise is how long after its end a pod of ours may live.
func (p *plan) promise() time.Duration {
	if p.kill == KillBoth && p.control != NoWatchdog {
		return switched
	}
	return watched
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s after %d calls and %v", p.kill, p.afterCalls, p.delay.Round(time.Second))
	for _, f := range p.faults {
		fmt.Fprintf(&b, ", %s × %d", f.fault, f.times)
	}
	if p.control != NoControl {
		fmt.Fprintf(&b, " [control: without the %s]", p.control)
	}
	return b.String()
}
