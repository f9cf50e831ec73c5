package dashboard_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/x/dail/report"
	"github.com/x/dail/report/dashboard"
)

// many makes a folder of n reports of 24 combinations.
func many(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	r := sample(t)
	composed, err := os.ReadFile(committed + "/qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-151923/composed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cards := []string{"l4", "l40s", "a40", "a100-80gb", "h100-sxm", "h200", "b200", "rtx-4090"}
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		r.RunID, r.Hardware = report.RunID(start.Add(time.Duration(i)*time.Minute)), cards[i%len(cards)]
		r.Quant = []string{"fp8", "awq", "bf16"}[i%3]
		r.PriceUSDPerGPUHour = 0.3 + float64(i%len(cards))/2
		run := filepath.Join(dir, fmt.Sprintf("%04d", i))
		if err := os.MkdirAll(run, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := r.Write(filepath.Join(run, report.FileName)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(run, "composed.yaml"), composed, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"series-n4.csv", "series-n8.csv"} {
			b, err := os.ReadFile(committed + "/qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-151923/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(run, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// A page of a thousand reports: how long it takes, how large it is, and how much
// of the heap it needed.
func BenchmarkThousandReports(b *testing.B) {
	dir := many(b, 1000)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		path := filepath.Join(b.TempDir(), "d.html")
		if n, err := dashboard.WriteFile(path, dir); n != 1000 || err != nil {
			b.Fatal(n, err)
		}
		runtime.ReadMemStats(&after)
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "page-MB")
		b.ReportMetric(float64(after.HeapSys)/1e6, "heap-MB")
	}
}

const tries = 3

// readAll is how much computing it takes to read all reports of a folder and to do
// nothing with them, several at once.
func readAll(t *testing.T, dir string) time.Duration {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", report.FileName))
	if err != nil {
		t.Fatal(err)
	}
	began := cpuTime(t)
	var g errgroup.Group
	g.SetLimit(2 * runtime.NumCPU())
	for _, path := range paths {
		g.Go(func() error {
			_, err := report.Load(path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return cpuTime(t) - began
}

// cpuTime is what this process has computed, whatever else the machine was doing.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A thousand reports: a page is made within 300 MB, and with not much more computing
// than it takes to read them, which is some 1.7 s on two quiet cores; it opens within
// 2 s, and gives every answer within 2 s. The best of some tries counts: a machine
// that stalls is not what is measured.
func TestRealBrowserThousandReports(t *testing.T) {
	if os.Getenv("DAIL_REAL") == "" {
		t.Skip("SKIP: drives a headless Chromium; make test-real installs and runs it")
	}
	dir := many(t, 1000)
	path := filepath.Join(t.TempDir(), "d.html")
	runtime.GC()
	var m runtime.MemStats
	write := func() time.Duration {
		began := cpuTime(t)
		if n, err := dashboard.WriteFile(path, dir); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
		return cpuTime(t) - began
	}
	took := write()
	runtime.ReadMemStats(&m)
	read := readAll(t, dir)
	for range tries - 1 {
		took, read = min(took, write()), min(read, readAll(t, dir))
	}
	t.Logf("made in %v with %d MB from the system; reading the reports alone takes %v", took, m.Sys/1e6, read)
	if took > 5*read/2 || m.Sys > 300e6 {
		t.Errorf("made in %v with %d MB; reading the reports alone takes %v", took, m.Sys/1e6, read)
	}
	var steps []step
	for i := range tries {
		name := func(what string) string { return fmt.Sprint(what, i) }
		steps = append(steps, step{"do": "open", "name": name("open")})
		for _, v := range views {
			steps = append(steps, step{"do": "time", "name": name(v), "on": "[data-view=" + v + "]"})
		}
		steps = append(steps, step{"do": "time", "name": name("run"), "on": "main tbody a"})
	}
	saw := drive(t, path, append(steps, step{"do": "text", "name": "foot", "on": "footer"}))
	for _, what := range append([]string{"open", "run"}, views...) {
		least := math.Inf(1)
		for i := range tries {
			var took struct{ MS float64 }
			if err := json.Unmarshal(saw[fmt.Sprint(what, i)], &took); err != nil {
				t.Fatal(err)
			}
			least = min(least, took.MS)
		}
		t.Logf("%s: %.0f ms", what, least)
		if least > 2000 {
			t.Errorf("%s took %.0f ms", what, least)
		}
	}
	if !strings.Contains(text(t, saw["foot"]), "1000 reports") {
		t.Errorf("%s", saw["foot"])
	}
}
