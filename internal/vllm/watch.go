package vllm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/dail/internal/clock"
)

const (
	// pollEvery is how often the log is looked at.
	pollEvery = 2 * time.Second
	// pollLimit is how long one look may take, should the connection hang.
	pollLimit = time.Minute
	// doubt is how long after the text of a failure a vLLM that lives on may show
	// progress after all, before it is given up: some errors are tried again.
	doubt = 30 * time.Second
)

// errHangs is a vLLM that reported a failure and did not end.
var errHangs = errors.New("it reported a failure and did not go on")

// Watch follows the log of what [Launch] started, from its beginning, until
// vLLM serves, and returns its port on the machine's 127.0.0.1. Each growth of
// the log, or of what is being installed or downloaded, is an event; those
// with a text are worth a line. A failure, and the end of ctx, are a
// *[StartError]. A connection that is lost is no failure: it is tried again
// until ctx ends.
func Watch(ctx context.Context, m Machine, clk clock.Clock, report func(Event)) (port int, err error) {
	w := &watch{m: m, clk: clock.Or(clk), report: report, log: newLog(), said: map[string]bool{}, now: Event{Phase: PhaseStart}}
	var lost error
	for {
		seen, err := w.poll(ctx)
		switch {
		case err == nil:
			lost = nil
			port, done, err := w.take(seen)
			if done || err != nil {
				return port, err
			}
			if len(seen.text) > 0 && w.offset < seen.size {
				continue
			}
		case ctx.Err() == nil:
			lost = fmt.Errorf("the machine cannot be asked: %w", err)
		}
		if w.clk.Sleep(ctx, pollEvery) != nil {
			return 0, w.fail(look{alive: true, status: -1}, errors.Join(context.Cause(ctx), lost))
		}
	}
}

// Ended asks once whether what [Launch] started has ended since: a
// *[StartError] if so, else nil or the error of asking.
func Ended(ctx context.Context, m Machine) error {
	const tail = 64 << 10
	seen, err := poll(ctx, m, -tail, "")
	if err != nil || !seen.ended() {
		return err
	}
	w := &watch{m: m, log: newLog(), now: Event{Phase: PhaseReady}}
	w.log.add(seen.text)
	w.log.flush()
	return w.fail(seen, nil)
}

// Log is the end of vLLM's log, about n bytes, without secrets.
func Log(ctx context.Context, m Machine, n int) ([]byte, error) {
	out, err := run(ctx, m, library+`[ ! -f "$dir/vllm.log" ] || tail -c "$1" "$dir/vllm.log"`+"\n", fmt.Sprint(n))
	if err != nil {
		return nil, fmt.Errorf("reading vllm.log: %w", err)
	}
	var b bytes.Buffer
	for line := range bytes.Lines(out) {
		b.WriteString(redact(string(line)))
	}
	return b.Bytes(), nil
}

// watch is one [Watch].
type watch struct {
	m      Machine
	clk    clock.Clock
	report func(Event)

	offset int64 // of the log, read so far
	log    *logTail
	kb     int64 // of what grows beside the log; 0 before the first look
	base   int64 // kb at the first look of the phase
	told   int64 // kb, by the last line about it

	now     Event // the last one
	said    map[string]bool
	doubted time.Time // when a failure was seen that nothing has refuted; zero: none
	ready   bool
}

func (w *watch) poll(ctx context.Context) (look, error) {
	ctx, cancel := w.clk.WithTimeout(ctx, pollLimit, fmt.Errorf("no answer within %v", pollLimit))
	defer cancel()
	return poll(ctx, w.m, w.offset, w.grows())
}

// grows says what else may grow while the log does not.
func (w *watch) grows() string {
	switch w.now.Phase {
	case PhaseInstall:
		return "install"
	case PhaseStart, PhaseDownload, PhaseLoad:
		return "download"
	}
	return ""
}

// take takes in one look; done when vLLM serves.
func (w *watch) take(l look) (port int, done bool, err error) {
	if l.offset < w.offset {
		w.log, w.said, w.ready = newLog(), map[string]bool{}, false // another start
	}
	w.offset = l.offset + int64(len(l.text))
	lines := w.log.add(l.text)
	if l.ended() && w.offset >= l.size {
		lines = append(lines, w.log.flush()...)
	}
	heard := false
	for _, line := range lines {
		heard = w.line(line) || heard
	}
	if len(l.text) > 0 && !heard {
		w.report(Event{Phase: w.now.Phase, Fraction: w.now.Fraction})
	}
	w.weigh(l.kb)
	switch {
	case l.ended() && w.offset >= l.size:
		return 0, false, w.fail(l, nil)
	case l.ended():
		return 0, false, nil // its last lines are still to come
	case w.ready:
		if l.port <= 0 {
			return 0, false, w.fail(l, errors.New("the machine does not say on which port it listens (.dail/vllm.port)"))
		}
		return l.port, true, nil
	case !w.doubted.IsZero() && w.clk.Now().Sub(w.doubted) >= doubt:
		return 0, false, w.fail(l, errHangs)
	}
	return 0, false, nil
}

