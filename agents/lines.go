package agents

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds the line that is held in memory. A longer one still reaches
// the file whole, but nobody reads it.
const maxLine = 16 << 20

var errFlood = errors.New("something floods the client's output")

// lines cuts what a program prints into lines, takes the secrets out of each,
// and hands it to the file and to read. It never fails the program: what it
// could not write is kept in err. What comes after max bytes is dropped, and
// flood is told once.
type lines struct {
	file   io.Writer
	redact func([]byte) []byte
	read   func(line []byte)
	max    int
	flood  func(error)

	buf     []byte
	size    int
	tooLong bool
	err     error
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if l.size > l.max {
		return n, nil
	}
	if l.size += n; l.size > l.max {
		l.buf = nil
		l.flood(fmt.Errorf("%w: its transcript grew beyond %d bytes", errFlood, l.max))
		return n, nil
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		l.add(p[:i])
		l.end("\n")
		p = p[i+1:]
	}
	l.add(p)
	return n, nil
}

// close flushes a last line without its newline.
func (l *lines) close() {
	if len(l.buf) > 0 {
		l.end("")
	}
}

func (l *lines) add(p []byte) {
	l.buf = append(l.buf, p...)
	if len(l.buf) > maxLine {
		l.tooLong = true
		l.put(l.redact(l.buf), "")
		l.buf = l.buf[:0]
	}
}

func (l *lines) end(newline string) {
	line := l.redact(l.buf)
	l.put(line, newline)
	if !l.tooLong {
		l.read(line)
	}
	l.tooLong = false
	if cap(l.buf) > 1<<20 {
		l.buf = nil // a giant among small ones
	}
	l.buf = l.buf[:0]
}

func (l *lines) put(line []byte, newline string) {
	if l.err != nil {
		return
	}
	out := make([]byte, 0, len(line)+1)
	out = append(append(out, line...), newline...)
	_, l.err = l.file.Write(out)
}

// redactor returns a function that takes the values of secrets out of a text.
func redactor(secrets map[string]string) func([]byte) []byte {
	return func(b []byte) []byte {
		for name, v := range secrets {
			if v != "" && bytes.Contains(b, []byte(v)) {
				b = bytes.ReplaceAll(b, []byte(v), []byte("["+name+"]"))
			}
		}
		return b
	}
}

// tail keeps the last max bytes of what is written to it.
type tail struct {
	max int
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// text returns the tail as valid UTF-8, its first character whole.
func (t *tail) text() string { return strings.ToValidUTF8(string(t.buf), "") }
