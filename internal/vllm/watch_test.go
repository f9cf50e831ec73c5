package vllm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/vllm"
)

// TestStartsAreTold plays recorded starts of several versions.
func TestStartsAreTold(t *testing.T) {
	for _, name := range []string{"start-0.8.5", "start-0.11.0-venv", "start-0.23.0-tp8"} {
		t.Run(name, func(t *testing.T) {
			log := read(t, name+".log")
			events, port, err := watchAll(t, &recorded{log: log, chunk: 1 << 16})
			if err != nil || port != 8123 {
				t.Fatalf("port %d, %v", port, err)
			}
			golden(t, name+".golden", told(events))
			if last := events[len(events)-1]; last.Phase != vllm.PhaseReady {
				t.Errorf("the last event is %+v", last)
			}
			// How the log is cut into looks changes nothing that is said.
			for _, chunk := range []int{1, 7, 100, 4096} {
				events, _, err := watchAll(t, &recorded{log: log, chunk: chunk})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(read(t, name+".golden"), told(events)); diff != "" {
					t.Errorf("in looks of %d bytes:\n%s", chunk, diff)
				}
			}
		})
	}
}

// TestFailuresAreExplained plays recorded starts that failed.
func TestFailuresAreExplained(t *testing.T) {
	for _, name := range []string{"fail-context-too-long", "fail-gated", "fail-install", "fail-unknown"} {
		t.Run(name, func(t *testing.T) {
			log := read(t, name+".log")
			for _, chunk := range []int{1 << 16, 99} {
				_, _, err := watchAll(t, &recorded{log: log, chunk: chunk, status: "1"})
				var start *vllm.StartError
				if !errors.As(err, &start) || !start.Exited || start.Status != 1 {
					t.Fatalf("%#v", err)
				}
				golden(t, name+".golden", err.Error()+"\n")
				for _, secret := range []string{"hf_abc", "hunter2"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error repeats a secret: %s", secret)
					}
				}
			}
		})
	}
}

const head = "dail-phase: start starting vllm serve on port 8000\n" +
	"(EngineCore_DP0 pid=2) INFO 11-24 03:00:27 [gpu_model_runner.py:2602] Starting to load model x/y...\n"

func TestAFailureThatDoesNotEndVLLMIsGivenUp(t *testing.T) {
	_, _, err := watchAll(t, &recorded{chunk: 1 << 16, log: head +
		"(EngineCore_DP0 pid=2) ERROR 11-24 03:02:31 [core.py:708] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB.\n"})
	var start *vllm.StartError
	if !errors.As(err, &start) || start.Exited || start.Status != -1 || start.Cause == nil || start.Cause.Name != "gpu-memory" {
		t.Fatalf("%#v", err)
	}
	if start.Phase != vllm.PhaseLoad {
		t.Errorf("phase %s", start.Phase)
	}
}

// TestErrorsThatAreGotOverAreNone: an ERROR before progress is history, and
// what INFO and WARNING mention is none at all.
func TestErrorsThatAreGotOverAreNone(t *testing.T) {
	log := head +
		"INFO 11-24 03:02:31 [x.py:1] No available memory for the cache blocks would be bad; ValueError\n" +
		"WARNING 11-24 03:02:31 [x.py:1] CUDA out of memory. Tried to allocate 2.50 GiB: falling back\n" +
		"/usr/lib/python3/site.py:12: UserWarning: NCCL error is possible\n" +
		"ERROR 11-24 03:02:31 [repo_utils.py:65] 429 Client Error: Too Many Requests, retrying 1 of 2\n" +
		strings.Repeat("DEBUG 11-24 03:02:31 [x.py:1] still going\n", 100) +
		"INFO 11-24 03:02:35 [gpu_model_runner.py:2653] Model loading took 15.6694 GiB and 31.65 seconds\n" +
		strings.Repeat("DEBUG 11-24 03:02:31 [x.py:1] still going\n", 100)
	// Looks go on for minutes after the log's last line.
	ctx, cancel := context.WithCancelCause(t.Context())
	stall := errors.New("no progress")
	slow := &recorded{chunk: 1 << 16, log: log}
	slow.kb = func(n int) int {
		if n == 200 {
			cancel(stall)
		}
		return 0
	}
	_, err := vllm.Watch(ctx, slow, &instant{}, func(vllm.Event) {})
	var start *vllm.StartError
	if !errors.As(err, &start) || !errors.Is(err, stall) {
		t.Fatalf("%v", err)
	}
	if start.Cause != nil || start.Exited {
		t.Errorf("blamed on %+v", start.Cause)
	}
}

