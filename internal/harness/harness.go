// Package harness watches the machine that makes the load, so that a report can
// say whether the load generator, not the GPU, set the pace.
//
// The sampler looks at how busy the processors are, or what a control group
// leaves of them; at how much memory is in use; at how late a timer fires; and
// at how long the smallest of programs takes. The last two are what an agent
// feels when the machine is overloaded: a scrape, a tool's result or a spawn
// comes late by as much, and in that time the GPU has less to do than N
// developers would give it.
package harness

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Usage is what a sampler saw between Start and Stop.
type Usage struct {
	Cores int
	// Quota is the number of cores that the control groups around this process
	// allow it; 0: all of them.
	Quota float64
	// CPUShare is the busy part of all cores, or of the quota, 0 to 1. On Linux
	// it counts the whole machine, or the whole group; elsewhere this process
	// and the children that it has waited for, so a lower bound.
	CPUShare float64
	// Saturated is the part of the time, 0 to 1, in which hardly a core was idle:
	// there, whatever an agent's tools compute takes longer than it would for a
	// developer with a machine of their own. A short program or a timer does not
	// notice: the kernel lets those who ask for little go first.
	Saturated float64
	// Throttled is the part of the quota's periods, 0 to 1, in which somebody
	// had to wait for the next one.
	Throttled float64
	// PeakMemoryBytes is the most memory in use at a sample, on the whole
	// machine or in the group; 0 where the system does not say.
	PeakMemoryBytes uint64
	// TotalMemoryBytes is the machine's memory, or the group's limit; 0 where
	// unknown.
	TotalMemoryBytes uint64
	// DelayP50, DelayP90, DelayP99 and DelayMax are how late a timer fired.
	DelayP50, DelayP90, DelayP99, DelayMax time.Duration
	// SpawnP50, SpawnP90, SpawnP99 are how long a program that does nothing took
	// from its start to its end; 0 where none could be started.
	SpawnP50, SpawnP90, SpawnP99 time.Duration
}

// Limits above which the machine is said to have set the pace.
const (
	maxCPUShare    = 0.90
	maxSaturated   = 0.25
	maxThrottled   = 0.25
	maxMemoryShare = 0.92
	maxDelayP99    = 100 * time.Millisecond
	maxSpawnP90    = 250 * time.Millisecond // some 2 ms on an idle machine
)

// Limited reports whether the load generator was the bottleneck, and why.
func (u Usage) Limited() (bool, string) {
	var why []string
	cores := fmt.Sprintf("the %d cores", u.Cores)
	if u.Quota > 0 {
		cores = fmt.Sprintf("the %.3g cores that the control group allows", u.Quota)
	}
	if u.CPUShare > maxCPUShare {
		why = append(why, fmt.Sprintf("%s were %.0f %% busy (limit %.0f %%)", cores, u.CPUShare*100, maxCPUShare*100))
	}
	if u.Saturated > maxSaturated {
		why = append(why, fmt.Sprintf("%s had nothing idle for %.0f %% of the time (limit %.0f %%)", cores, u.Saturated*100, maxSaturated*100))
	}
	if u.Throttled > maxThrottled {
		why = append(why, fmt.Sprintf("%s were used up in %.0f %% of all periods (limit %.0f %%)", cores, u.Throttled*100, maxThrottled*100))
	}
	if u.TotalMemoryBytes > 0 && float64(u.PeakMemoryBytes) > maxMemoryShare*float64(u.TotalMemoryBytes) {
		why = append(why, fmt.Sprintf("memory was %.0f %% full", 100*float64(u.PeakMemoryBytes)/float64(u.TotalMemoryBytes)))
	}
	if u.DelayP99 > maxDelayP99 {
		why = append(why, fmt.Sprintf("one timer in a hundred fired %v late or later (limit %v)", u.DelayP99.Round(time.Millisecond), maxDelayP99))
	}
	if u.SpawnP90 > maxSpawnP90 {
		why = append(why, fmt.Sprintf("one program in ten that does nothing took %v or longer (limit %v)", u.SpawnP90.Round(time.Millisecond), maxSpawnP90))
	}
	return len(why) > 0, strings.Join(why, "; ")
}

