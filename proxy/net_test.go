package proxy_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/x/dail/proxy"
)

// memNet is a network in memory. Inside a synctest bubble a real one would
// keep the clock from moving.
type memNet struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (m *memNet) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memNet) Close() error   { m.once.Do(func() { close(m.done) }); return nil }
func (m *memNet) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (m *memNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve runs h on a network in memory until stop, and returns the transport
// that reaches it.
func serve(h http.Handler) (tr *http.Transport, stop func()) {
	m := &memNet{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() { srv.Serve(m); close(ended) }()
	tr = &http.Transport{DialContext: m.dial}
	return tr, func() {
		tr.CloseIdleConnections()
		srv.Close()
		<-ended
	}
}

// bench is a gateway between a client and a server, all in memory.
type bench struct {
	client *http.Client
	rec    *records
}

// stand puts the gateway that make returns in front of the server h. It must
// be called inside a synctest bubble; the bubble then also proves that no
// goroutine is left.
func stand(t *testing.T, h http.Handler, cfg proxy.Config, make func(proxy.Config) http.Handler) *bench {
	up, stopUp := serve(h)
	b := &bench{rec: &records{}}
	cfg.Upstream = &url.URL{Scheme: "http", Host: "upstream"}
	cfg.Transport = up
	cfg.Trace = b.rec.add
	tr, stop := serve(make(cfg))
	b.client = &http.Client{Transport: tr}
	t.Cleanup(func() { stop(); stopUp() })
	return b
}

func newMessages(cfg proxy.Config) http.Handler { return proxy.NewMessages(cfg) }
func newDestream(cfg proxy.Config) http.Handler { return proxy.NewDestream(cfg) }
