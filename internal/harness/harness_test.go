package harness

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
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
		{"quota", Usage{Cores: 8, Quota: 1.5, CPUShare: 0.95, Throttled: 0.6}, "the 1.5 cores that the control group allows were 95 % busy (limit 90 %); the 1.5 cores that the control group allows were used up in 60 % of all periods (limit 25 %)"},
		{"quota with room", Usage{Cores: 8, Quota: 1.5, CPUShare: 0.5, Throttled: 0.1}, ""},
		{"nothing idle", Usage{Cores: 2, CPUShare: 0.8, Saturated: 0.5}, "the 2 cores had nothing idle for 50 % of the time (limit 25 %)"},
		{"slow spawns", Usage{SpawnP50: time.Millisecond, SpawnP90: 300 * time.Millisecond}, "one program in ten that does nothing took 300ms or longer (limit 250ms)"},
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
		s := (&Sampler{root: t.TempDir(), spawn: never}).start()
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

// never says that there is no program to start.
func never(context.Context) (time.Duration, bool) { return 0, false }

func TestSamplerStartsPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&Sampler{root: t.TempDir(), spawn: func(context.Context) (time.Duration, bool) {
			time.Sleep(300 * time.Millisecond) // a machine on which everything is late
			return 300 * time.Millisecond, true
		}}).start()
		time.Sleep(10500 * time.Millisecond)
		u := s.Stop()
		if u.SpawnP50 != 300*time.Millisecond || len(s.spawns) != 10 {
			t.Errorf("%d spawns, %+v", len(s.spawns), u)
		}
		if limited, why := u.Limited(); !limited || !strings.Contains(why, "does nothing") {
			t.Errorf("%v, %q", limited, why)
		}
	})
	if took, ok := spawnTrue(t.Context()); !ok || took <= 0 {
		t.Errorf("true took %v, %v", took, ok)
	}
}

// tree writes files under a folder of its own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestReadGroup(t *testing.T) {
	const stat = "usage_usec 5000000\nuser_usec 1\nnr_periods 100\nnr_throttled 40\nthrottled_usec 9\n"
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  group
	}{
		{"no groups, as on macOS", nil, group{}},
		{"no limits", map[string]string{
			"proc/self/cgroup":                           "0::/user.slice/session-2.scope\n",
			"sys/fs/cgroup/cgroup.procs":                 "",
			"sys/fs/cgroup/user.slice/cpu.max":           "max 100000\n",
			"sys/fs/cgroup/user.slice/session-2.scope/x": "",
			"sys/fs/cgroup/user.slice/memory.max":        "max\n",
			"sys/fs/cgroup/user.slice/memory.current":    "500\n",
		}, group{}},
		{"the tightest of the groups above", map[string]string{
			"proc/self/cgroup":               "0::/a/b/c\n",
			"sys/fs/cgroup/cgroup.procs":     "",
			"sys/fs/cgroup/a/cpu.max":        "400000 100000\n",
			"sys/fs/cgroup/a/b/cpu.max":      "150000 100000\n",
			"sys/fs/cgroup/a/b/cpu.stat":     stat,
			"sys/fs/cgroup/a/b/c/cpu.max":    "max 100000\n",
			"sys/fs/cgroup/a/memory.max":     "1000000\n",
			"sys/fs/cgroup/a/memory.current": "900000\n",
			"sys/fs/cgroup/a/memory.stat":    "anon 5\ninactive_file 300000\n",
			"sys/fs/cgroup/a/b/memory.max":   "2000000\n",
		}, group{cores: 1.5, used: 5 * time.Second, periods: 100, throttled: 40, memory: 600000, memoryMax: 1000000}},
		{"a container that sees itself as the root", map[string]string{
			"proc/self/cgroup":           "0::/\n",
			"sys/fs/cgroup/cgroup.procs": "",
			"sys/fs/cgroup/cpu.max":      "50000 100000\n",
			"sys/fs/cgroup/cpu.stat":     stat,
		}, group{cores: 0.5, used: 5 * time.Second, periods: 100, throttled: 40}},
		{"version 1, both controllers together, the path of the host", map[string]string{
			"proc/self/cgroup":                            "7:cpu,cpuacct:/docker/123\n5:memory:/docker/123\n1:name=systemd:/\n",
			"sys/fs/cgroup/cpu,cpuacct/cgroup.procs":      "",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "200000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.stat":          "nr_periods 10\nnr_throttled 3\nthrottled_time 77\n",
			"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage":     "3000000000\n",
			"sys/fs/cgroup/memory/cgroup.procs":           "",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":  "4096\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes":  "2048\n",
			"sys/fs/cgroup/memory/memory.stat":            "total_inactive_file 1024\n",
		}, group{cores: 2, used: 3 * time.Second, periods: 10, throttled: 3, memory: 1024, memoryMax: 4096}},
		{"version 1 without limits", map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n1:cpu:/\n0::/\n",
			"sys/fs/cgroup/cpu/cgroup.procs":             "",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":         "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":        "100000\n",
			"sys/fs/cgroup/memory/cgroup.procs":          "",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, group{}},
		{"nonsense", map[string]string{
			"proc/self/cgroup":           "what\n0::/../../etc\n",
			"sys/fs/cgroup/cgroup.procs": "",
			"sys/fs/cgroup/cpu.max":      "a b\n",
		}, group{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := readGroup(tree(t, tc.files)); got != tc.want {
				t.Errorf("%+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// A quota that is used up is told, whatever the whole machine is doing; lifted,
// it is told no more.
func TestAQuotaIsFlaggedAndCleared(t *testing.T) {
	const used = "usage_usec %d\nnr_periods %d\nnr_throttled %d\n"
	for _, tc := range []struct {
		name, max string
		usec      int // used in ten seconds
		throttled int // of a hundred periods
		limited   bool
		share     float64
	}{
		{"used up", "50000 100000", 4_900_000, 95, true, 0.98},
		{"half used", "50000 100000", 2_500_000, 5, false, 0.5},
		{"lifted", "max 100000", 20_000_000, 0, false, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := tree(t, map[string]string{
					"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.procs": "", "sys/fs/cgroup/cpu.max": tc.max,
					"sys/fs/cgroup/cpu.stat": fmt.Sprintf(used, 1000, 7, 2),
				})
				s := (&Sampler{root: root, spawn: never}).start()
				time.Sleep(10 * time.Second)
				after := fmt.Sprintf(used, 1000+tc.usec, 7+100, 2+tc.throttled)
				if err := os.WriteFile(filepath.Join(root, "sys/fs/cgroup/cpu.stat"), []byte(after), 0o644); err != nil {
					t.Fatal(err)
				}
				u := s.Stop()
				if limited := u.Throttled > maxThrottled; limited != tc.limited || tc.share >= 0 && math.Abs(u.CPUShare-tc.share) > 1e-9 {
					t.Errorf("%+v", u)
				}
				if _, why := u.Limited(); strings.Contains(why, "used up in") != tc.limited { // this machine may be busy besides
					t.Errorf("reason %q", why)
				}
			})
		})
	}
}
