package dashboard_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/report"
	"github.com/x/dail/report/dashboard"
)

type step map[string]any

// drive lets a browser do these steps on a page, and returns what it saw. Any
// console error, foreign request or serious finding of axe-core is a failure.
func drive(t *testing.T, html string, steps []step) map[string]json.RawMessage {
	t.Helper()
	saw, faults := browse(t, html, steps)
	for _, f := range faults {
		t.Error(f)
	}
	return saw
}

func browse(t *testing.T, html string, steps []step) (map[string]json.RawMessage, []string) {
	t.Helper()
	if os.Getenv("DAIL_REAL") == "" {
		t.Skip("SKIP: drives a headless Chromium; make test-real installs and runs it")
	}
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	driver, err := filepath.Abs("../../infra/browser/drive.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if chromium == "" {
		t.Fatal("no Chromium is on the PATH")
	}
	plan, err := json.Marshal(map[string]any{"url": "file://" + html, "origin": "file://" + html, "chromium": chromium, "shots": os.Getenv("DAIL_SHOTS"), "steps": steps})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", driver)
	cmd.Stdin = bytes.NewReader(plan)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var answer struct {
		Saw    map[string]json.RawMessage
		Faults []string
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return answer.Saw, answer.Faults
}

func text(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return s
}

func rows(t *testing.T, raw json.RawMessage) [][]string {
	t.Helper()
	var r [][]string
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return r
}

// page writes a folder's page to a file.
func page(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dashboard.html")
	if _, err := dashboard.WriteFile(path, dir); err != nil {
		t.Fatal(err)
	}
	return path
}

var views = []string{"answer", "cost", "speed", "tokens", "apis", "runs"}

// Every view, on a desktop and on a phone, light and dark: nothing in the console,
// no request, nothing serious for axe-core, charts that are drawn, no page wider
// than its screen.
func TestRealBrowserViews(t *testing.T) {
	var steps []step
	for _, screen := range []struct {
		name          string
		width, height int
		scheme        string
	}{{"desktop-light", 1280, 900, "light"}, {"desktop-dark", 1280, 900, "dark"}, {"phone-light", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}} {
		name := func(what string) string { return screen.name + "-" + what }
		steps = append(steps, step{"do": "open", "name": name("open"), "width": screen.width, "height": screen.height, "scheme": screen.scheme})
		for _, v := range views {
			steps = append(steps, step{"do": "click", "on": "[data-view=" + v + "]"},
				step{"do": "text", "name": name(v), "on": "main"}, step{"do": "ink", "name": name(v + "-ink")}, step{"do": "overflow", "name": name(v + "-overflow")},
				step{"do": "axe", "name": name(v)}, step{"do": "shot", "name": name(v), "full": v != "answer"})
		}
		steps = append(steps, step{"do": "click", "on": "main tbody a"}, step{"do": "text", "name": name("run"), "on": "main"},
			step{"do": "axe", "name": name("run")}, step{"do": "overflow", "name": name("run-overflow")}, step{"do": "shot", "name": name("run")},
			step{"do": "click", "on": "#whatif summary"}, step{"do": "axe", "name": name("whatif")})
	}
	paper := filepath.Join(t.TempDir(), "paper.pdf")
	saw := drive(t, page(t, committed), append(steps, step{"do": "print", "path": paper}))
	if info, err := os.Stat(paper); err != nil || info.Size() < 20_000 {
		t.Errorf("on paper: %v, %v", info, err)
	}
	for name, raw := range saw {
		switch {
		case strings.HasSuffix(name, "-overflow"):
			if string(raw) != "0" {
				t.Errorf("%s: the page is %s px wider than its screen", name, raw)
			}
		case strings.HasSuffix(name, "-ink"):
			var colours []int
			if err := json.Unmarshal(raw, &colours); err != nil {
				t.Fatal(err)
			}
			for i, n := range colours {
				if n < 8 {
					t.Errorf("%s: chart %d has %d colours: nothing was drawn", name, i, n)
				}
			}
		}
	}
	for view, want := range map[string]string{
		"answer": "per dev-month", "cost": "Where each stops holding", "speed": "Latency and speed", "tokens": "Per-token economics",
		"apis": "Break-even", "runs": "runs", "run": "composed.yaml",
	} {
		if got := text(t, saw["desktop-light-"+view]); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q:\n%.600s", view, want, got)
		}
	}
}

