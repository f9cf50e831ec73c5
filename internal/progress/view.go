package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Block is the live block: what is being measured, a line per step of the pod's
// life, and a line per agent.
type Block struct {
	Title string
	// Steps are the pod's billed time so far, the running one last.
	Steps []Step
	// Label is what the dollars are, where they are not paid: "simulated".
	Label string
	Load  *Load // nil: no load is measured
	// Left says how long it will take yet, in words; empty: not known.
	Left string
	Rows []Row
}

// Step is a part of the pod's billed time.
type Step struct {
	Label   string
	Elapsed time.Duration
	USD     float64
	// Running is set for the one that time is spent on now.
	Running bool
}

// Load is what the server does.
type Load struct {
	TokensPerS       float64 // generated, all requests together; below 0: not known yet
	Running, Waiting int     // requests
	KV               float64 // of its cache in use, 0 to 1
}

// Row is one live line.
type Row struct {
	Name  string // "agent 3"
	State string // phase, e.g. "implement"
	Done  int    // finished phases
	Of    int    // all phases
	Note  string // what it does now
}

// States of a row that are more than a phase.
const (
	StateDone   = "done"
	StateFailed = "failed"
)

func (l *Load) String() string {
	speed := "– tok/s"
	if l.TokensPerS >= 0 {
		speed = fmt.Sprintf("%.0f tok/s", l.TokensPerS)
	}
	return fmt.Sprintf("%s, KV %.0f %%, %d running, %d waiting", speed, 100*l.KV, l.Running, l.Waiting)
}

// dollars is what the pod has cost so far; empty where nothing has begun.
func (b *Block) dollars() string {
	if len(b.Steps) == 0 {
		return ""
	}
	var usd float64
	for _, s := range b.Steps {
		usd += s.USD
	}
	text := fmt.Sprintf("$%.3f so far", usd)
	if b.Label != "" {
		text += " (" + b.Label + ")"
	}
	return text
}

// Summary is the block in one line, for a log.
func (b *Block) Summary() string {
	parts := []string{b.Title}
	if b.Load != nil {
		parts = append(parts, b.Load.String())
	}
	if d := b.dollars(); d != "" {
		parts = append(parts, d)
	}
	if b.Left != "" {
		parts = append(parts, b.Left)
	}
	if len(b.Rows) > 1 {
		done, failed := 0, 0
		for _, r := range b.Rows {
			switch r.State {
			case StateDone:
				done++
			case StateFailed:
				failed++
			}
		}
		parts = append(parts, fmt.Sprintf("%d of %d done", done+failed, len(b.Rows)))
		if failed > 0 {
			parts = append(parts, fmt.Sprintf("%d failed", failed))
		}
	}
	return clip(strings.Join(parts, "; "), 0)
}

// View lays the block out for a terminal, a string per line: none is as wide as
// the terminal, and there are fewer than it has lines, since what has scrolled
// away cannot be redrawn. Height 0 is one without an end.
func View(b Block, width, height int, colour bool) []string {
	paint := func(code, s string) string {
		if !colour || s == "" {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	var lines []string
	if b.Title != "" {
		lines = append(lines, paint("1", clip(b.Title, width)))
	}
	label := 0
	for _, s := range b.Steps {
		label = max(label, cells(s.Label))
	}
	for _, s := range b.Steps {
		mark, note := " ", ""
		if s.Running {
			mark = ">"
			if b.Load != nil {
				note = "  " + b.Load.String()
			}
		}
		text := clip(fmt.Sprintf("%s %s  %7s  $%.3f%s", mark, pad(s.Label, label), short(s.Elapsed), s.USD, note), width)
		if !s.Running {
			text = paint("2", text)
		}
		lines = append(lines, text)
	}
	if d := b.dollars(); d != "" {
		if b.Left != "" {
			d += ", " + b.Left
		}
		lines = append(lines, clip("  "+d, width))
	}
	rows := b.Rows
	most := len(rows)
	if height > 0 && len(lines)+most > height-1 {
		most = max(0, height-1-len(lines)-1) // one for how many are not shown
	}
	name, state := 0, 0
	for _, r := range rows {
		name, state = max(name, cells(r.Name)), max(state, cells(r.State))
	}
	for _, r := range rows[:most] {
		bar := strings.Repeat("■", r.Done) + strings.Repeat("·", max(0, r.Of-r.Done))
		text := clip(fmt.Sprintf("  %s  %s  %s  %s", pad(r.Name, name), bar, pad(r.State, state), r.Note), width)
		switch r.State {
		case StateDone:
			text = paint("32", text)
		case StateFailed:
			text = paint("31", text)
		}
		lines = append(lines, text)
	}
	if most < len(rows) {
		lines = append(lines, clip(fmt.Sprintf("  … and %d more", len(rows)-most), width))
	}
	if height > 1 && len(lines) > height-1 {
		lines = lines[:height-1]
	}
	return lines
}

// short prints a time as 7s, 5m12s, 1h02m.
func short(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-cells(s))) }

// clip keeps a line on one row of the screen (width 0: however long), and free
// of what would move the cursor or turn the text around: a tool call's text is
// the model's.
func clip(s string, width int) string {
	var out []rune
	at, fits := 0, 0 // cells so far; how many runes leave room for the dots
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		if unicode.Is(unicode.Cf, r) {
			continue
		}
		at += wide(r)
		out = append(out, r)
		if at <= width-2 {
			fits = len(out)
		}
	}
	if width > 1 && at >= width {
		out = append(out[:fits], '…')
	}
	return strings.TrimRight(string(out), " ")
}

// cells is how many columns a text takes.
func cells(s string) (n int) {
	for _, r := range s {
		n += wide(r)
	}
	return n
}

// wide is how many columns a rune takes: two for the scripts of East Asia and
// for emoji, none for what combines. It is the coarse rule that terminals share.
func wide(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 1
	case r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
