package slo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRealPages holds this package's names to the pages of real servers: all
// that it reads is there, under one of its names, and is read.
func TestRealPages(t *testing.T) {
	files, err := filepath.Glob("../internal/vllmcontract/testdata/real-*.prom")
	if err != nil || len(files) == 0 {
		t.Fatalf("no saved page of a real vLLM: %v", err)
	}
	// Not there without speculation, or on any vLLM.
	absent := []string{"vllm:spec_decode_num_drafts_total", mismatchName, simulatedName}
	lists := [][]string{{successName}, {bySourceName}, {processStartName}, {runningName}, {waitingName}, {mismatchName}, {simulatedName}, kvUsageNames}
	lists = append(append(lists, counterNames[:]...), histogramNames[:]...)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, names := range lists {
				there := slices.ContainsFunc(names, func(name string) bool { return strings.Contains(string(text), "\n# TYPE "+name+" ") })
				if want := !slices.Contains(absent, names[0]); there != want {
					t.Errorf("%s on the page: %v, want %v", strings.Join(names, " or "), there, want)
				}
			}
			s, err := Parse(strings.NewReader(string(text)), time.Unix(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			e := s.Engines[0]
			if len(s.Engines) != 1 || s.Simulated || e.Label != "0" || e.finished["length"] != 7 || e.bySource[localCompute] == 0 ||
				e.counters[prefixHits].v == 0 || e.histograms[itlSeconds].Sum == 0 || s.processStart == 0 || len(e.created) == 0 {
				t.Errorf("read: %+v", s)
			}
		})
	}
}
