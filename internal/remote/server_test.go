package remote_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/x/dail/internal/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newKey writes a private key and returns its path and its signer.
func newKey(t *testing.T, passphrase string) (string, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return path, signer
}

func loadKey(t *testing.T) *remote.Key {
	t.Helper()
	path, _ := newKey(t, "")
	k, err := remote.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// server is an SSH server that executes commands with sh and forwards ports.
type server struct {
	t      *testing.T
	cfg    *ssh.ServerConfig
	silent bool // answers no keepalive

	mu    sync.Mutex
	conns []net.Conn
	tasks sync.WaitGroup
}

func newServer(t *testing.T, accepts *remote.Key) *server {
	_, host := newKey(t, "")
	s := &server{t: t, cfg: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), accepts.Signer().PublicKey().Marshal()) {
				return nil, fmt.Errorf("not this key")
			}
			return nil, nil
		},
	}}
	s.cfg.AddHostKey(host)
	return s
}

// newHostKey makes the server show another key from now on.
func (s *server) newHostKey() {
	_, host := newKey(s.t, "")
	cfg := &ssh.ServerConfig{PublicKeyCallback: s.cfg.PublicKeyCallback}
	cfg.AddHostKey(host)
	s.mu.Lock()
	s.cfg = cfg
	s.mu.Unlock()
}

// listen serves on a free loopback port until the test ends.
func (s *server) listen() remote.Address {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { s.serve(c) })
		}
	})
	s.t.Cleanup(func() {
		ln.Close()
		s.drop()
		tasks.Wait()
	})
	return remote.Address{User: "root", Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port}
}

// drop cuts every connection.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// hangUp ends what the server says on every connection, but not what it hears.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	s.conns = nil
}

func (s *server) serve(raw net.Conn) {
	s.mu.Lock()
	s.conns = append(s.conns, raw)
	cfg := s.cfg
	s.mu.Unlock()
	conn, channels, requests, err := ssh.NewServerConn(raw, cfg)
	if err != nil {
		raw.Close()
		return
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for r := range requests {
			if !s.silent && r.WantReply {
				r.Reply(false, nil)
			}
		}
	})
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			tasks.Go(func() { session(ch) })
		case "direct-tcpip":
			tasks.Go(func() { direct(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, "no")
		}
	}
	conn.Close()
	tasks.Wait()
}

func session(nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range requests {
		if r.Type != "exec" {
			r.Reply(false, nil)
			continue
		}
		var p struct{ Command string }
		ssh.Unmarshal(r.Payload, &p)
		r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		cmd := exec.Command("sh", "-c", p.Command)
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		in, _ := cmd.StdinPipe()
		if err := cmd.Start(); err != nil {
			return
		}
		go func() {
			io.Copy(in, ch)
			in.Close()
		}()
		cmd.Wait()
		status := struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}
		ch.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

func direct(nc ssh.NewChannel) {
	var p struct {
		Host  string
		Port  uint32
		From  string
		FromP uint32
	}
	ssh.Unmarshal(nc.ExtraData(), &p)
	far, err := net.Dial("tcp", net.JoinHostPort(p.Host, fmt.Sprint(p.Port)))
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer far.Close()
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	var both sync.WaitGroup
	both.Go(func() { io.Copy(far, ch); far.(*net.TCPConn).CloseWrite() })
	both.Go(func() { io.Copy(ch, far); ch.CloseWrite() })
	both.Wait()
}
