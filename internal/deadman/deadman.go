// Package deadman is the switch inside a rented machine: a shell script that
// ends the machine when nobody has been heard from for a while, or when its
// absolute deadline is over, whatever became of the program that rented it.
//
// The switch runs from the container's first second (Boot stands in the
// request that creates it), before anybody can log in, and silence counts from
// there:
//
//	s := deadman.Switch{
//		Silence:  4 * time.Minute,
//		Deadline: time.Now().Add(65 * time.Minute),
//		Ending:   about.EndSelf, // shell; prints and holds no secret
//	}
//	create(s.Boot())             // in the create request
//	conn.Run(ctx, s.Arm(), nil)  // later, over SSH: sees that it runs
//	conn.Run(ctx, deadman.Beat(), nil) // every 30 s
//
// It keeps its files in $DAIL_ROOT/.dail (DAIL_ROOT is /workspace where the
// machine does not set it): deadman.sh, deadman.pid ("pid birth"), heartbeat,
// keep (unix seconds until which silence does not count; optional), and
// deadman.log, which stays below 128 KiB. It needs a POSIX shell, coreutils
// and, where there is no /proc, ps. It ends vLLM's process group (vllm.pid,
// vllm.born) after the first attempt to end the machine.
//
// Silence is counted in ticks, so that no jump of the clock ends a machine
// that is used; the deadline is the wall clock's. A missing heartbeat file is
// silence. An ending that fails is tried again every tick for ever.
package deadman

import (
	"crypto/sha256"
	_ "embed" // the scripts
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

//go:embed switch.sh
var switchBody string

//go:embed arm.sh
var armBody string

// Switch says when a machine ends itself, and how. Durations are seconds of
// the wall, also where the caller's clock is a faster one.
type Switch struct {
	// Silence is how long no heartbeat may come: 4 minutes where it is 0. It is
	// rounded up to whole ticks.
	Silence time.Duration
	// Tick is how often the switch looks: 10 seconds where it is 0.
	Tick time.Duration
	// Deadline is when the machine ends though it is used; the zero time is never.
	Deadline time.Time
	// KeepUntil is until when silence is no reason to end; the zero time is never.
	// A file keep with unix seconds in it says the same.
	KeepUntil time.Time
	// Ending is the shell program that ends the machine. Its status is 0 when the
	// end was accepted. What it prints is logged, so it prints no secret. It is
	// stopped after 60 s where the system has the timeout command.
	Ending string
	// Stays says that the machine lives on after its ending, as a borrowed host
	// does: a success is then the end of the switch as well. Without it the
	// ending is repeated, since a machine that has ended could not do that.
	Stays bool
}

// Boot is a program for the start of the machine, in the place of its image's
// own command: it arms the switch in the background and then becomes /start.sh
// (or what DAIL_START names) where there is one, else it sleeps for ever. It
// is safe to run again on the same disk: the deadline is absolute.
func (s Switch) Boot() string {
	return s.arm() + `
dail_arm
start=${DAIL_START:-/start.sh}
if [ -x "$start" ]; then exec "$start"; fi
trap 'kill "$!" 2>/dev/null; exit 143' TERM INT
while :; do
  sleep 3600 &
  wait "$!"
done
`
}

// Arm is a command that sees that the switch runs, and fails if it does not. A
// switch that lives already takes over the parameters of this one within a
// tick, in its own process and with the environment that it was started in.
func (s Switch) Arm() string { return s.arm() + "\ndail_arm\n" }

// Disarm is a command that ends the switch of a machine that is given back
// alive. It succeeds where there is none.
func Disarm() string { return armFunctions("") + "\ndail_disarm\n" }

// Beat is a command for one heartbeat. It differs from call to call.
func Beat() string {
	return `umask 077; d=${DAIL_ROOT:-/workspace}/.dail; mkdir -p "$d" && ` +
		`printf '%s\n' "$(date +%s).$$.` + strconv.FormatInt(time.Now().UnixNano(), 36) + `" >"$d/heartbeat.$$" && ` +
		`mv -f "$d/heartbeat.$$" "$d/heartbeat"`
}

func (s Switch) arm() string { return armFunctions(s.script()) }

func armFunctions(script string) string { return "dail_switch=" + quote(script) + "\n" + armBody }

// script is the switch itself: parameters, then the body.
func (s Switch) script() string {
	tick, silence := s.Tick, s.Silence
	if tick <= 0 {
		tick = 10 * time.Second
	}
	if silence <= 0 {
		silence = 4 * time.Minute
	}
	stays := 0
	if s.Stays {
		stays = 1
	}
	parameters := fmt.Sprintf("TICK=%s TICK_WHOLE=%d LIMIT=%d DEADLINE=%d KEEP=%d STAYS=%d\nENDING=%s\n",
		strconv.FormatFloat(tick.Seconds(), 'f', -1, 64), int64(math.Ceil(tick.Seconds())), (silence+tick-1)/tick,
		unix(s.Deadline), unix(s.KeepUntil), stays, quote(s.Ending))
	sum := sha256.Sum256([]byte(parameters + switchBody))
	id := hex.EncodeToString(sum[:8])
	return "#!/bin/sh\n# dail switch " + id + "\nID=" + id + "\n" + parameters + switchBody
}

// unix is t in whole seconds, rounded up; 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Second - 1).Unix()
}

// quote makes one word of the shell of s. No program text can hold a NUL.
func quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
