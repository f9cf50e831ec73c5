// Package harness watches the machine that makes the load, so that a report can
// say whether the load generator, not the GPU, set the pace.
//
// The sampler looks at three things: how busy the processors are, how much
// memory is in use, and how late a timer fires. The last is what an agent feels
// when the machine is overloaded: a tool result, a spawn or a scrape that comes
// late by as much.
package harness

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Usage is what a sampler saw between Start and Stop.
type Usage struct {
	Cores int
	// CPUShare is the busy part of all cores, 0 to 1. On Linux it counts the
	// whole machine; elsewhere it counts this process and the children that it
	// has waited for, so a lower bound.
	CPUShare float64
	// PeakMemoryBytes is the most memory in use at a sample, on the whole
	// machine; 0 where the system does not say.
	PeakMemoryBytes uint64
	// TotalMemoryBytes is the machine's memory; 0 where unknown.
	TotalMemoryBytes uint64
	// DelayP50, DelayP90, DelayP99 and DelayMax are how late a timer fired.
	DelayP50, DelayP90, DelayP99, DelayMax time.Duration
}

// Limits above which the machine is said to have set the pace.
const (
	maxCPUShare    = 0.90
	maxMemoryShare = 0.92
	maxDelayP99    = 100 * time.Millisecond
)

// Limited reports whether the load generator was the bottleneck, and why.
func (u Usage) Limited() (bool, string) {
	var why []string
	if u.CPUShare > maxCPUShare {
		why = append(why, fmt.Sprintf("the %d cores were %.0f %% busy (limit %.0f %%)", u.Cores, u.CPUShare*100, maxCPUShare*100))
	}
	if u.TotalMemoryBytes > 0 && float64(u.PeakMemoryBytes) > maxMemoryShare*float64(u.TotalMemoryBytes) {
		why = append(why, fmt.Sprintf("memory was %.0f %% full", 100*float64(u.PeakMemoryBytes)/float64(u.TotalMemoryBytes)))
	}
	if u.DelayP99 > maxDelayP99 {
		why = append(why, fmt.Sprintf("one timer in a hundred fired %v late or later (limit %v)", u.DelayP99.Round(time.Millisecond), maxDelayP99))
	}
	return len(why) > 0, strings.Join(why, "; ")
}

// Sampler watches until Stop.
type Sampler struct {
	stop   chan struct{}
	done   chan struct{}
	begin  cpuTimes
	delays []time.Duration
	peak   uint64
	total  uint64
}

// interval is the timer whose lateness is measured; memory is read at every
// memoryEvery-th.
const (
	interval    = 20 * time.Millisecond
	memoryEvery = 25
)

// Start begins to watch.
func Start() *Sampler {
	s := &Sampler{stop: make(chan struct{}), done: make(chan struct{}), begin: readCPU()}
	go s.loop()
	return s
}

func (s *Sampler) loop() {
	defer close(s.done)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for n := 0; ; n++ {
		if n%memoryEvery == 0 {
			used, total := readMemory()
			s.peak, s.total = max(s.peak, used), total
		}
		due := time.Now().Add(interval)
		timer.Reset(interval)
		select {
		case <-s.stop:
			return
		case <-timer.C:
			s.delays = append(s.delays, max(0, time.Since(due)))
		}
	}
}

// Stop ends the watch and returns what was seen.
func (s *Sampler) Stop() Usage {
	close(s.stop)
	<-s.done
	u := Usage{
		Cores:            runtime.NumCPU(),
		CPUShare:         readCPU().share(s.begin),
		PeakMemoryBytes:  s.peak,
		TotalMemoryBytes: s.total,
	}
	if n := len(s.delays); n > 0 {
		slices.Sort(s.delays)
		u.DelayP50, u.DelayP90, u.DelayP99, u.DelayMax = s.delays[n/2], s.delays[n*9/10], s.delays[n*99/100], s.delays[n-1]
	}
	return u
}
