package progress

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// level is a block in the middle of a level.
func level(n int) Block {
	b := Block{
		Title: "n4: 4 agents on qwen3-coder-30b-fp8, l40s",
		Steps: []Step{
			{Label: "create→ready", Elapsed: 13 * time.Second, USD: 0.003},
			{Label: "vLLM startup", Elapsed: 312 * time.Second, USD: 0.068},
			{Label: "generation", Elapsed: 243 * time.Second, USD: 0.053, Running: true},
		},
		Label: "simulated",
		Load:  &Load{TokensPerS: 371.6, Running: 4, Waiting: 1, KV: 0.34},
		Left:  "5m–9m left",
	}
	rows := []Row{
		{Name: "agent 0", State: "spec", Of: 4, Note: "Read\x1b[2J\nsrc"},
		{Name: "agent 1", State: "implement", Done: 1, Of: 4, Note: "12 requests, " + strings.Repeat("long ", 20)},
		{Name: "agent 2", State: StateDone, Done: 4, Of: 4, Note: "31 requests"},
		{Name: "agent 3", State: StateFailed, Done: 2, Of: 4, Note: "名前\u202eを変える名前を変える名前を変える名前を変える"},
	}
	for i := range n {
		r := rows[i%len(rows)]
		r.Name = fmt.Sprintf("agent %d", i)
		b.Rows = append(b.Rows, r)
	}
	return b
}

