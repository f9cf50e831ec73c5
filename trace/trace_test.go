package trace_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/trace"
)

func sample(i int) trace.Record {
	return trace.Record{
		ID: fmt.Sprintf("req-%d", i), Level: "n4", Agent: i, Phase: "spec", Session: "s", Dialect: "messages",
		BodyHash: "h", Streamed: true, Arrival: time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC),
		QueueS: 0.001, UpstreamS: 1.5, FirstByteS: 1.6, EndS: 1.7, ToolGapS: 0.25,
		PromptTokens: 1000, CachedTokens: 900, OutputTokens: 50, Status: 200, StopReason: "tool_use",
		Repairs: []string{"qwen_xml"},
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	var buf bytes.Buffer
	w := trace.NewWriter(&buf)
	want := []trace.Record{sample(0), sample(1), {ID: "failed", Agent: -1, Status: 529, Error: "overloaded"}}
	for _, r := range want {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := trace.Read(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriterKeepsLinesWholeUnderConcurrency(t *testing.T) {
	var buf bytes.Buffer // not safe by itself: the writer serialises
	w := trace.NewWriter(&buf)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 50 {
				w.Write(sample(i))
			}
		})
	}
	wg.Wait()
	records, err := trace.Read(&buf)
	if err != nil || len(records) != 800 || w.Err() != nil {
		t.Errorf("%d records, %v, %v", len(records), err, w.Err())
	}
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, in string
		records  int
		err      string
	}{
		{"empty", "", 0, ""},
		{"one", `{"id":"a","status":200}` + "\n", 1, ""},
		{"blank lines", "\n\n" + `{"id":"a"}` + "\n\n", 1, ""},
		{"a killed program's last line is dropped", `{"id":"a"}` + "\n" + `{"id":"b","sta`, 1, ""},
		{"unknown keys are a newer version's", `{"id":"a","new":1}` + "\n", 1, ""},
		{"a bad line is named", `{"id":"a"}` + "\nnonsense\n", 1, "line 2"},
		{"a wrong type is named", `{"id":7}` + "\n", 0, "line 1"},
		{"a line without end is refused", strings.Repeat("x", 2<<20) + "\n", 0, "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			records, err := trace.Read(strings.NewReader(tt.in))
			if len(records) != tt.records {
				t.Errorf("%d records, want %d", len(records), tt.records)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("err = %v, want %q", err, tt.err)
			}
		})
	}
}

// full is a disk that has no room after so many bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestAHoleIsNeverHidden(t *testing.T) {
	disk := &full{room: 1000}
	w := trace.NewWriter(disk)
	for range 10 {
		w.Write(sample(0))
	}
	disk.room = 1 << 20
	if err := w.Write(sample(1)); err == nil || w.Err() == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("after a lost record: %v, %v", err, w.Err())
	}
}

func TestOK(t *testing.T) {
	for _, tt := range []struct {
		r    trace.Record
		want bool
	}{
		{trace.Record{Status: 200}, true},
		{trace.Record{Status: 200, Error: "the server died"}, false},
		{trace.Record{Status: 529}, false},
		{trace.Record{}, false},
	} {
		if tt.r.OK() != tt.want {
			t.Errorf("%+v: OK() = %v", tt.r, tt.r.OK())
		}
	}
}

// What Read takes, it takes again after writing.
func FuzzRead(f *testing.F) {
	f.Add(`{"id":"a","agent":1,"arrival":"2026-01-02T03:04:05Z","repairs":["x"]}` + "\n")
	f.Add("\n{}\n{")
	f.Fuzz(func(t *testing.T, in string) {
		records, err := trace.Read(strings.NewReader(in))
		if err != nil {
			return
		}
		var buf bytes.Buffer
		w := trace.NewWriter(&buf)
		for _, r := range records {
			if err := w.Write(r); err != nil {
				t.Fatalf("read %+v, cannot write it: %v", r, err)
			}
		}
		again, err := trace.Read(&buf)
		if err != nil || len(again) != len(records) {
			t.Fatalf("%d records became %d: %v", len(records), len(again), err)
		}
	})
}

func Example() {
	var file bytes.Buffer
	w := trace.NewWriter(&file)
	w.Write(trace.Record{ID: "req-1", Level: "n4", Agent: 2, Phase: "spec", Dialect: "messages", Status: 200, EndS: 1.25, OutputTokens: 80})
	records, err := trace.Read(&file)
	fmt.Println(len(records), records[0].Phase, records[0].OK(), err)
	// Output: 1 spec true <nil>
}
