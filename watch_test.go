package dail_test

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/x/dail"
)

// In a log a run sums itself up now and then; on a screen the same stands in its
// block: a level that takes over half a minute has such a line.
func TestALogSaysWhatTheServerDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: takes half a minute")
	}
	t.Parallel()
	plan := planFor(t, "2", t.TempDir())
	plan.Provider = knownServer(plan, 12*time.Second, 20*time.Millisecond) // three times, one after the other
	var log bytes.Buffer
	plan.Progress = &log
	if _, err := dail.Run(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`n2: 2 agents on \S+; \d+ tok/s, KV \d+ %, [0-2] running, 0 waiting; \$0\.\d{3} so far \(simulated\)`)
	if !want.Match(log.Bytes()) {
		t.Errorf("no summary in\n%s", log.String())
	}
}
