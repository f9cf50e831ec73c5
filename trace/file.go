package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A Writer appends records to a file, a line each. It may be used by several
// goroutines at once. Every record reaches the underlying writer in one Write,
// so that a program that dies leaves whole lines.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write appends one record. After a failure it keeps returning that failure:
// a trace with a hole in it must not look whole.
func (w *Writer) Write(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("trace: record %s: %w", r.ID, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if _, err := w.w.Write(append(line, '\n')); err != nil {
		w.err = fmt.Errorf("trace: write record %s: %w", r.ID, err)
	}
	return w.err
}

// Err returns the first failure of a Write, for a caller that writes from a
// callback.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// maxLine bounds one record; a record is under a kilobyte.
const maxLine = 1 << 20

// Read reads every record up to the end of r. A last line without its newline
// is what a killed program leaves behind: it is dropped. Any other line that
// is not a record is an error that names the line.
func Read(r io.Reader) ([]Record, error) {
	var records []Record
	br := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(br)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, fmt.Errorf("trace: line %d: %w", n, err)
		}
		if len(line) == 0 {
			continue
		}
		var rec Record
		if err := json.Unmarshal(line, &rec); err != nil {
			return records, fmt.Errorf("trace: line %d: %w", n, err)
		}
		records = append(records, rec)
	}
}

// readLine returns a line without its newline, and io.EOF for what stands
// after the last newline.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
