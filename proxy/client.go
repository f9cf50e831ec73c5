package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// writeTimeout bounds one write to a client that has stopped reading. The
// answer as a whole has no limit.
const writeTimeout = time.Minute

// client is the connection on which a stream is written. After the first
// failure it writes nothing more.
type client struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error
}

func newClient(w http.ResponseWriter) *client {
	return &client{w: w, rc: http.NewResponseController(w)}
}

// commit sends the header of an event stream.
func (c *client) commit() {
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	// nginx and its relatives would hold the keep-alives back.
	h.Set("X-Accel-Buffering", "no")
	c.w.WriteHeader(http.StatusOK)
}

// write sends b at once.
func (c *client) write(b []byte) {
	if c.err != nil || len(b) == 0 {
		return
	}
	// Not every ResponseWriter has deadlines or a Flush (a recorder in a
	// test); without them the write is as good as that writer makes it. The
	// deadline also lifts the server's own WriteTimeout, which would cut a
	// long answer.
	c.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, c.err = c.w.Write(b); c.err != nil {
		return
	}
	if err := c.rc.Flush(); err != nil && !isUnsupported(err) {
		c.err = err
	}
}

// An sse builds an event stream in memory. The format is that of the HTML
// standard, section 9.2 (server-sent events): every value is one line of JSON,
// so it can hold no line break that would end the field.
type sse struct{ buf bytes.Buffer }

// event appends an event with a name, as the Anthropic API has it. The name is
// mandatory there: the SDKs look at nothing else to tell events apart.
func (s *sse) event(name string, v any) {
	s.buf.WriteString("event: ")
	s.buf.WriteString(name)
	s.buf.WriteByte('\n')
	s.data(v)
}

// data appends an event without a name, as the OpenAI API has it.
func (s *sse) data(v any) {
	s.buf.WriteString("data: ")
	s.buf.Write(marshal(v)) // ends with the newline of the field
	s.buf.WriteByte('\n')
}

func (s *sse) bytes() []byte { return s.buf.Bytes() }

// marshal returns v as one line of JSON with a newline at its end. Unlike
// json.Marshal it leaves <, > and & as they are: they are common in code, and
// a text that is written differently is a different text to a prefix cache.
//
// v is always one of our own types or valid raw JSON; if it cannot be written
// all the same, the error's text stands in its place, as a JSON string.
func marshal(v any) []byte {
	switch v := v.(type) { // the frequent ones
	case string:
		return append(appendString(make([]byte, 0, len(v)+len(v)/8+16), v), '\n')
	case fields:
		return append(v.json(), '\n')
	case []fields:
		b := []byte{'['}
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, f.json()...)
		}
		return append(b, ']', '\n')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return append(strconv.AppendQuoteToASCII(nil, "proxy: "+err.Error()), '\n')
	}
	return buf.Bytes()
}

// compact is marshal without the newline.
func compact(v any) json.RawMessage { return bytes.TrimSuffix(marshal(v), []byte("\n")) }

func itoa(n int) string { return strconv.Itoa(n) }
