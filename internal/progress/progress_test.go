package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestViewKeepsEveryLineOnOneRow(t *testing.T) {
	rows := []Row{
		{Name: "agent 0", State: "spec", Done: 0, Of: 4, Note: "Read\x1b[2J\nsrc"},
		{Name: "agent 11", State: "implement", Done: 1, Of: 4, Note: strings.Repeat("long ", 20)},
	}
	got := View("N=12", rows, 48)
	want := []string{
		"N=12",
		"  agent 0   ····  spec       Read [2J src",
		"  agent 11  ■···  implement  long long long lo…",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

func TestPipeGetsPlainLinesOnly(t *testing.T) {
	var buf bytes.Buffer
	d := New(&buf)
	d.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	d.Note("N=%d", 4)
	d.Show("N=4", []Row{{Name: "agent 0"}})
	d.Detail("agent 0 finished spec")
	d.Clear()
	want := "03:04:05  N=4\n03:04:05  agent 0 finished spec\n"
	if buf.String() != want {
		t.Errorf("got %q, want %q", buf.String(), want)
	}
}

func TestTerminalRedrawsInPlace(t *testing.T) {
	var buf bytes.Buffer
	now := time.Unix(0, 0).UTC()
	d := New(&buf)
	d.live, d.now = true, func() time.Time { return now }
	d.Show("N=1", []Row{{Name: "agent 0", Note: "a"}})
	now = now.Add(redrawEvery / 2)
	d.Show("N=1", []Row{{Name: "agent 0", Note: "too soon"}})
	now = now.Add(redrawEvery)
	d.Show("N=1", []Row{{Name: "agent 0", Note: "b"}})
	d.Detail("only in a pipe")
	d.Clear()
	want := "N=1\n  agent 0      a\n" + "\x1b[2A\x1b[J" + "N=1\n  agent 0      b\n" + "\x1b[2A\x1b[J"
	if buf.String() != want {
		t.Errorf("got %q, want %q", buf.String(), want)
	}
}

func TestNilDisplayIsSilent(t *testing.T) {
	var d *Display
	d.Note("x")
	d.Detail("x")
	d.Show("x", nil)
	d.Clear()
}
