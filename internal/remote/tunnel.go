package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/x/dail/internal/clock"
)

// tunnelPatience is how long a connection waits for a link that is down.
const tunnelPatience = 30 * time.Second

// Tunnel is a free port of this machine's loopback that leads to a port of the
// other machine, for as long as the link lives.
type Tunnel struct {
	link   *Link
	remote string
	clk    clock.Clock
	ln     net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// Tunnel listens on a free port of 127.0.0.1 and forwards to addr, as it is
// seen from the other machine.
func (l *Link) Tunnel(ctx context.Context, addr string, clk clock.Clock) (*Tunnel, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("tunnel to %s: %w", addr, err)
	}
	t := &Tunnel{link: l, remote: addr, clk: clock.Or(clk), ln: ln}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.tasks.Go(t.accept)
	return t, nil
}

// Addr is the local host:port.
func (t *Tunnel) Addr() string { return t.ln.Addr().String() }

// Close ends the tunnel and every connection through it.
func (t *Tunnel) Close() error {
	t.cancel()
	err := t.ln.Close()
	t.tasks.Wait()
	return err
}

func (t *Tunnel) accept() {
	for {
		local, err := t.ln.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			_ = t.clk.Sleep(t.ctx, 100*time.Millisecond) // out of descriptors: it passes
			continue
		}
		t.tasks.Go(func() { t.forward(local) })
	}
}

// forward joins one connection with its other end. Each direction ends on its
// own, so that a request whose sender has said all still gets its answer.
func (t *Tunnel) forward(local net.Conn) {
	defer local.Close()
	far, err := t.dial()
	if err != nil {
		return // the client sees its connection closed, as from a server that is down
	}
	defer far.Close()
	quit := context.AfterFunc(t.ctx, func() { local.Close(); far.Close() })
	defer quit()
	var both sync.WaitGroup
	both.Go(func() { pour(far, local) })
	both.Go(func() { pour(local, far) })
	both.Wait()
}

func (t *Tunnel) dial() (net.Conn, error) {
	ctx, cancel := t.clk.WithTimeout(t.ctx, tunnelPatience, errors.New("the link stayed down"))
	defer cancel()
	c, err := t.link.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return c.client.DialContext(ctx, "tcp", t.remote)
}

// pour copies until the end of src and passes the end on. A copy that broke
// ends both, so that the other direction does not wait for ever.
func pour(dst, src net.Conn) {
	_, err := io.Copy(dst, src)
	if half, ok := dst.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	dst.Close()
	src.Close()
}