// What the page shows are the reports' numbers; what it computes follows from
// them.
func TestRealBrowserNumbers(t *testing.T) {
	files, err := report.LoadDir(committed)
	if err != nil {
		t.Fatal(err)
	}
	var all []report.Combined
	for _, c := range report.Combine(files) {
		if c.Benchmark == "dev-load" {
			all = append(all, c)
		}
	}
	// The cheapest for a team: the whole server's month over the team.
	const hours = 730.0
	answer := func(team int, duty float64, price map[string]float64, monthHours float64, keep func(report.Combined) bool) (string, string) {
		best, text := 0.0, "none"
		for _, c := range all {
			l, ok := c.Best()
			if !ok || !keep(c) {
				continue
			}
			capacity := l.Devs
			if duty > 0 {
				capacity = people(t, l.Devs, duty)
			}
			usd := c.Latest.PriceUSDPerGPUHour
			if p, ok := price[c.Hardware]; ok {
				usd = p
			}
			servers := (team + capacity - 1) / capacity
			cost := float64(servers) * usd * float64(c.GPUs) * monthHours / float64(team)
			if best == 0 || cost < best {
				best, text = cost, fmt.Sprintf("%d × %s with %s/%s", c.GPUs, c.Hardware, c.Family, c.Quant)
			}
		}
		return text, usd(best)
	}
	any := func(report.Combined) bool { return true }
	steps := []step{
		{"do": "open", "name": "open"}, {"do": "text", "name": "first", "on": ".hero"}, {"do": "rows", "name": "ranking", "on": "main table"},
		{"do": "type", "on": "#team", "value": "40"}, {"do": "text", "name": "forty", "on": ".hero"}, {"do": "hash", "name": "link"},
		{"do": "type", "on": "#team", "value": "8"},
		{"do": "click", "on": "#src-imported"}, {"do": "text", "name": "simulated", "on": ".hero"}, {"do": "click", "on": "#src-imported"},
		{"do": "click", "on": "#whatif summary"},
		{"do": "type", "on": "#wi-price-h200", "value": "0.01"}, {"do": "text", "name": "cheap", "on": ".hero"}, {"do": "text", "name": "changed", "on": "#whatif-set"},
		{"do": "click", "on": "#wi-reset"},
		{"do": "type", "on": "#wi-hours", "value": "176"}, {"do": "type", "on": "#wi-duty", "value": "25"}, {"do": "text", "name": "office", "on": ".hero"},
		{"do": "click", "on": "#wi-reset"},
		{"do": "type", "on": "#wi-tps", "value": "1000"}, {"do": "text", "name": "impossible", "on": ".hero"}, {"do": "rows", "name": "nobody", "on": "main table"},
		{"do": "type", "on": "#wi-tps", "value": "45"}, {"do": "text", "name": "faster", "on": ".hero"},
		{"do": "text", "name": "limits", "on": "main"},
		{"do": "type", "on": "#wi-ttft", "value": "9"}, {"do": "text", "name": "one for all", "on": "main"},
		{"do": "click", "on": "#wi-reset"}, {"do": "text", "name": "again", "on": ".hero"},
		{"do": "click", "on": "[data-view=speed]"}, {"do": "rows", "name": "speeds", "on": "main table"},
		{"do": "click", "on": "[data-view=tokens]"}, {"do": "rows", "name": "tokens", "on": "main table"},
		{"do": "click", "on": "[data-view=apis]"}, {"do": "rows", "name": "apis", "on": "main table"},
		{"do": "click", "on": "[data-view=runs]"}, {"do": "click", "on": "main tbody a"}, {"do": "hash", "name": "run"},
		{"do": "open", "name": "a run", "hash": "#view=runs&run=qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-151923"}, {"do": "text", "name": "run by link", "on": "main h2"},
		{"do": "open", "name": "no run", "hash": "#view=runs&run=gone"}, {"do": "text", "name": "run that is gone", "on": "main"},
		{"do": "open", "name": "keys", "hash": ""}, {"do": "key", "keys": []string{"Tab", "Tab", "Tab", "Enter"}}, {"do": "hash", "name": "by keys"}, {"do": "focus", "name": "focus"},
		{"do": "click", "on": "#theme"}, {"do": "hash", "name": "theme"},
	}
	saw := drive(t, page(t, committed), steps)
	check := func(name string, want ...string) {
		t.Helper()
		got := text(t, saw[name])
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s does not say %q:\n%s", name, w, got)
			}
		}
	}
	who, cost := answer(8, 0, nil, hours, any)
	check("first", who, cost, "8 developers")
	check("again", who, cost)
	who, cost = answer(40, 0, nil, hours, any)
	check("forty", who, cost, "40 developers", "servers of")
	check("link", "team=40")
	who, cost = answer(8, 0, nil, hours, func(c report.Combined) bool { return c.Source != report.Imported })
	check("simulated", who, cost, "simulated")
	who, cost = answer(8, 0, map[string]float64{"h200": 0.01}, hours, any)
	check("cheap", who, cost, "h200")
	check("changed", "1 changed")
	who, cost = answer(8, 0.25, nil, 176, any)
	check("office", who, cost, "25 % duty")
	check("impossible", "No combination here holds")
	for _, r := range rows(t, saw["nobody"]) {
		if strings.HasPrefix(r[len(r)-2], "yes") {
			t.Errorf("at 1000 tok/s: %q", r)
		}
	}
	check("faster", "per dev-month")
	check("limits", "≤ 10 s", "≤ 2 s", "Not all of these are judged by the same limits")
	if got := text(t, saw["one for all"]); strings.Contains(got, "≤ 2 s") || strings.Contains(got, "same limits") {
		t.Errorf("judged by one limit, and yet:\n%s", got)
	}
	ranking := rows(t, saw["ranking"])
	if len(ranking) != len(all) {
		t.Errorf("%d rows, %d combinations", len(ranking), len(all))
	}
	levels, tokens := 0, 0
	bySpeed := rows(t, saw["speeds"])
	for _, c := range all {
		for _, l := range c.Levels {
			if l.MedianTPS != nil && l.MedianTTFT != nil {
				found := false
				for _, r := range bySpeed {
					found = found || strings.Contains(r[0], fmt.Sprintf("%d × %s, %s/%s (%s)", c.GPUs, c.Hardware, c.Family, c.Quant, c.Source)) &&
						r[1] == fmt.Sprint(l.Devs) && r[4] == fmt.Sprintf("%.1f", *l.MedianTPS)
				}
				if !found {
					t.Errorf("%+v N=%d, %.1f tok/s, is not in the table of speeds", c.Key, l.Devs, *l.MedianTPS)
				}
			}
			levels++
			if l.CostPerMTok != nil {
				tokens++
			}
		}
	}
	if n := len(rows(t, saw["speeds"])); n != levels {
		t.Errorf("%d rows of speeds, %d levels", n, levels)
	}
	if n := len(rows(t, saw["tokens"])); n < tokens {
		t.Errorf("%d rows of tokens, %d levels have them", n, tokens)
	}
	if n := len(rows(t, saw["apis"])); n == 0 {
		t.Error("no API is compared")
	}
	check("run", "run=qwen3-coder-")
	check("run by link", "run 20261124-151923", "simulated")
	check("run that is gone", fmt.Sprintf("%d runs", countRuns(all)))
	check("by keys", "view=cost")
	check("focus", "<main")
	check("theme", "theme=dark")
}

