package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// stats are a process's figures. Zero is one that is not known.
type stats struct {
	CPUS     float64 `json:"cpu_s"`
	MaxRSS   int64   `json:"max_rss"`
	RSS      int64   `json:"rss"`
	HeapUse  int64   `json:"heap_inuse"`
	Mallocs  int64   `json:"mallocs"`
	Alloc    int64   `json:"total_alloc"`
	Requests int     `json:"requests"`
}

// ownStats are this process's.
func ownStats(requests int) stats {
	var u syscall.Rusage
	st := stats{Requests: requests}
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		st.CPUS = float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
		st.MaxRSS = int64(u.Maxrss)
		if runtime.GOOS == "linux" {
			st.MaxRSS <<= 10 // getrusage(2): kilobytes there, bytes on macOS
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st.HeapUse, st.Mallocs, st.Alloc = int64(m.HeapInuse), int64(m.Mallocs), int64(m.TotalAlloc)
	if rss, ok := procRSS(os.Getpid()); ok {
		st.RSS = rss
	}
	return st
}

// procRSS reads the resident memory from Linux's proc_pid_statm(5).
func procRSS(pid int) (int64, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// quantile is the smallest of the sorted values that at least the share q of
// them does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

// rise is by how much of their mean the values climb from first to last, on
// the straight line of least squares.
func rise(values []float64) float64 {
	n := float64(len(values))
	var sx, sy, sxy, sxx float64
	for i, v := range values {
		x := float64(i)
		sx, sy, sxy, sxx = sx+x, sy+v, sxy+x*v, sxx+x*x
	}
	if d := n*sxx - sx*sx; d != 0 && sy != 0 {
		return (n*sxy - sx*sy) / d * (n - 1) / (sy / n)
	}
	return 0
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// sorted returns the values in order.
func sorted(d []time.Duration) []time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d
}
