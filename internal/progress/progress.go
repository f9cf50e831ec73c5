// Package progress tells a person what a run is doing, on stderr.
//
// On a terminal a block of live lines, one per step of the pod's life and one
// per agent, stands under the notes and is redrawn in place. In a pipe, a log or
// a CI job there is no block: every change worth keeping is a plain line with a
// time in front, and now and then one that sums the block up, so that the same
// run can be read afterwards. What is shown is a pure function of the state
// ([View]); only [Display] knows about cursors.
//
// The cursor is never hidden, and no mode of the terminal is changed: there is
// nothing to restore, whichever way a program ends. A block is drawn over the
// old one with a single write that erases only what is left of each line, which
// is what keeps it from flickering.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/x/dail/internal/plain"
)

// Display writes notes and the live block. Its methods may be called by
// several goroutines; a nil *Display is silent.
type Display struct {
	mu     sync.Mutex
	w      io.Writer
	live   bool
	colour bool
	size   func() (width, height int)
	now    func() time.Time

	block *Block // nil: none is shown
	drawn []int  // columns of each line of the block that stands on the screen
	last  time.Time
}

// redrawEvery bounds how often the block is redrawn, and summaryEvery is how
// often it is summed up where it cannot be drawn.
const (
	redrawEvery  = 100 * time.Millisecond
	summaryEvery = 30 * time.Second
)

// New returns a display on w: live where w is a terminal that can move its
// cursor, plain elsewhere, and silent where w is nil. It has colours where it is
// live and the environment's NO_COLOR is not set.
func New(w io.Writer) *Display {
	if w == nil {
		return nil
	}
	d := &Display{w: w, now: time.Now, size: func() (int, int) { return 80, 0 }}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		d.live, d.colour = modes(os.Getenv)
		d.size = func() (int, int) { return terminalSize(f) }
	}
	return d
}

// modes is what a terminal's environment wants.
func modes(env func(string) string) (live, colour bool) {
	live = env("TERM") != "dumb"
	return live, live && env("NO_COLOR") == ""
}

// Note writes a line that stays.
func (d *Display) Note(format string, args ...any) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(fmt.Sprintf(format, args...))
}

func (d *Display) note(text string) {
	text = plain.Text(text) // there may be a model's words in it
	var b strings.Builder
	d.home(&b)
	if len(d.drawn) > 0 { // each line of it stands where one of the block did
		text = strings.ReplaceAll(text, "\n", "\x1b[K\n")
	}
	fmt.Fprintf(&b, "%s  %s", d.now().Format("15:04:05"), text)
	if len(d.drawn) > 0 {
		b.WriteString("\x1b[K")
	}
	b.WriteByte('\n')
	d.draw(&b)
}

// Detail is a Note where there is no live block to show it.
func (d *Display) Detail(format string, args ...any) {
	if d != nil && !d.live {
		d.Note(format, args...)
	}
}

// Show replaces the live block. In a pipe it says now and then what is in it.
func (d *Display) Show(block Block) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	first := d.block == nil
	block.Rows, block.Steps = append([]Row(nil), block.Rows...), append([]Step(nil), block.Steps...)
	d.block = &block
	switch {
	case d.live && (first || now.Sub(d.last) >= redrawEvery):
		var b strings.Builder
		d.home(&b)
		d.draw(&b)
	case d.live:
	case first:
		d.last = now
	case now.Sub(d.last) >= summaryEvery:
		d.last = now
		d.note(block.Summary())
	}
}

// Clear takes the live block away.
func (d *Display) Clear() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.block = nil
	if len(d.drawn) > 0 {
		var b strings.Builder
		d.home(&b)
		d.draw(&b)
	}
}

// home moves the cursor to the block's first line. A terminal that has become
// narrower has broken its lines in two.
func (d *Display) home(b *strings.Builder) {
	if len(d.drawn) == 0 {
		return
	}
	width, _ := d.size()
	up := 0
	for _, n := range d.drawn {
		up += max(1, (n+width-1)/max(1, width))
	}
	fmt.Fprintf(b, "\x1b[%dA\r", up)
}

// draw appends the block as it is now to what is in b, and writes it all. The
// cursor is where the old block began, or beyond it by the lines in b.
func (d *Display) draw(b *strings.Builder) {
	var lines []string
	if d.live && d.block != nil {
		width, height := d.size()
		lines = View(*d.block, width, height, d.colour)
	}
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\n")
	}
	if len(d.drawn) > 0 {
		b.WriteString("\x1b[J") // what the old block had more
	}
	d.drawn = d.drawn[:0]
	for _, l := range lines {
		d.drawn = append(d.drawn, cells(uncoloured(l)))
	}
	if len(lines) > 0 {
		d.last = d.now()
	}
	if b.Len() > 0 {
		io.WriteString(d.w, b.String()) // nobody to tell: it is stderr
	}
}

// uncoloured is a line without the colours that View gave it, at its ends.
func uncoloured(l string) string {
	if rest, ok := strings.CutPrefix(l, "\x1b["); ok {
		_, l, _ = strings.Cut(rest, "m")
	}
	return strings.TrimSuffix(l, "\x1b[0m")
}

func isTerminal(f *os.File) bool {
	_, _, err := winsize(f)
	return err == nil
}

func terminalSize(f *os.File) (width, height int) {
	w, h, err := winsize(f)
	if err != nil || w <= 0 {
		return 80, 0
	}
	return w, h
}
