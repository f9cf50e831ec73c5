package harness

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitedSaysWhy(t *testing.T) {
	tests := []struct {
		name string
		u    Usage
		want string
	}{
		{"idle", Usage{Cores: 2, CPUShare: 0.4, DelayP99: 5 * time.Millisecond, PeakMemoryBytes: 4, TotalMemoryBytes: 24}, ""},
		{"memory unknown", Usage{Cores: 2, CPUShare: 0.4}, ""},
		{"cpu", Usage{Cores: 2, CPUShare: 0.97}, "the 2 cores were 97 % busy (limit 90 %)"},
		{"memory", Usage{PeakMemoryBytes: 95, TotalMemoryBytes: 100}, "memory was 95 % full"},
		{"late timers", Usage{DelayP99: 250 * time.Millisecond}, "one timer in a hundred fired 250ms late or later (limit 100ms)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limited, why := tt.u.Limited()
			if why != tt.want || limited != (tt.want != "") {
				t.Errorf("Limited() = %v, %q; want %q", limited, why, tt.want)
			}
		})
	}
}

// In a bubble the clock only moves when all is idle, so no timer is late.
func TestSamplerCountsNoDelayOnAnIdleClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start()
		time.Sleep(10 * interval)
		synctest.Wait()
		u := s.Stop()
		if u.DelayMax != 0 || u.Cores < 1 {
			t.Errorf("usage = %+v, want no delay", u)
		}
		if len(s.delays) < 9 {
			t.Errorf("%d samples in ten intervals", len(s.delays))
		}
	})
}