// line takes in one line, and reports whether it was an event.
func (w *watch) line(line string) bool {
	if e, ok := Parse(line); ok {
		w.doubted = time.Time{}
		w.ready = w.ready || e.Phase == PhaseReady
		w.tell(e, isBar(line))
		return true
	}
	if !w.doubted.IsZero() || w.ready {
		return false
	}
	if _, bad := Diagnose([]string{line}); bad {
		w.doubted = w.clk.Now()
	}
	return false
}

// tell reports an event, without its text where the same, or nearly the same,
// was said before.
func (w *watch) tell(e Event, ofBar bool) {
	if e.Phase != w.now.Phase {
		w.kb, w.base, w.told = 0, 0, 0
	}
	w.now = e
	key := e.Text
	if ofBar {
		key = fmt.Sprintf("%s %d", e.Phase, int(e.Fraction*4)) // its beginning, and each quarter
	}
	if w.said[key] {
		e.Text = ""
	}
	w.said[key] = true
	w.report(e)
}

// weigh reports the growth of what is being downloaded or installed.
func (w *watch) weigh(kb int64) {
	const gb = 1e9 / 1024
	switch {
	case kb == 0 || kb == w.kb:
		return
	case w.kb == 0:
		w.kb, w.base, w.told = kb, kb, kb
		return
	}
	w.kb = kb
	e := Event{Phase: w.now.Phase, Fraction: w.now.Fraction}
	if w.now.Phase != PhaseInstall && float64(kb-w.told) >= 2*gb {
		w.told = kb
		e.Text = fmt.Sprintf("%.0f GB of weights have arrived", float64(kb-w.base)/gb)
	}
	w.report(e)
}

// fail is the error of a start that failed.
func (w *watch) fail(l look, why error) *StartError {
	e := &StartError{Phase: w.now.Phase, Exited: l.ended(), Status: l.status, Err: why}
	e.Advice = advise(e.Phase, e.Exited, e.Status)
	// An error that the start got over is not why it was given up later.
	if e.Exited || !w.doubted.IsZero() {
		lines := w.log.all()
		c, ok := Diagnose(lines)
		if !ok || c.general {
			c.Name, c.Text = "unknown", cmp.Or(exception(lines), c.Text)
			c.Advice = e.Advice
		}
		if c.Text != "" {
			e.Cause, e.Advice = &c, c.Advice
		}
	}
	e.Lines = w.log.relevant()
	return e
}

// look is what one look at the machine showed.
type look struct {
	alive  bool
	status int   // of its end; -1: none
	size   int64 // of the log, bytes
	offset int64 // where text begins
	kb     int64 // of what grows beside it
	port   int
	text   []byte
}

func (l look) ended() bool { return l.status >= 0 || !l.alive }

// poll looks at vLLM once.
func poll(ctx context.Context, m Machine, offset int64, grows string) (look, error) {
	out, err := run(ctx, m, library+pollScript, fmt.Sprint(offset), grows)
	if err != nil {
		return look{}, err
	}
	return parseLook(out)
}

func parseLook(out []byte) (look, error) {
	// A login may print a greeting first.
	_, rest, ok := bytes.Cut(out, []byte("dail-poll "))
	head, text, whole := bytes.Cut(rest, []byte("\n"))
	var l look
	var alive int
	var status string
	if ok && whole {
		_, err := fmt.Sscanf(string(head), "alive=%d status=%s size=%d offset=%d kb=%d port=%d",
			&alive, &status, &l.size, &l.offset, &l.kb, &l.port)
		ok = err == nil
	}
	if !ok || !whole {
		return look{}, fmt.Errorf("the machine answered %q", clip(clean(string(out)), 200))
	}
	l.alive, l.status, l.text = alive == 1, -1, text
	if status != "-" {
		if _, err := fmt.Sscan(status, &l.status); err != nil || l.status < 0 {
			l.status = 255 // it ended, and the file that says how is broken
		}
	}
	return l, nil
}