func countRuns(all []report.Combined) (n int) {
	for _, c := range all {
		n += len(c.Files)
	}
	return n
}

// What is provisional, open, or divided by people who are not always at work, says
// so in every view.
func TestRealBrowserMarks(t *testing.T) {
	dir := t.TempDir()
	put := func(i int, hw string, source report.Source, usd float64, l report.Level) {
		r := sample(t)
		r.RunID, r.Hardware, r.Source, r.PriceUSDPerGPUHour = fmt.Sprintf("20270101-00000%d", i), hw, source, usd
		r.ByDevs = []report.Level{l}
		put(t, dir, fmt.Sprint(i), r)
	}
	pending, open, failed := measured(1, 30), measured(1, 30), measured(1, 30)
	pending.Valid, pending.Gates, pending.HoldsSLOCertain = nil, report.GatesPending, false
	open.HoldsSLOCertain = false
	failed.HoldsSLO, failed.Verdict = false, "does not hold while all 4 were at work"
	put(0, "cheap", report.Simulated, 1, pending)
	put(1, "next", report.Measured, 2, open)
	put(2, "failed", report.Measured, 0.1, failed)
	put(3, "next", report.Measured, 2, open)
	steps := []step{
		{"do": "open", "name": "open"}, {"do": "text", "name": "hero", "on": ".hero"}, {"do": "text", "name": "said", "on": "#said"}, {"do": "rows", "name": "answer", "on": "main"},
		{"do": "click", "on": "[data-view=cost]"}, {"do": "rows", "name": "cost", "on": "main section"},
		{"do": "click", "on": "[data-view=runs]"}, {"do": "rows", "name": "runs", "on": "main"},
		{"do": "open", "name": "what if", "hash": "#ttft=100"}, {"do": "rows", "name": "relaxed", "on": "main"},
		{"do": "open", "name": "duty", "hash": "#duty=0.25&view=cost"}, {"do": "text", "name": "duty cost", "on": "main"}, {"do": "rows", "name": "duty rows", "on": "main section"},
		{"do": "open", "name": "duty answer", "hash": "#duty=0.25&team=4"}, {"do": "text", "name": "duty hero", "on": ".hero"},
	}
	saw := drive(t, page(t, dir), steps)
	has := func(name string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(string(saw[name]), w) {
				t.Errorf("%s does not say %q:\n%s", name, w, saw[name])
			}
		}
	}
	has("hero", "provisional: its work is not judged yet; open", "Next best: 2 servers of 1 × next", "(not certain)", "Cheapest that was measured: 2 servers of 1 × next")
	has("said", "simulated; provisional; not certain")
	has("answer", "yes ?, pending", "2 measurements")
	has("cost", "holds to 4 (provisional; not certain)", "holds to 4 (not certain)")
	has("relaxed", "no, not recomputed", "not recomputed: does not hold while all 4")
	for _, r := range rows(t, saw["runs"]) {
		if r[4] != "4" {
			t.Errorf("run %q does not list its level", r)
		}
	}
	n := people(t, 4, 0.25)
	has("duty cost", "at 25 % duty", "developers")
	has("duty rows", fmt.Sprint(n), usd(2*730/float64(n)))
}

