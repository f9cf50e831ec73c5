package machine

import (
	"net"
	"sync"
)

// tap is a connection that can be stopped while it stays open, as one whose
// peer has lost its network.
type tap struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	ice    bool
}

func newTap(c net.Conn) *tap { return &tap{Conn: c, closed: make(chan struct{})} }

func (t *tap) freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ice = true
}

func (t *tap) frozen() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ice
}

// Read holds back what arrives once the connection is frozen.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if t.frozen() {
		<-t.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	if t.frozen() {
		<-t.closed
		return 0, net.ErrClosed
	}
	return t.Conn.Write(b)
}

func (t *tap) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Conn.Close()
}