// Sampler watches until Stop.
type Sampler struct {
	root  string
	spawn func(context.Context) (time.Duration, bool)

	stop   context.CancelFunc
	done   chan struct{} // closed by the timer's loop,
	idle   chan struct{} // and by the spawner's
	began  time.Time
	cpu    cpuTimes
	looks  int // at how busy the cores were since the look before,
	full   int // and how often nothing was idle
	group  group
	delays []time.Duration
	spawns []time.Duration
	peak   uint64
	total  uint64
}

// interval is the timer whose lateness is measured; memory and processors are
// looked at at every lookEvery-th. A program is started every spawnEvery: often enough for a
// quantile of a level of minutes, and some thousandth of a core.
const (
	interval   = 20 * time.Millisecond
	lookEvery  = 25
	spawnEvery = time.Second
	// idleNone is the busy part of the cores from which on nothing is idle.
	idleNone = 0.95
)

// Start begins to watch.
func Start() *Sampler {
	return (&Sampler{root: "/", spawn: spawnTrue}).start()
}

func (s *Sampler) start() *Sampler {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done, s.idle = stop, make(chan struct{}), make(chan struct{})
	s.began, s.cpu, s.group = time.Now(), readCPU(), readGroup(s.root)
	go s.watchTimer(ctx)
	go s.watchSpawns(ctx)
	return s
}

func (s *Sampler) watchTimer(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	last := s.cpu
	for n := 0; ; n++ {
		if n%lookEvery == 0 {
			if now := readCPU(); n > 0 {
				s.looks++
				if now.share(last) > idleNone {
					s.full++
				}
				last = now
			}
			used, total := readMemory()
			if g := readGroup(s.root); g.memoryMax > 0 && (total == 0 || g.memoryMax < total) {
				used, total = g.memory, g.memoryMax
			}
			s.peak, s.total = max(s.peak, used), total
		}
		due := time.Now().Add(interval)
		timer.Reset(interval)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.delays = append(s.delays, max(0, time.Since(due)))
		}
	}
}

func (s *Sampler) watchSpawns(ctx context.Context) {
	defer close(s.idle)
	tick := time.NewTicker(spawnEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		took, ok := s.spawn(ctx)
		if !ok {
			return // there is no such program here
		}
		if ctx.Err() == nil {
			s.spawns = append(s.spawns, took)
		}
	}
}

// spawnTrue runs the program that does nothing.
func spawnTrue(ctx context.Context) (time.Duration, bool) {
	began := time.Now()
	err := exec.CommandContext(ctx, "true").Run()
	return time.Since(began), err == nil || ctx.Err() != nil
}

// Stop ends the watch and returns what was seen.
func (s *Sampler) Stop() Usage {
	s.stop()
	<-s.done
	<-s.idle
	end := readGroup(s.root)
	u := Usage{
		Cores:            runtime.NumCPU(),
		CPUShare:         readCPU().share(s.cpu),
		PeakMemoryBytes:  s.peak,
		TotalMemoryBytes: s.total,
	}
	if s.looks > 0 {
		u.Saturated = float64(s.full) / float64(s.looks)
	}
	if end.cores > 0 && end.cores < float64(u.Cores) {
		u.Quota = end.cores
		used, throttled := end.share(s.group, time.Since(s.began))
		u.Throttled = throttled
		if used > 0 {
			u.CPUShare = used
		}
	}
	if d := s.delays; len(d) > 0 {
		u.DelayP50, u.DelayP90, u.DelayP99 = quantiles(d)
		u.DelayMax = d[len(d)-1]
	}
	u.SpawnP50, u.SpawnP90, u.SpawnP99 = quantiles(s.spawns)
	return u
}

// quantiles sorts the durations in place; 0 of none.
func quantiles(d []time.Duration) (p50, p90, p99 time.Duration) {
	n := len(d)
	if n == 0 {
		return 0, 0, 0
	}
	slices.Sort(d)
	return d[n/2], d[n*9/10], d[n*99/100]
}
