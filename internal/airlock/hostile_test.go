package airlock

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"embed"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// streams are the two ends of a stream.
func streams(t *testing.T) (a, b io.ReadWriteCloser) {
	t.Helper()
	ar, bw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	br, aw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return Stdio(ar, aw), Stdio(br, bw)
}

// takenOver is a client of an inside that obeys somebody else: it grants every
// port, and does with channels what it is told.
func takenOver(t *testing.T, channel func(ssh.NewChannel)) (*Client, *ssh.ServerConn) {
	t.Helper()
	ours, theirs := streams(t)
	return meet(t, ours, theirs, channel)
}

func meet(t *testing.T, ours, theirs io.ReadWriteCloser, channel func(ssh.NewChannel)) (*Client, *ssh.ServerConn) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	type taken struct {
		conn *ssh.ServerConn
		err  error
	}
	up := make(chan taken, 1)
	go func() {
		conn, channels, requests, err := ssh.NewServerConn(stream{theirs}, config)
		if err == nil {
			go func() {
				for r := range requests {
					r.Reply(true, ssh.Marshal(forwardReply{1}))
				}
			}()
			go func() {
				for ch := range channels {
					go channel(ch)
				}
			}()
		}
		up <- taken{conn, err}
	}()
	c, err := Connect(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	server := <-up
	if server.err != nil {
		t.Fatal(server.err)
	}
	return c, server.conn
}

// An inside that was taken over can ask for what it likes: it reaches the one
// address, and nothing else.
func TestAHostileInsideReachesTheGatewayOnly(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	gateway, other := listen(), listen()
	answers := func(l net.Listener, text string) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, text)
			c.Close()
		}
	}
	go answers(gateway, "the gateway")
	go answers(other, "another service")

	c, server := takenOver(t, func(ch ssh.NewChannel) { ch.Reject(ssh.Prohibited, "no") })
	defer c.Close()
	ask := func(kind string) (string, error) {
		port := uint32(other.Addr().(*net.TCPAddr).Port)
		ch, reqs, err := server.OpenChannel(kind, ssh.Marshal(forwardedChannel{"127.0.0.1", port, "127.0.0.1", port}))
		if err != nil {
			return "", err
		}
		go ssh.DiscardRequests(reqs)
		defer ch.Close()
		ch.CloseWrite()
		text, err := io.ReadAll(ch)
		return string(text), err
	}
	if text, err := ask("forwarded-tcpip"); err == nil {
		t.Errorf("before anything is exposed: %q", text)
	}
	if _, err := c.Expose(gateway.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if text, err := ask("forwarded-tcpip"); err != nil || text != "the gateway" {
		t.Errorf("asking for another port: %q, %v; want the gateway", text, err)
	}
	for _, kind := range []string{"direct-tcpip", "session", "x11", "auth-agent@openssh.com", putChannel, getChannel} {
		if text, err := ask(kind); err == nil {
			t.Errorf("%s: %q", kind, text)
		}
	}
}

// An inside that was taken over can leave a command unanswered, and say no end of
// other things; whoever waits for it is let go all the same.
func TestAHostileInsideHoldsNobody(t *testing.T) {
	flood := func(t *testing.T, ch ssh.Channel) {
		for range 100 { // far more than are buffered anywhere
			if _, err := ch.SendRequest("nonsense", false, nil); err != nil {
				t.Errorf("the flood ended early: %v", err)
			}
		}
	}
	run := func(c *Client) error {
		_, err := c.Run(context.Background(), Command{Argv: []string{"true"}}, nil)
		return err
	}
	for name, tc := range map[string]struct {
		ask   func(*Client) error
		reply func(reqs <-chan *ssh.Request) // before the flood
	}{
		"a command without an answer": {run, func(reqs <-chan *ssh.Request) { <-reqs }},
		"a command that is refused":   {run, func(reqs <-chan *ssh.Request) { (<-reqs).Reply(false, nil) }},
		"files that go in":            {func(c *Client) error { return c.Put("x", embed.FS{}) }, func(<-chan *ssh.Request) {}},
		"files that come out":         {func(c *Client) error { return c.Get("x", t.TempDir()) }, func(<-chan *ssh.Request) {}},
	} {
		t.Run(name, func(t *testing.T) {
			flooded := make(chan bool)
			c, _ := takenOver(t, func(ch ssh.NewChannel) {
				defer close(flooded)
				channel, reqs, err := ch.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				tc.reply(reqs)
				flood(t, channel)
			})
			asked := make(chan error, 1)
			go func() { asked <- tc.ask(c) }()
			<-flooded
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if err := <-asked; err == nil {
				t.Error("it said that all went well")
			}
		})
	}
}

