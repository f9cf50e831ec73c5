package remote_test

import (
	"io"
	"net"
	"sync"
	"time"
)

// buffered is a pair of connections in memory whose writes do not wait for a
// reader, as a socket's do not: both ends of an SSH handshake write first.
func buffered() (a, b net.Conn) {
	x, y := newStream(), newStream()
	return &end{r: x, w: y}, &end{r: y, w: x}
}

type stream struct {
	mu     sync.Mutex
	buf    []byte
	closed bool
	more   chan struct{} // cap 1
}

func newStream() *stream { return &stream{more: make(chan struct{}, 1)} }

func (s *stream) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

type end struct{ r, w *stream }

func (e *end) Read(p []byte) (int, error) {
	for {
		e.r.mu.Lock()
		if len(e.r.buf) > 0 {
			n := copy(p, e.r.buf)
			e.r.buf = e.r.buf[n:]
			e.r.mu.Unlock()
			return n, nil
		}
		closed := e.r.closed
		e.r.mu.Unlock()
		if closed {
			e.r.wake()
			return 0, io.EOF
		}
		<-e.r.more
	}
}

func (e *end) Write(p []byte) (int, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.w.closed {
		return 0, io.ErrClosedPipe
	}
	e.w.buf = append(e.w.buf, p...)
	e.w.wake()
	return len(p), nil
}

func (e *end) Close() error {
	for _, s := range []*stream{e.r, e.w} {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.wake()
	}
	return nil
}

func (*end) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*end) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*end) SetDeadline(time.Time) error      { return nil }
func (*end) SetReadDeadline(time.Time) error  { return nil }
func (*end) SetWriteDeadline(time.Time) error { return nil }
