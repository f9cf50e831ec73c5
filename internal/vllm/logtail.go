package vllm

import "bytes"

const (
	keepLines  = 400 // of the end of the log
	keepErrors = 100 // first ones that are errors, however long ago
	showLines  = 30
	maxLine    = 64 << 10
)

// logTail cuts a log into lines and keeps those that may explain a failure:
// the first errors, and the end.
type logTail struct {
	rest   []byte // an unfinished line
	errors []string
	last   []string
}

func newLog() *logTail { return &logTail{} }

// add takes in the next bytes and returns the lines that they finish. A line
// ends at \n and at \r, with which progress bars begin anew.
func (t *logTail) add(text []byte) []string {
	t.rest = append(t.rest, text...)
	var lines []string
	for {
		i := bytes.IndexAny(t.rest, "\n\r")
		if i < 0 && len(t.rest) < maxLine {
			return lines
		}
		if i < 0 {
			i = len(t.rest)
		}
		if line := string(bytes.TrimSpace(t.rest[:i])); line != "" {
			lines = append(lines, line)
			t.keep(line)
		}
		t.rest = t.rest[min(i+1, len(t.rest)):]
	}
}

// flush returns the line that nothing will finish any more.
func (t *logTail) flush() []string { return t.add([]byte("\n")) }

func (t *logTail) keep(line string) {
	lvl, msg := split(line)
	if isBar(msg) {
		return
	}
	if lvl == loud && len(t.errors) < keepErrors {
		t.errors = append(t.errors, line)
	}
	t.last = append(t.last, line)
	if len(t.last) >= 2*keepLines {
		t.last = append([]string(nil), t.last[len(t.last)-keepLines:]...)
	}
}

// all is what is kept, in the order of the log; some lines stand there twice.
func (t *logTail) all() []string { return append(append([]string(nil), t.errors...), t.last...) }

// relevant is the end of the log for people, without secrets: of the lines that
// are neither progress nor say that all is well, or of all where there is no
// other.
func (t *logTail) relevant() []string {
	var matter, every []string
	for _, line := range t.last {
		lvl, msg := split(line)
		if msg == "" {
			continue
		}
		shown := clip(redact(clean(line)), 500)
		every = append(every, shown)
		if _, progress := Parse(line); lvl != quiet && !progress {
			matter = append(matter, shown)
		}
	}
	if len(matter) == 0 {
		matter = every
	}
	return matter[max(0, len(matter)-showLines):]
}
