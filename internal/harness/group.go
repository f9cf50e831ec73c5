package harness

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group is what the control groups around this process allow it and say of it:
// a container's limits, or systemd's. The zero value has no limits.
type group struct {
	cores              float64       // the tightest quota; 0: none
	used               time.Duration // CPU time within that quota; 0: not told
	periods, throttled uint64        // of that quota
	memory, memoryMax  uint64        // bytes; a maximum of 0: none
}

// readGroup reads the groups of this process, from its own up to the topmost:
// the tightest limit counts (cgroups(7), and the kernel's cgroup-v2.rst and
// v1/cpuacct.rst). root is where proc and sys are found. Where there are none,
// as on macOS, nothing is known and nothing is limited.
func readGroup(root string) group {
	var g group
	for line := range strings.Lines(text(root, "proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		controllers := strings.Split(fields[1], ",")
		switch {
		case fields[0] == "0":
			for _, dir := range around(root, fields[2], "", "unified") {
				g.tighten2(dir)
			}
		case has(controllers, "cpu"):
			for _, dir := range around(root, fields[2], fields[1], "cpu") {
				g.tighten1(dir)
			}
		case has(controllers, "memory"):
			for _, dir := range around(root, fields[2], "memory") {
				g.remember(dir, "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
			}
		}
	}
	return g
}

// around lists the folders of a group and of all above it, in the first of the
// hierarchies that is mounted. In a container the group's own path may not be
// visible; then what is mounted is it.
func around(root, group string, hierarchies ...string) []string {
	for _, h := range hierarchies {
		base := filepath.Join(root, "sys/fs/cgroup", h)
		if _, err := os.Stat(filepath.Join(base, "cgroup.procs")); err != nil {
			continue
		}
		var dirs []string
		for at := path.Clean("/" + group); ; at = path.Dir(at) {
			if dir := filepath.Join(base, at); at == "/" || exists(dir) {
				dirs = append(dirs, dir)
			}
			if at == "/" {
				return dirs
			}
		}
	}
	return nil
}

// tighten2 reads a version 2 group.
func (g *group) tighten2(dir string) {
	if quota, period, ok := strings.Cut(strings.TrimSpace(text(dir, "cpu.max")), " "); ok {
		g.quota(number(quota), number(period), func() {
			stat := table(dir, "cpu.stat")
			g.used = time.Duration(stat["usage_usec"]) * time.Microsecond
			g.periods, g.throttled = stat["nr_periods"], stat["nr_throttled"]
		})
	}
	g.remember(dir, "memory.current", "memory.max", "inactive_file")
}

// tighten1 reads a version 1 group of the cpu controller.
func (g *group) tighten1(dir string) {
	g.quota(number(text(dir, "cpu.cfs_quota_us")), number(text(dir, "cpu.cfs_period_us")), func() {
		stat := table(dir, "cpu.stat")
		g.used = time.Duration(number(text(dir, "cpuacct.usage"))) // only where both are mounted together
		g.periods, g.throttled = stat["nr_periods"], stat["nr_throttled"]
	})
}

// quota takes over a quota that is tighter than what is known.
func (g *group) quota(quota, period uint64, tell func()) {
	if quota == 0 || period == 0 {
		return
	}
	if cores := float64(quota) / float64(period); g.cores == 0 || cores < g.cores {
		g.cores = cores
		tell()
	}
}

// remember takes over a tighter limit of memory. File pages that nobody has
// touched for long are given up before anything is short, so they are not used.
func (g *group) remember(dir, current, limit, inactive string) {
	most := number(text(dir, limit))
	if most == 0 || most > 1<<60 || g.memoryMax > 0 && most >= g.memoryMax { // v1 shows "none" as a huge number
		return
	}
	used, idle := number(text(dir, current)), table(dir, "memory.stat")[inactive]
	g.memoryMax, g.memory = most, used-min(used, idle)
}

// share is the used part of the quota since begin, and the part of its periods
// in which processes were made to wait for the next one.
func (g group) share(begin group, elapsed time.Duration) (used, throttled float64) {
	if g.cores == 0 || elapsed <= 0 || g.cores != begin.cores {
		return 0, 0
	}
	if g.used > begin.used && begin.used > 0 {
		used = (g.used - begin.used).Seconds() / (g.cores * elapsed.Seconds())
	}
	if g.periods > begin.periods && g.throttled >= begin.throttled {
		throttled = float64(g.throttled-begin.throttled) / float64(g.periods-begin.periods)
	}
	return used, throttled
}

func has(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// text is a file's content, empty where it cannot be read.
func text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return string(b)
}

// number reads a whole number; what is none ("max", "-1", nothing) is 0.
func number(s string) uint64 {
	v, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// table reads lines of a name and a number.
func table(dir, name string) map[string]uint64 {
	values := map[string]uint64{}
	for line := range strings.Lines(text(dir, name)) {
		if key, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			values[key] = number(v)
		}
	}
	return values
}
