package pod_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/pod"
)

func TestMeterBooksEverySecondOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		m := pod.NewMeter(time.Now)
		m.Mark("create")
		time.Sleep(3 * time.Second)
		m.Mark("generation")
		time.Sleep(10 * time.Second)
		m.Mark("probe")
		time.Sleep(2 * time.Second)
		m.Mark("generation")
		time.Sleep(5 * time.Second)
		if got := m.Steps()[1].Elapsed; got != 15*time.Second {
			t.Errorf("a running step counts up to now: %v", got)
		}
		time.Sleep(time.Second)
		m.Stop()
		billed := time.Since(begin)
		time.Sleep(time.Hour) // after the end nothing is billed

		want := []pod.Step{{"create", 3 * time.Second}, {"generation", 16 * time.Second}, {"probe", 2 * time.Second}}
		if diff := cmp.Diff(want, m.Steps()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		var sum time.Duration
		for _, s := range m.Steps() {
			sum += s.Elapsed
		}
		if sum != billed {
			t.Errorf("steps sum to %v, the pod was up for %v", sum, billed)
		}
	})
}

func ExampleCost() {
	fmt.Printf("%.2f\n", pod.Cost(30*time.Minute, 3.59, 8))
	// Output: 14.36
}
