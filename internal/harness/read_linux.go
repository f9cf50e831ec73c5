package harness

import (
	"bytes"
	"os"
	"strconv"
)

// cpuTimes is /proc/stat's first line, in clock ticks.
type cpuTimes struct{ busy, all uint64 }

func readCPU() cpuTimes {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}
	}
	return parseStat(data)
}

// parseStat reads "cpu user nice system idle iowait irq softirq steal …"
// (proc_stat(5)). Waiting for I/O counts as idle; guest time is already in
// user's.
func parseStat(data []byte) cpuTimes {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 6 || string(fields[0]) != "cpu" {
		return cpuTimes{}
	}
	var t cpuTimes
	for i, f := range fields[1:min(len(fields), 9)] {
		v, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return cpuTimes{}
		}
		t.all += v
		if i != 3 && i != 4 {
			t.busy += v
		}
	}
	return t
}

func (t cpuTimes) share(begin cpuTimes) float64 {
	if t.all <= begin.all || t.busy < begin.busy {
		return 0
	}
	return float64(t.busy-begin.busy) / float64(t.all-begin.all)
}

// readMemory returns the bytes in use and in all, from /proc/meminfo.
func readMemory() (used, total uint64) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	return parseMeminfo(data)
}

func parseMeminfo(data []byte) (used, total uint64) {
	var available uint64
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseUint(string(fields[1]), 10, 64)
		if err != nil {
			continue
		}
		switch string(fields[0]) {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			available = kib << 10
		}
	}
	if available > total {
		return 0, total
	}
	return total - available, total
}
