package runpod

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/x/dail/internal/clock"
)

const (
	maxTail   = 5000             // lines that the API gives at most
	logsTotal = 10 * time.Second // how long a log is read at most
	logsQuiet = time.Second      // how long nothing comes before all is taken to be there
	maxEvent  = 64 << 10         // bytes of one event's data; more is left out
	maxLogs   = 16 << 20         // bytes of a whole log
)

// Logs returns the last lines of a pod's log, oldest first, at most tail of
// them (5000 at most). source is SourceContainer, SourceSystem, or empty for
// both. The stream never ends by itself: it is read until tail lines have
// come, until none has come for a second, or for ten seconds, whatever is
// first. Lines that were read before the connection broke are returned
// without an error.
func (c *Client) Logs(ctx context.Context, id, source string, tail int) ([]LogLine, error) {
	tail = max(1, min(tail, maxTail))
	r := request{
		op: "read logs", method: http.MethodGet, path: []string{"pods", id, "logs"},
		query: url.Values{"tail": {strconv.Itoa(tail)}},
	}
	if source != "" {
		r.query.Set("source", source)
	}
	if e := c.prepare(&r); e != nil {
		return nil, e
	}
	clk := clock.Or(c.Clock)
	if err := c.gate.wait(ctx, clk); err != nil {
		return nil, r.fault(Transient, "not sent, while waiting for the rate limit: %w", err)
	}
	bounded, cancel := clk.WithTimeout(ctx, logsTotal, errTimeout)
	defer cancel()
	resp, e := c.send(bounded, &r)
	if e != nil {
		return nil, e
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxEvent)) // what came of it is enough for words
		return nil, c.refusal(&r, resp, body)
	}
	// The body is closed from here when nothing has come for a while, which ends
	// the read below.
	quiet := time.AfterFunc(clk.Real(logsQuiet), cancel)
	defer quiet.Stop()
	var lines []LogLine
	err := readEvents(io.LimitReader(resp.Body, maxLogs), func(l LogLine) bool {
		quiet.Reset(clk.Real(logsQuiet))
		lines = append(lines, l)
		return len(lines) < tail
	})
	if err != nil && len(lines) == 0 && bounded.Err() == nil {
		return nil, r.fault(Transient, "%w", err)
	}
	if len(lines) == 0 && ctx.Err() != nil {
		return nil, r.fault(Transient, "%w", context.Cause(ctx))
	}
	return lines, nil
}

// readEvents reads a stream of events and hands over the log line of each,
// until each returns false. The end of the stream is no error, and ends the
// last event.
func readEvents(r io.Reader, each func(LogLine) bool) error {
	lines := bufio.NewReaderSize(r, 4096)
	var data []byte
	has := false
	emit := func() bool {
		defer func() { data, has = data[:0], false }()
		return !has || each(logLine(data))
	}
	for {
		line, err := readLine(lines)
		switch {
		case err == nil && len(line) == 0:
			if !emit() {
				return nil
			}
		default:
			if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
				if has {
					data = append(data, '\n')
				}
				has = true
				value = bytes.TrimPrefix(value, []byte(" "))
				data = append(data, value[:min(len(value), maxEvent-min(len(data), maxEvent))]...)
			} // comments and the other fields are not needed
		}
		if errors.Is(err, io.EOF) {
			emit()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine reads one line without its end, which is LF or CRLF. Of a line that
// is longer than an event may be, the rest is left out.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxEvent+len("data: ")-min(len(line), maxEvent+len("data: ")))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
	}
}

// logLine reads an event's data. What is not the API's JSON is a line itself.
func logLine(data []byte) LogLine {
	var l LogLine
	if err := json.Unmarshal(data, &l); err != nil {
		return LogLine{Line: string(data)}
	}
	return l
}
