package vllmcontract_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scrapes are the versions whose page is kept; testdata/README.md says how.
var scrapes = []string{"0.23.0"}

func saved(version string) string { return filepath.Join("testdata", "real-"+version+".prom") }

// TestMetricsDifferences compares the simulator's page with those of real
// servers after the same requests: every difference is written down.
func TestMetricsDifferences(t *testing.T) {
	for _, version := range scrapes {
		t.Run(version, func(t *testing.T) {
			text, err := os.ReadFile(saved(version))
			if err != nil {
				t.Fatal(err)
			}
			real, err := parsePage(text)
			if err != nil {
				t.Fatal(err)
			}
			s := simulated(t)
			if err := s.workload(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			played, err := s.settled(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := "# What the simulator's /metrics has otherwise than vLLM " + version + "'s after the same requests.\n" +
				"# go test ./internal/vllmcontract -update writes this file.\n\n# Series, types and buckets\n" +
				strings.Join(differences("vllm", "sim", real.shape(), played.shape()), "\n") + "\n\n# Counts\n" +
				strings.Join(differences("vllm", "sim", both(real.counts(), played.counts()), both(played.counts(), real.counts())), "\n") + "\n"
			golden(t, "differences-"+version+".golden", got)
		})
	}
}

// both are the numbers of a that b has too: a series that is absent was told of
// already.
func both(a, b map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for k, v := range a {
		if _, ok := b[k]; ok {
			out[k] = v
		}
	}
	return out
}

// settled scrapes once the server is idle: it counts a request a moment after
// the client has the answer.
func (s *server) settled(ctx context.Context) (page, error) {
	var last string
	for {
		p, _, err := s.scrape(ctx)
		if err != nil {
			return nil, err
		}
		now := strings.Join(differences("", "", p.counts(), nil), "\n")
		if p.value("vllm:num_requests_running") == 0 && now == last {
			return p, nil
		}
		last = now
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// pause lets a server that is polled get on with it.
func pause(ctx context.Context) error {
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// value is the sum of a family's series.
func (p page) value(name string) (sum float64) {
	for _, m := range p[name].GetMetric() {
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return sum
}

// TestRealMetrics holds the saved page to what the real server shows, and its
// counts to what they were: of other prompts, so the server need not be new.
func TestRealMetrics(t *testing.T) {
	s := realServer(t)
	before, err := s.settled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seed := int(before.value("vllm:prompt_tokens_total"))
	if *update && seed != 0 {
		t.Fatal("the server has served before; a scrape is kept of a new one: scripts/vllm-cpu go test ./internal/vllmcontract -run RealMetrics -update")
	}
	if err := s.workload(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	now, err := s.settled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		_, text, err := s.scrape(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(saved(s.version), text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(saved(s.version))
	if err != nil {
		t.Fatalf("no scrape of vLLM %s is kept: %v; testdata/README.md says how to take one", s.version, err)
	}
	want, err := parsePage(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := differences("saved", "now", want.shape(), now.shape()); len(d) > 0 {
		t.Errorf("the page's shape is no longer the saved one:\n%s", strings.Join(d, "\n"))
	}
	if d := differences("saved", "now", want.counts(), since(now.counts(), before.counts())); len(d) > 0 {
		t.Errorf("the workload is no longer counted as it was:\n%s", strings.Join(d, "\n"))
	}
}

// golden compares text with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./internal/vllmcontract -update writes it", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s no longer says the truth; look at it, then run with -update (-file +found):\n%s", path, d)
	}
}
