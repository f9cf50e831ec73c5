// Package progress tells a person what a run is doing, on stderr.
//
// On a terminal a block of live lines, one per agent, stands under the notes
// and is redrawn in place. In a pipe, a log or a CI job there is no block:
// every change worth keeping is a plain line with a time in front, so that the
// same run can be read afterwards. What is shown is a pure function of the
// state ([View]); only [Display] knows about cursors.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Row is one live line.
type Row struct {
	Name  string // "agent 3"
	State string // phase, e.g. "implement"
	Done  int    // finished phases
	Of    int    // all phases
	Note  string // what it does now
}

// Display writes notes and the live block. Its methods may be called by
// several goroutines; a nil *Display is silent.
type Display struct {
	mu    sync.Mutex
	w     io.Writer
	live  bool
	width func() int
	now   func() time.Time

	title string
	rows  []Row
	drawn int // lines of the block that stand on the screen
	last  time.Time
}

// redrawEvery bounds how often the block is redrawn.
const redrawEvery = 100 * time.Millisecond

// New returns a display on w: live where w is a terminal that can move its
// cursor, plain elsewhere, and silent where w is nil.
func New(w io.Writer) *Display {
	if w == nil {
		return nil
	}
	d := &Display{w: w, now: time.Now, width: func() int { return 80 }}
	if f, ok := w.(*os.File); ok && isTerminal(f) && os.Getenv("TERM") != "dumb" {
		d.live = true
		d.width = func() int { return terminalWidth(f) }
	}
	return d
}

// Note writes a line that stays.
func (d *Display) Note(format string, args ...any) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	fmt.Fprintf(d.w, "%s  %s\n", d.now().Format("15:04:05"), fmt.Sprintf(format, args...))
	d.draw()
}

// Detail is a Note where there is no live block to show it.
func (d *Display) Detail(format string, args ...any) {
	if d != nil && !d.live {
		d.Note(format, args...)
	}
}

// Show replaces the live block. In a pipe it does nothing.
func (d *Display) Show(title string, rows []Row) {
	if d == nil || !d.live {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.title, d.rows = title, append(d.rows[:0], rows...)
	if d.now().Sub(d.last) < redrawEvery {
		return
	}
	d.erase()
	d.draw()
}

// Clear takes the live block away.
func (d *Display) Clear() {
	if d == nil || !d.live {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	d.title, d.rows = "", nil
}

func (d *Display) erase() {
	if d.drawn > 0 {
		fmt.Fprintf(d.w, "\x1b[%dA\x1b[J", d.drawn)
		d.drawn = 0
	}
}

func (d *Display) draw() {
	if !d.live || len(d.rows) == 0 {
		return
	}
	lines := View(d.title, d.rows, d.width())
	fmt.Fprint(d.w, strings.Join(lines, "\n"), "\n")
	d.drawn = len(lines)
	d.last = d.now()
}

// View lays the block out for a terminal of this width, a string per line.
func View(title string, rows []Row, width int) []string {
	lines := []string{clip(title, width)}
	name, state := 0, 0
	for _, r := range rows {
		name, state = max(name, len(r.Name)), max(state, len(r.State))
	}
	for _, r := range rows {
		bar := strings.Repeat("■", r.Done) + strings.Repeat("·", max(0, r.Of-r.Done))
		lines = append(lines, clip(fmt.Sprintf("  %-*s  %s  %-*s  %s", name, r.Name, bar, state, r.State, r.Note), width))
	}
	return lines
}

// clip keeps a line on one row of the screen, and free of what would move the
// cursor: a tool call's text is the model's.
func clip(s string, width int) string {
	out := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s))
	if width > 1 && len(out) >= width {
		out = append(out[:width-2], '…')
	}
	return strings.TrimRight(string(out), " ")
}

func isTerminal(f *os.File) bool {
	_, err := winsize(f)
	return err == nil
}

func terminalWidth(f *os.File) int {
	w, err := winsize(f)
	if err != nil || w <= 0 {
		return 80
	}
	return w
}
