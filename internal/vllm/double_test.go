package vllm_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/x/dail/internal/vllm"
)

// Nothing that a test started may outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files, and compare all the same")

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// instant is a clock on which waiting takes no time, but is counted.
type instant struct {
	mu     sync.Mutex
	passed time.Duration
}

func (c *instant) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(1790000000, 0).Add(c.passed)
}

func (c *instant) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.passed += d
	c.mu.Unlock()
	return ctx.Err()
}

func (c *instant) WithTimeout(ctx context.Context, _ time.Duration, _ error) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

func (c *instant) Real(d time.Duration) time.Duration { return d }

// recorded is a machine on which the log of a former start is played: each
// look gets the next chunk bytes of it.
type recorded struct {
	log    string
	chunk  int
	status string // once the log is read; "-" while it runs
	dead   bool   // once the log is read
	kb     func(looks int) int
	fail   func(looks int) error
	looks  int
}

func (r *recorded) Upload(context.Context, string, fs.FileMode, []byte) error {
	return fmt.Errorf("unexpected upload")
}

func (r *recorded) Run(_ context.Context, command string, stdin io.Reader) ([]byte, error) {
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return nil, err
	}
	r.looks++
	if r.fail != nil {
		if err := r.fail(r.looks); err != nil {
			return nil, err
		}
	}
	var offset int
	if _, err := fmt.Sscanf(command, "exec sh -s -- '%d'", &offset); err != nil {
		return nil, fmt.Errorf("unexpected command %q", command)
	}
	kb := 0
	if r.kb != nil {
		kb = r.kb(r.looks)
	}
	end := min(offset+r.chunk, len(r.log))
	status, alive := "-", 1
	if end == len(r.log) {
		status = r.status
		if r.dead {
			alive = 0
		}
	}
	if status == "" {
		status = "-"
	}
	return fmt.Appendf(nil, "Welcome!\ndail-poll alive=%d status=%s size=%d offset=%d kb=%d port=8123\n%s",
		alive, status, len(r.log), offset, kb, r.log[offset:end]), nil
}

// watchAll follows a recorded start and returns what was reported.
func watchAll(t *testing.T, r *recorded) (events []vllm.Event, port int, err error) {
	t.Helper()
	port, err = vllm.Watch(t.Context(), r, &instant{}, func(e vllm.Event) { events = append(events, e) })
	return events, port, err
}

// told is what a person would be told.
func told(events []vllm.Event) string {
	var b strings.Builder
	for _, e := range events {
		if e.Text != "" {
			fmt.Fprintf(&b, "%-8s %3.0f%%  %s\n", e.Phase, 100*e.Fraction, e.Text)
		}
	}
	return b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	return string(b)
}