// The control: what the driver is to find, it finds.
func TestRealBrowserFindsFaults(t *testing.T) {
	good, err := os.ReadFile(page(t, committed))
	if err != nil {
		t.Fatal(err)
	}
	for want, fault := range map[string]string{
		"console:":       "console.error('planted')",
		"page:":          "setTimeout(() => { throw new Error('planted') }, 0)",
		"request:":       "new Image().src = 'http://127.0.0.1:9/x'",
		"axe x: label":   "document.querySelector('#team').parentNode.replaceWith(document.createElement('input'))",
		"axe x: color-c": "document.querySelector('.hero').style.color = '#ddd'; document.querySelector('.hero .q').style.color = '#eee'",
	} {
		// Without the policy, which would keep the fault from happening at all.
		html := bytes.Replace(good, []byte("Content-Security-Policy"), []byte("Nothing"), 1)
		html = append(html, "<script>"+fault+"</script>"...)
		path := filepath.Join(t.TempDir(), "bad.html")
		if err := os.WriteFile(path, html, 0o644); err != nil {
			t.Fatal(err)
		}
		_, faults := browse(t, path, []step{{"do": "open", "name": "o"}, {"do": "axe", "name": "x"}})
		if !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("%q was not seen: %q", want, faults)
		}
	}
}
