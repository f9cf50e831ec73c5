package airlock

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os"
	"testing"

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

	ours, theirs := streams(t)
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
				for r := range requests { // it grants every port
					r.Reply(true, ssh.Marshal(forwardReply{1}))
				}
			}()
			go func() {
				for ch := range channels {
					ch.Reject(ssh.Prohibited, "no")
				}
			}()
		}
		up <- taken{conn, err}
	}()
	c, err := Connect(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server := <-up
	if server.err != nil {
		t.Fatal(server.err)
	}
	ask := func(kind string) (string, error) {
		port := uint32(other.Addr().(*net.TCPAddr).Port)
		ch, reqs, err := server.conn.OpenChannel(kind, ssh.Marshal(forwardedChannel{"127.0.0.1", port, "127.0.0.1", port}))
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
