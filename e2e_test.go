package dail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/report"
	"github.com/x/dail/trace"
)

// needToolchain skips where the pinned programs may not be installed: go test
// alone needs nothing but Go.
func needToolchain(t *testing.T) {
	t.Helper()
	if os.Getenv("DAIL_TOOLCHAIN") == "" {
		t.Skip("SKIP: needs the pinned Claude Code, TypeScript and Vitest; make test installs them and sets DAIL_TOOLCHAIN")
	}
}

// program builds one of the examples.
func program(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", bin, "./examples/"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// oneReport loads the only report.json under dir.
func oneReport(t *testing.T, dir string) (*report.Report, string) {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "report.json" {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) != 1 {
		t.Fatalf("reports under %s: %v, %v; want one", dir, found, err)
	}
	rep, err := report.Load(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return rep, found[0]
}

// The pre-flight with the real Claude Code: everything but the GPU is real.
func TestSmokeEndToEnd(t *testing.T) {
	needToolchain(t)
	results := t.TempDir()
	plan, err := dail.Config{Benchmark: "smoke", Results: results}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	plan.Progress = &progress
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if code := dail.ExitStatus(rep, err); code != 0 {
		t.Errorf("exit status %d\n%s", code, progress.String())
	}
	stored, path := oneReport(t, results)
	if want := filepath.Join(results, "qwen3-coder-fp8", "l40s-1gpu", "smoke", rep.RunID, "report.json"); path != want {
		t.Errorf("report at %s, want %s", path, want)
	}
	if stored.Source != report.Simulated {
		t.Errorf("source %q", stored.Source)
	}
	if stored.AgentVersion != "2.1.330" {
		t.Errorf("agent version %q, want the pinned one", stored.AgentVersion)
	}
	l := stored.ByDevs[0]
	if l.Valid == nil || !*l.Valid || l.AgentsOK != 1 || !l.HoldsSLO {
		t.Errorf("level = %+v", l)
	}
	dir := filepath.Dir(path)
	for _, f := range []string{"composed.yaml", "artifacts/n1/agent0/workspace/hello.txt", "artifacts/n1/agent0/phases"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			t.Error(err)
		}
	}
	f, err := os.Open(filepath.Join(dir, "trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := trace.Read(f)
	if err != nil || len(records) < 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, r := range records {
		if r.Agent != 0 || r.Level != "n1" || r.Phase == "" || !r.OK() || r.OutputTokens == 0 {
			t.Errorf("record %+v", r)
		}
	}
}

// The engine never plays on over a client whose tool call ended otherwise than
// recorded: it is counted, the agent is no good, and the run says so.
func TestCassetteMismatchMakesTheAgentInvalid(t *testing.T) {
	needToolchain(t)
	plan, err := dail.Config{Benchmark: "testdata/benchmarks/mismatch/scenario.yaml", Results: t.TempDir()}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	rep, err := dail.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if code := dail.ExitStatus(rep, err); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	l := rep.ByDevs[0]
	if l.CassetteMismatches == 0 || l.AgentsOK != 0 || l.Valid == nil || *l.Valid || l.HoldsSLO {
		t.Errorf("%d mismatches, %d agents ok, valid %v, holds %v", l.CassetteMismatches, l.AgentsOK, l.Valid, l.HoldsSLO)
	}
	if a := l.Agents[0]; !a.Passed || a.OK || !strings.Contains(a.Reason, "mismatch") {
		t.Errorf("agent: passed %v, ok %v, %q; its gate passes, its session does not", a.Passed, a.OK, a.Reason)
	}
}

// Ctrl-C while agents run: nothing of ours stays alive, what was measured is
// kept and marked, exit status 1.
func TestInterruptLeavesNothingRunning(t *testing.T) {
	needToolchain(t)
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: looks for processes in /proc")
	}
	results := t.TempDir()
	cmd := exec.Command(program(t, "dev-load"), "-benchmark", "testdata/benchmarks/linger/scenario.yaml", "-hardware", "b200", "-results", results)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()

	// Both agents of the second level have their process in the background.
	deadline := time.After(3 * time.Minute)
	for poll := time.Tick(100 * time.Millisecond); len(sleeping(t)) < 4; {
		select {
		case err := <-done:
			t.Fatalf("ended by itself: %v\n%s", err, stderr.String())
		case <-deadline:
			cmd.Process.Signal(syscall.SIGINT)
			<-done
			t.Fatalf("the agents never waited: %v\n%s", sleeping(t), stderr.String())
		case <-poll:
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-done; !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("exit %v, want status 1\n%s", err, stderr.String())
	}
	if left := sleeping(t); len(left) > 0 {
		t.Errorf("still alive: %v", left)
	}
	rep, _ := oneReport(t, results)
	if rep.Truncated == "" {
		t.Error("the report is not marked truncated")
	}
	if len(rep.ByDevs) != 1 || rep.ByDevs[0].Devs != 1 || rep.ByDevs[0].Valid == nil || !*rep.ByDevs[0].Valid {
		t.Errorf("by_devs = %+v, want the finished level, judged", rep.ByDevs)
	}
}

// sleeping lists the processes that the linger benchmark leaves behind.
func sleeping(t *testing.T) []string {
	t.Helper()
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range cmdlines {
		data, _ := os.ReadFile(path) // it may be gone by now
		args := strings.ReplaceAll(string(data), "\x00", " ")
		if strings.HasPrefix(args, "sleep 987.") {
			found = append(found, filepath.Base(filepath.Dir(path))+": "+args)
		}
	}
	return found
}

// The whole of dev-load through the program, on the fastest card there is:
// part of make test-real, since it takes minutes.
func TestRealDevLoad(t *testing.T) {
	needToolchain(t)
	if os.Getenv("DAIL_REAL") == "" {
		t.Skip("SKIP: takes minutes; make test-real runs it")
	}
	devLoad(t, "-devs", "1,4")
}

// The same work, through the real LiteLLM.
func TestRealLiteLLM(t *testing.T) {
	needToolchain(t)
	if os.Getenv("DAIL_REAL") == "" {
		t.Skip("SKIP: needs Python and PyPI, and takes minutes; make test-real runs it")
	}
	rep, dir := devLoad(t, "-devs", "4", "-gateway", "litellm")
	if rep.Gateway != "litellm" || rep.GatewayVersion == "" {
		t.Errorf("gateway %q %q", rep.Gateway, rep.GatewayVersion)
	}
	f, err := os.Open(filepath.Join(dir, "trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := trace.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	// What LiteLLM tells the client of tokens is what the engine counted.
	behind := map[string]trace.Record{}
	for _, r := range records {
		if r.Dialect == "chat" {
			behind[r.ID] = r
		}
	}
	front := 0
	for _, r := range records {
		if r.Dialect != "messages" {
			continue
		}
		front++
		b, ok := behind[r.ID]
		if !ok || !r.OK() || r.PromptTokens != b.PromptTokens || r.OutputTokens != b.OutputTokens || r.CachedTokens != b.CachedTokens {
			t.Errorf("in front of LiteLLM %+v\nbehind it (%v) %+v", r, ok, b)
		}
	}
	if front == 0 || front != len(behind) {
		t.Errorf("%d requests in front of LiteLLM, %d behind it", front, len(behind))
	}
	if p := rep.ByDevs[0].Perceived; p == nil || p.Errors != 0 || p.Retries != 0 || p.OutputTokens == 0 || p.SharedPrefix == 0 {
		t.Errorf("perceived %+v", p)
	}
}

// devLoad runs dev-load on the fastest simulated card, and checks that every
// agent did all of the work.
func devLoad(t *testing.T, args ...string) (*report.Report, string) {
	t.Helper()
	results := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "dev-load"), append([]string{"-hardware", "b200", "-results", results}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	rep, path := oneReport(t, results)
	for _, l := range rep.ByDevs {
		if l.AgentsOK != l.Devs || l.Valid == nil || !*l.Valid {
			text, _ := json.MarshalIndent(l, "", " ")
			t.Errorf("N=%d: not every agent did real work:\n%s", l.Devs, text)
		}
		for _, a := range l.Agents {
			if len(a.Phases) != 4 || len(a.Gates) != 2 {
				t.Errorf("N=%d agent %d: %d phases, %d gates", l.Devs, a.Agent, len(a.Phases), len(a.Gates))
			}
			turns := 0
			for _, p := range a.Phases {
				turns += p.Turns
			}
			if turns < 25 || a.Tokens.Completion < 6000 {
				t.Errorf("N=%d agent %d: %d requests, %d output tokens; the contract wants 25 and about 6,000", l.Devs, a.Agent, turns, a.Tokens.Completion)
			}
		}
	}
	if !strings.Contains(strings.ToUpper(stdout.String()), "SIMULATED") {
		t.Errorf("the table does not say that it is simulated:\n%s", stdout.String())
	}
	return rep, filepath.Dir(path)
}