func TestView(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		name          string
		block         Block
		width, height int
		colour        bool
	}{
		{"80 columns", level(4), 80, 24, false},
		{"48 columns", level(4), 48, 24, false},
		{"24 columns", level(2), 24, 24, false},
		{"in colour", level(4), 80, 24, true},
		{"32 agents on 16 lines", level(32), 80, 16, false},
		{"6 lines", level(4), 80, 6, false},
		{"nothing known", Block{Title: "waiting", Rows: []Row{{Name: "pod", State: "asked for"}}}, 80, 24, false},
		{"no speed yet", Block{Title: "n1", Steps: []Step{{Label: "generation", Running: true}}, Load: &Load{TokensPerS: -1}}, 80, 24, false},
	} {
		fmt.Fprintf(&out, "== %s\n", c.name)
		lines := View(c.block, c.width, c.height, c.colour)
		for _, l := range lines {
			if n := cells(uncoloured(l)); n >= c.width {
				t.Errorf("%s: %d columns on a terminal of %d: %q", c.name, n, c.width, l)
			}
			fmt.Fprintln(&out, strings.ReplaceAll(l, "\x1b", "ESC"))
		}
		if len(lines) >= c.height {
			t.Errorf("%s: %d lines on a terminal of %d", c.name, len(lines), c.height)
		}
	}
	golden := filepath.Join("testdata", "view.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

func TestPipeGetsPlainLinesOnly(t *testing.T) {
	var buf bytes.Buffer
	d := New(&buf)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d.now = func() time.Time { return now }
	d.Note("N=%d", 4)
	d.Show(level(4))
	d.Detail("agent 0 finished spec")
	for range 61 { // a minute, a second at a time
		now = now.Add(time.Second)
		d.Show(level(4))
	}
	d.Clear()
	sum := "n4: 4 agents on qwen3-coder-30b-fp8, l40s; 372 tok/s, KV 34 %, 4 running, 1 waiting; $0.124 so far (simulated); 5m–9m left; 2 of 4 done; 1 failed\n"
	want := "03:04:05  N=4\n03:04:05  agent 0 finished spec\n03:04:35  " + sum + "03:05:05  " + sum
	if diff := cmp.Diff(want, buf.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// screen plays what a display writes, as a terminal would.
type screen struct {
	lines  []string
	at     int
	writes int
}

func (s *screen) Write(p []byte) (int, error) {
	s.writes++
	text := string(p)
	for text != "" {
		for s.at >= len(s.lines) {
			s.lines = append(s.lines, "")
		}
		var up int
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			s.lines, text = s.lines[:s.at], text[3:]
		case strings.HasPrefix(text, "\r"):
			text = text[1:]
		case strings.HasPrefix(text, "\x1b["):
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &up); err != nil {
				return 0, fmt.Errorf("the screen does not know %q", text)
			}
			s.at, text = s.at-up, text[strings.Index(text, "A")+1:]
		default:
			line, rest, whole := strings.Cut(text, "\n")
			if !whole {
				return 0, fmt.Errorf("half a line: %q", text)
			}
			s.lines[s.at], text = strings.TrimSuffix(line, "\x1b[K"), rest
			s.at++
		}
	}
	return len(p), nil
}

// A block is redrawn in place, in one write, whatever comes in between; nothing
// of it is left at the end, and the cursor stands below the notes.
func TestTerminalRedrawsInPlace(t *testing.T) {
	s := &screen{}
	now := time.Unix(0, 0).UTC()
	d := New(s)
	d.live, d.now = true, func() time.Time { return now }
	show := func(note string, rows int) {
		b := Block{Title: "N=1"}
		for range rows {
			b.Rows = append(b.Rows, Row{Name: "agent", State: "s", Note: note})
		}
		d.Show(b)
	}
	want := func(lines ...string) {
		t.Helper()
		if diff := cmp.Diff(lines, append([]string(nil), s.lines[:s.at]...)); diff != "" {
			t.Errorf("screen (-want +got):\n%s", diff)
		}
	}
	show("a", 3)
	want("N=1", "  agent    s  a", "  agent    s  a", "  agent    s  a")
	now = now.Add(redrawEvery / 2)
	show("too soon", 3)
	want("N=1", "  agent    s  a", "  agent    s  a", "  agent    s  a")
	now = now.Add(redrawEvery)
	before := s.writes
	show("b", 1)
	if s.writes != before+1 {
		t.Errorf("%d writes for one picture", s.writes-before)
	}
	want("N=1", "  agent    s  b")
	d.Detail("only in a pipe")
	d.Note("kept")
	want("00:00:00  kept", "N=1", "  agent    s  b")
	d.Clear()
	want("00:00:00  kept")
	d.Note("after")
	want("00:00:00  kept", "00:00:00  after")
}

// A terminal that becomes narrower breaks the lines that stand on it.
func TestNarrowerTerminal(t *testing.T) {
	var buf bytes.Buffer
	width := 80
	d := New(&buf)
	d.live, d.now, d.size = true, func() time.Time { return time.Unix(0, 0) }, func() (int, int) { return width, 24 }
	d.Show(Block{Title: strings.Repeat("x", 60), Rows: []Row{{Name: "agent 0"}}})
	buf.Reset()
	width = 40
	d.Clear()
	if got := buf.String(); got != "\x1b[3A\r\x1b[J" {
		t.Errorf("%q: 60 columns are two lines of 40, and there is one more", got)
	}
}

func TestModes(t *testing.T) {
	for name, c := range map[string]struct {
		env          map[string]string
		live, colour bool
	}{
		"plain":    {nil, true, true},
		"NO_COLOR": {map[string]string{"NO_COLOR": "1"}, true, false},
		"dumb":     {map[string]string{"TERM": "dumb"}, false, false},
	} {
		if live, colour := modes(func(k string) string { return c.env[k] }); live != c.live || colour != c.colour {
			t.Errorf("%s: live %v, colour %v", name, live, colour)
		}
	}
}

func TestNilDisplayIsSilent(t *testing.T) {
	var d *Display
	d.Note("x")
	d.Detail("x")
	d.Show(Block{})
	d.Clear()
}

// Nothing is said before it can be known; then the range holds the truth.
func TestPace(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var p Pace
	left := func(now int, later ...int) string {
		low, high, ok := p.Left(at(now), later)
		if !ok {
			return "?"
		}
		return fmt.Sprintf("%v %v", low, high)
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("nothing", left(0), "?")
	p.Begin(at(0), 2, 2)
	p.Phase(at(0), 0, 0)
	p.Phase(at(0), 1, 0)
	check("no phase has ended", left(50), "?")
	p.Phase(at(100), 0, 1)
	check("the second is unknown", left(100), "?")
	p.Phase(at(160), 1, 1)
	p.Phase(at(300), 0, 2)
	check("agent 1 has 200 s of work from 160 on", left(300), "1m0s 1m0s")
	check("and then 4 agents, for as long or twice as long", left(300, 4), "7m0s 13m0s")
	p.Phase(at(360), 1, 2)
	p.End(at(360))
	check("between levels", left(360), "?")
	p.Begin(at(400), 4, 2)
	check("130 + 200 s, or twice as much", left(400), "5m30s 11m0s")
	p.Phase(at(400), 0, 0)
	p.Phase(at(600), 0, 1)
	for i := 1; i < 4; i++ {
		p.Phase(at(400), i, 0)
	}
	check("the first is known by now, and over for whom it took longer", left(610), "3m20s 6m40s")
	check("words", Words(5*time.Minute+30*time.Second, 11*time.Minute)+"; "+Words(time.Second, 10*time.Second)+"; "+Words(time.Hour, time.Hour), "6m–11m left; under 1m left; about 1h00m left")
	var none *Pace
	none.Begin(at(0), 1, 1)
	none.Phase(at(0), 0, 0)
	none.End(at(0))
	if _, _, ok := none.Left(at(0), nil); ok {
		t.Error("nobody knows, and somebody says")
	}
}

// A note may have a model's words in it; they move nothing.
func TestNotesArePlain(t *testing.T) {
	var b bytes.Buffer
	New(&b).Note("agent 1 failed: %s", "\x1b]52;c;eA==\x07\x1b[2Jso\r\nit is")
	if got := b.String(); strings.ContainsAny(got, "\x1b\x07\r") || !strings.HasSuffix(got, "agent 1 failed: so\nit is\n") {
		t.Errorf("%q", got)
	}
}
