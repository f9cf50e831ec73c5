package harness

import "testing"

func TestParseStat(t *testing.T) {
	//                            user nice sys idle iowait irq softirq steal guest guestnice
	begin := parseStat([]byte("cpu  100 0 50 800 50 0 0 0 7 0\ncpu0 1 2 3\n"))
	end := parseStat([]byte("cpu  160 0 70 900 60 5 5 0 9 0\n"))
	if got := end.share(begin); got != 0.45 {
		t.Errorf("share = %v, want 90 busy of 200", got)
	}
	for _, bad := range []string{"", "intr 1 2 3 4 5 6", "cpu a b c d e f"} {
		if got := parseStat([]byte(bad)); got != (cpuTimes{}) {
			t.Errorf("parseStat(%q) = %+v", bad, got)
		}
	}
	if got := begin.share(end); got != 0 {
		t.Errorf("a clock that ran back gives %v", got)
	}
}

func TestParseMeminfo(t *testing.T) {
	used, total := parseMeminfo([]byte("MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    400 kB\nnonsense\n"))
	if used != 600<<10 || total != 1000<<10 {
		t.Errorf("used %d of %d", used, total)
	}
}