// stubborn is one end of a stream in memory that does not end when it is closed.
type stubborn struct {
	in, out chan []byte
	rest    []byte
}

func (s *stubborn) Read(b []byte) (int, error) {
	if len(s.rest) == 0 {
		rest, ok := <-s.in
		if !ok {
			return 0, io.EOF
		}
		s.rest = rest
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stubborn) Write(b []byte) (int, error) {
	s.out <- bytes.Clone(b)
	return len(b), nil
}

func (s *stubborn) Close() error { return nil }

// Whatever holds up the end of a stream, who waits for it is let go.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(chan []byte, 1000), make(chan []byte, 1000)
		ours, theirs := &stubborn{in: a, out: b}, &stubborn{in: b, out: a}
		asked := make(chan bool)
		c, _ := meet(t, ours, theirs, func(ch ssh.NewChannel) {
			if _, reqs, err := ch.Accept(); err == nil {
				<-reqs
			}
			close(asked)
		})
		ran := make(chan error, 1)
		go func() {
			_, err := c.Run(context.Background(), Command{Argv: []string{"true"}}, nil)
			ran <- err
		}()
		<-asked
		start := time.Now()
		for range 2 {
			if err := c.Close(); err == nil || !strings.Contains(err.Error(), "given up") {
				t.Errorf("close: %v", err)
			}
		}
		if took := time.Since(start); took != 2*closeTime {
			t.Errorf("twice closed in %v, want %v", took, 2*closeTime)
		}
		if err := <-ran; !errors.Is(err, ErrGone) {
			t.Errorf("the command ended with %v", err)
		}
		close(a) // for the bubble's sake
		close(b)
	})
}

// A place has so many connections at a time, and no more, however many it asks for.
func TestConnectionsAreBounded(t *testing.T) {
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	c, server := takenOver(t, func(ch ssh.NewChannel) { ch.Reject(ssh.Prohibited, "no") })
	defer c.Close()
	if _, err := c.Expose(gateway.Addr().String()); err != nil {
		t.Fatal(err)
	}
	open := func() (ssh.Channel, error) {
		ch, reqs, err := server.OpenChannel("forwarded-tcpip", nil)
		if err == nil {
			go ssh.DiscardRequests(reqs)
		}
		return ch, err
	}
	var all []ssh.Channel
	for range maxConnections {
		ch, err := open()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ch)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "64 connections already") {
		t.Errorf("one too many: %v", err)
	}
	// One that ends makes room, as soon as both sides have seen its end.
	conn, err := gateway.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	for _, ch := range all {
		ch.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		ch, err := open()
		if err == nil {
			ch.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the places of those that ended are not free: %v", err)
		}
	}
}

// refusable is a channel that asks for what nobody gets. Its refusal takes until
// it is read.
type refusable struct {
	ssh.NewChannel
	read chan bool
}

func (refusable) ChannelType() string { return "x11" }
func (r refusable) Reject(ssh.RejectionReason, string) error {
	<-r.read
	return nil
}

// While a refusal is not read, the next request is not even looked at: what waits
// for us is bounded by the stream, and not by our memory.
func TestRefusalsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		channels, read := make(chan ssh.NewChannel), make(chan bool)
		c := &Client{}
		go c.admit(channels)
		channels <- refusable{read: read}
		synctest.Wait()
		select {
		case channels <- refusable{read: read}:
			t.Error("a second request was taken in while the first one's refusal waits")
		default:
		}
		close(read)
		channels <- refusable{read: read}
		close(channels)
	})
}
