//go:build unix && !linux

package harness

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTimes is what this process and its finished children used, and when.
type cpuTimes struct {
	used time.Duration
	at   time.Time
}

func readCPU() cpuTimes {
	t := cpuTimes{at: time.Now()}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			t.used += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return t
}

func (t cpuTimes) share(begin cpuTimes) float64 {
	wall := t.at.Sub(begin.at) * time.Duration(runtime.NumCPU())
	if wall <= 0 {
		return 0
	}
	return min(1, float64(t.used-begin.used)/float64(wall))
}

// readMemory: macOS has no figure that is cheap to read and means the same.
func readMemory() (used, total uint64) { return 0, 0 }
