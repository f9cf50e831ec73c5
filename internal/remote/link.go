package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/x/dail/internal/clock"
)

// Waits between attempts to connect.
const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// Link is one connection that is made anew whenever it ends. Several
// goroutines may use it.
type Link struct {
	config func(context.Context) (Config, error)
	cancel context.CancelFunc
	loop   sync.WaitGroup

	mu      sync.Mutex
	conn    *Conn         // nil while there is none
	changed chan struct{} // closed when conn or failed changes
	failed  error         // why the last attempt failed
	closed  bool
}

// NewLink begins to connect, and goes on until Close or the end of ctx. config
// is asked before each attempt.
func NewLink(ctx context.Context, config func(context.Context) (Config, error)) *Link {
	ctx, cancel := context.WithCancel(ctx)
	l := &Link{config: config, cancel: cancel, changed: make(chan struct{})}
	l.loop.Go(func() { l.keep(ctx) })
	return l
}

// keep holds a connection until ctx ends.
func (l *Link) keep(ctx context.Context) {
	wait := retryFirst
	var clk clock.Clock = clock.Wall{}
	for ctx.Err() == nil {
		cfg, err := l.config(ctx)
		var conn *Conn
		if err == nil {
			clk = clock.Or(cfg.Clock)
			conn, err = Dial(ctx, cfg)
		}
		if err != nil {
			l.set(nil, err)
			_ = clk.Sleep(ctx, wait)
			wait = min(2*wait, retryMost)
			continue
		}
		wait = retryFirst
		l.set(conn, nil)
		select {
		case <-conn.Done():
			l.set(nil, errors.Join(ErrDisconnected, conn.Err()))
		case <-ctx.Done():
			l.set(nil, context.Canceled)
		}
		conn.Close()
	}
}

func (l *Link) set(conn *Conn, failed error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.failed = conn, failed
	close(l.changed)
	l.changed = make(chan struct{})
}

// Conn waits for a live connection. The error of a wait that ends joins why
// there is none. A host key that changed ends the wait at once.
func (l *Link) Conn(ctx context.Context) (*Conn, error) {
	for {
		l.mu.Lock()
		conn, failed, changed, closed := l.conn, l.failed, l.changed, l.closed
		l.mu.Unlock()
		switch {
		case closed:
			return nil, errors.New("the link is closed")
		case conn != nil:
			return conn, nil
		case errors.As(failed, new(*HostKeyError)):
			return nil, failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), failed)
		}
	}
}

// Run is [Conn.Run] over the live connection. It is never repeated: after
// [ErrDisconnected] the command may have been executed.
func (l *Link) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	c, err := l.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return c.Run(ctx, command, stdin)
}

// Upload is [Conn.Upload] over the live connection.
func (l *Link) Upload(ctx context.Context, file string, mode fs.FileMode, content []byte) error {
	c, err := l.Conn(ctx)
	if err != nil {
		return err
	}
	return c.Upload(ctx, file, mode, content)
}

// Close ends the connection and the attempts to make one.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.loop.Wait()
	return nil
}
