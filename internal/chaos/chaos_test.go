package chaos_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/internal/chaos"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

func TestMain(m *testing.M) {
	pod.Main()
	podtest.Main()
	chaos.Main()
	goleak.VerifyTestMain(m)
}

// A part of make chaos, which makes five hundred. When a pod ends is for that to
// judge: beside other tests it says more of this machine than of the guards.
// Here each must end.
func TestNoPodIsLeft(t *testing.T) {
	t.Parallel()
	res, err := chaos.Run(t.Context(), chaos.Options{Trials: 32, Seed: 4, Grace: time.Minute, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("FIGURE: chaos: %d trials, %d kills, %d faults: %d pods left, %d ended late, %d of others touched, the longest alive for %v",
		res.Trials, res.Kills, res.Faults, res.PodsLeft, res.Late, res.ForeignTouched, res.LongestAlive)
	if err := res.Err(); err != nil {
		t.Error(err)
	}
	if res.Kills < res.Trials/2 {
		t.Errorf("%d kills in %d trials", res.Kills, res.Trials)
	}
}

// A trial from which a guard is taken out is caught: without these two, the
// test above could pass because nothing was ever at stake.
func TestAMissingGuardIsCaught(t *testing.T) {
	for _, control := range []chaos.Control{chaos.NoWatchdog, chaos.NoSwitch} {
		t.Run(string(control), func(t *testing.T) {
			t.Parallel()
			res, err := chaos.Run(t.Context(), chaos.Options{Trials: 1, Seed: 1, Control: control})
			if err != nil {
				t.Fatal(err)
			}
			if res.Err() == nil || res.PodsLeft == 0 {
				t.Errorf("without its %s nothing was left: %+v", control, res)
			}
		})
	}
}
