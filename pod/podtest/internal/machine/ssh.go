package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// builtIn is the package's own SSH server. It does what sshd does for a
// program that logs in to run commands and to forward ports: public keys only,
// exec without a terminal, signals, direct-tcpip to the loopback.
type builtIn struct {
	s    *supervisor
	keys [][]byte
}

func newBuiltIn(s *supervisor) (*builtIn, error) {
	b := &builtIn{s: s}
	for rest := []byte(s.spec.Authorized); len(bytes.TrimSpace(rest)) > 0; {
		key, _, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			break // as sshd: what is no key lets nobody in
		}
		b.keys = append(b.keys, key.Marshal())
		rest = next
	}
	return b, nil
}

// handshakeTimeout is sshd's LoginGraceTime.
const handshakeTimeout = 120 * time.Second

func (b *builtIn) serve(conn *tap, hostKey string) {
	signer, err := ssh.ParsePrivateKey([]byte(hostKey))
	if err != nil {
		b.s.line("sshd: host key: " + err.Error())
		return
	}
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-podtest",
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range b.keys {
				if meta.User() == b.s.spec.User && bytes.Equal(k, key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("not authorized")
		},
	}
	config.AddHostKey(signer)
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // whoever it was has been told
	}
	conn.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests) // keepalive@openssh.com is answered by a refusal, as sshd does
	gone := make(chan struct{})
	go func() {
		server.Wait()
		close(gone)
	}()
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			channel, reqs, err := ch.Accept()
			if err != nil {
				continue
			}
			go (&session{b: b, ch: channel, gone: gone}).serve(reqs)
		case "direct-tcpip":
			go forward(ch)
		default:
			ch.Reject(ssh.UnknownChannelType, "podtest has sessions and direct-tcpip")
		}
	}
	server.Close()
}

// forward connects a direct-tcpip channel to a port of the loopback.
func forward(ch ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &to); err != nil {
		ch.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	if ip := net.ParseIP(to.Host); to.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		ch.Reject(ssh.Prohibited, fmt.Sprintf("podtest forwards to the loopback only, not to %q", to.Host))
		return
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(to.Port))), 10*time.Second)
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer conn.Close()
	channel, reqs, err := ch.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(reqs)
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.Copy(tcp, channel); err != nil {
			tcp.Close()
			return
		}
		tcp.CloseWrite()
	}()
	if _, err := io.Copy(channel, tcp); err == nil {
		channel.CloseWrite()
		<-sent
	}
}