func TestALostConnectionIsNoFailure(t *testing.T) {
	lost := errors.New("connection reset by peer")
	events, port, err := watchAll(t, &recorded{
		log: read(t, "start-0.11.0-venv.log"), chunk: 512,
		fail: func(n int) error {
			if n%3 != 0 {
				return lost
			}
			return nil
		},
	})
	if err != nil || port != 8123 {
		t.Fatalf("port %d, %v", port, err)
	}
	golden(t, "start-0.11.0-venv.golden", told(events))
}

func TestTheEndOfTheContextSaysWhereItStood(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why, lost := errors.New("the start took too long (MAX_STARTUP)"), errors.New("no route to host")
	r := &recorded{log: head, chunk: 1 << 16}
	r.fail = func(n int) error {
		if n == 50 {
			cancel(why)
		}
		if n > 1 {
			return lost
		}
		return nil
	}
	_, err := vllm.Watch(ctx, r, &instant{}, func(vllm.Event) {})
	var start *vllm.StartError
	if !errors.As(err, &start) || start.Phase != vllm.PhaseLoad || start.Exited || !errors.Is(err, why) || !errors.Is(err, lost) {
		t.Fatalf("%v", err)
	}
}

func TestAKilledVLLMIsSaidToBeKilled(t *testing.T) {
	for _, r := range []*recorded{
		{log: head, chunk: 1 << 16, dead: true},
		{log: head, chunk: 1 << 16, status: "137"},
	} {
		_, _, err := watchAll(t, r)
		if err == nil || !strings.Contains(err.Error(), "memory (RAM)") {
			t.Errorf("%v", err)
		}
	}
}

// TestGrowthIsProgress: what is being downloaded is seen though the log is
// silent, and said every two GB.
func TestGrowthIsProgress(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorded{log: head, chunk: 1 << 16, kb: func(n int) int {
		if n == 101 {
			cancel()
		}
		return 1_000_000 + n*100_000 // kB
	}}
	var events []vllm.Event
	_, err := vllm.Watch(ctx, r, &instant{}, func(e vllm.Event) { events = append(events, e) })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(events) < 100 {
		t.Errorf("%d events", len(events))
	}
	want := "start      0%  starting vllm serve on port 8000\n"
	for gb := 2; gb <= 10; gb += 2 {
		want += fmt.Sprintf("load       0%%  %d GB of weights have arrived\n", gb)
	}
	if diff := cmp.Diff(want, told(events)); diff != "" {
		t.Error(diff)
	}
}

func TestEndedSaysHowAServerEnded(t *testing.T) {
	log := read(t, "start-0.8.5.log") + "RuntimeError: CUDA error: uncorrectable ECC error encountered\n"
	running := &recorded{log: log, chunk: 1 << 16}
	offsets := &tailOf{running}
	if err := vllm.Ended(t.Context(), offsets); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	running.status = "1"
	err := vllm.Ended(t.Context(), offsets)
	var start *vllm.StartError
	if !errors.As(err, &start) || start.Phase != vllm.PhaseReady || start.Cause == nil || start.Cause.Name != "gpu-lost" {
		t.Errorf("%v", err)
	}
}

// tailOf answers a question for the end of the log with all of it.
type tailOf struct{ *recorded }

func (m *tailOf) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	return m.recorded.Run(ctx, strings.Replace(command, "'-65536'", "'0'", 1), stdin)
}

func TestGoldensAreAllUsed(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	must(t, err)
	goldens, err := filepath.Glob("testdata/*.golden")
	must(t, err)
	if len(logs) != len(goldens) {
		t.Errorf("%d logs and %d goldens", len(logs), len(goldens))
	}
}

// FuzzWatch: no log, however it is cut, makes Watch panic, hang, or report a
// text that is no line.
func FuzzWatch(f *testing.F) {
	for _, name := range []string{"start-0.8.5.log", "fail-context-too-long.log"} {
		f.Add(read(&testing.T{}, name), 100)
	}
	f.Add("\r\r\n\xff%| 1/0 [", 1)
	f.Fuzz(func(t *testing.T, log string, chunk int) {
		r := &recorded{log: log, chunk: 1 + (chunk&0xffff)*(len(log)/1000+1), status: "1"}
		_, err := vllm.Watch(t.Context(), r, &instant{}, func(e vllm.Event) {
			if strings.ContainsAny(e.Text, "\r\n") || e.Fraction < 0 || e.Fraction > 1 || e.Phase == "" {
				t.Errorf("%+v", e)
			}
		})
		var start *vllm.StartError
		if err == nil && strings.Contains(log, "Application startup complete") {
			return // it served before its end was seen
		}
		if !errors.As(err, &start) || start.Status != 1 || len(start.Lines) > 30 {
			t.Errorf("%v", err)
		}
	})
}
