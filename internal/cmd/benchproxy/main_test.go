package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// selfFlag makes the test program the program itself.
const selfFlag = "-as-benchproxy"

// TestMain lets this program be what it starts: a child, or itself.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == roleFlag {
		os.Exit(roleMain(os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == selfFlag {
		os.Args = slices.Delete(os.Args, 1, 2)
		main()
	}
	goleak.VerifyTestMain(m)
}

// A quick run: what it prints, not how fast it was.
func TestQuickRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "bench.json")
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"-quick", "-long", "50ms", "-o", out}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, stdout.String(), stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	last := lines[len(lines)-1]
	var rep report
	if err := json.Unmarshal([]byte(last), &rep); err != nil {
		t.Fatalf("the last line is no JSON: %v\n%s", err, last)
	}
	if file, err := os.ReadFile(out); err != nil || string(file) != last+"\n" {
		t.Errorf("-o wrote %q, %v; want the last line", file, err)
	}
	if rep.Bench != "proxy" || !rep.Quick || !rep.Pass || rep.Errors != 0 || rep.Machine.Cores < 1 {
		t.Errorf("report: %+v", rep)
	}
	var got []string
	for _, r := range rep.Rows {
		got = append(got, r.Path)
		if r.Requests == 0 || r.Errors != 0 || r.P50MS <= 0 || r.P99MS < r.P50MS || r.PerSecond <= 0 {
			t.Errorf("row: %+v", r)
		}
		if (r.AddedP50MS != 0) != (r.Path != "direct") || (r.OverCopy != nil) != (r.Path == "native" || r.Path == "destream") {
			t.Errorf("row %s: compared with the wrong paths: %+v", r.Path, r)
		}
		if r.Path != "direct" && (r.Allocs <= 0 || r.AllocBytes < float64(rep.BodyBytes) || r.RSSMB <= 0) {
			t.Errorf("row %s: figures of its process: %+v", r.Path, r)
		}
	}
	want := strings.Fields("direct copy native destream direct copy native destream")
	if !slices.Equal(got, want) {
		t.Errorf("paths %q, want %q", got, want)
	}
	if s := rep.Soak; s == nil || s.Requests != 200 || len(s.HeapInUse) != soakSamples || s.HeapInUse[0] <= 0 {
		t.Errorf("soak: %+v", s)
	}
	if l := rep.Long; l == nil || l.TookS < 0.05 || l.UpstreamRequests != 1 || l.Error != "" {
		t.Errorf("long: %+v", l)
	}
	for _, target := range rep.Targets {
		if target.Judged {
			t.Errorf("a quick run judges: %+v", target)
		}
	}
}

// A request that fails makes the run fail, whatever the figures are.
func TestErrorsAreCounted(t *testing.T) {
	rep := newReport(options{}, time.Now())
	rep.Rows = []row{{Path: "native", Concurrency: 1, Requests: 9, Errors: 1}}
	if rep.judge(options{}); rep.Pass || rep.Errors != 1 {
		t.Errorf("pass %v, %d errors", rep.Pass, rep.Errors)
	}
}

func TestJudge(t *testing.T) {
	rows := func(native, p99, litellm float64) []row {
		return []row{
			{Path: "copy", Concurrency: 8, P50MS: 51, P99MS: 52, AddedP50MS: 0.5},
			{Path: "native", Concurrency: 8, P50MS: 51 + native, P99MS: p99, AddedP50MS: 0.5 + native, OverCopy: &added{native, 0}},
			{Path: "litellm", Concurrency: 8, AddedP50MS: litellm},
		}
	}
	flat := &soakResult{RSS: []float64{1}}
	for _, tc := range []struct {
		name string
		rep  report
		want bool
	}{
		{"all well", report{Rows: rows(0.25, 60, 20), Soak: flat}, true},
		{"slow", report{Rows: rows(0.35, 60, 20)}, false},
		{"long tail", report{Rows: rows(0.2, 79, 20)}, false},
		{"no better than LiteLLM", report{Rows: rows(0.25, 60, 2)}, false},
		{"resident memory grows", report{Soak: &soakResult{RSS: []float64{1}, RSSRise: 0.06}}, false},
		{"heap grows", report{Soak: &soakResult{RSS: []float64{1}, HeapRise: 0.06}}, false},
		{"silent", report{Long: &longResult{LongestSilence: 21, UpstreamRequests: 1}}, false},
		{"asked twice", report{Long: &longResult{UpstreamRequests: 2}}, false},
		{"asked by both", report{Long: &longResult{UpstreamRequests: 2, Claude: &claudeResult{}}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.rep.judge(options{}); tc.rep.Pass != tc.want {
				t.Errorf("pass = %v\n%+v", tc.rep.Pass, tc.rep.Targets)
			}
		})
	}
}

func TestRise(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 0}, {[]float64{0, 0}, 0}, {[]float64{5, 5, 5}, 0}, {[]float64{9, 10, 11}, 0.2}, {[]float64{11, 10, 9}, -0.2},
	} {
		if got := rise(tc.values); got < tc.want-1e-9 || got > tc.want+1e-9 {
			t.Errorf("rise(%v) = %v, want %v", tc.values, got, tc.want)
		}
	}
}

// Every request differs from every other, in its last text only, and is as
// long as was asked for.
func TestBodies(t *testing.T) {
	messages, chat := bodies(75_000)
	for _, tmpl := range []template{messages, chat, streaming(chat)} {
		if n := len(tmpl.body); n < 70_000 || n > 80_000 {
			t.Errorf("%d bytes", n)
		}
		one, two := slices.Clone(tmpl.body), slices.Clone(tmpl.body)
		tmpl.vary(one, 1)
		tmpl.vary(two, 2)
		if string(one) == string(two) || !json.Valid(one) || !json.Valid(two) {
			t.Error("two requests are the same, or no JSON")
		}
	}
	if n := len(messages.body); n < 74_500 || n > 75_500 {
		t.Errorf("a Messages request of %d bytes, want 75000", n)
	}
}

func TestBadFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-concurrency 0", "must be a number from 1 to"},
		{"-paths native,nginx", `"nginx"`},
		{"-body 10", "at least"},
		{"-soak 3", "at least 20"},
		{"-claude x", "say how long"},
		{"-rounds 0", "must be positive"},
		{"twice", "unexpected"},
	} {
		var stderr strings.Builder
		if code := run(t.Context(), strings.Fields(tc.args), io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%s: exit status %d, %s", tc.args, code, stderr.String())
		}
	}
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-h"}, io.Discard, &stderr); code != 0 || !strings.Contains(stderr.String(), "client -> server") {
		t.Errorf("-h: exit status %d, %s", code, stderr.String())
	}
}

// Ctrl-C ends the program and all its children: they hold its stderr open, so
// the end of that is the end of the last of them.
func TestInterrupt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, selfFlag, "-slice", "20ms", "-warm-up", "0s", "-rounds", "1000000", "-concurrency", "1", "-upstream-delay", "1ms")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "round 1 of") {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil || !strings.Contains(string(rest), "benchproxy: interrupted") {
		t.Errorf("%s, %v", rest, err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, want exit status 1", err)
	}
}
