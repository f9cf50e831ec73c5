package airlock

import (
	"io"
	"net"
	"time"
)

// stream makes a connection, as SSH wants it, of a reader and a writer.
type stream struct {
	io.ReadWriteCloser
}

type nowhere struct{}

func (nowhere) Network() string { return "stdio" }
func (nowhere) String() string  { return "stdio" }

func (stream) LocalAddr() net.Addr              { return nowhere{} }
func (stream) RemoteAddr() net.Addr             { return nowhere{} }
func (stream) SetDeadline(time.Time) error      { return nil }
func (stream) SetReadDeadline(time.Time) error  { return nil }
func (stream) SetWriteDeadline(time.Time) error { return nil }

// Stdio joins the two halves of a program's standard streams.
func Stdio(in io.ReadCloser, out io.WriteCloser) io.ReadWriteCloser { return stdio{in, out} }

type stdio struct {
	io.ReadCloser
	out io.WriteCloser
}

func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }

func (s stdio) Close() error {
	err := s.out.Close()
	if in := s.ReadCloser.Close(); err == nil {
		err = in
	}
	return err
}

// maxConnections bounds the connections that come out of one place at a time: each
// costs this program descriptors, buffers and goroutines, which all agents share.
const maxConnections = 64

// Channel types and requests of our own. Commands and forwarded ports are SSH's.
const (
	putChannel = "put@dail" // extra data: the folder; a tar comes in
	getChannel = "get@dail" // extra data: the folder; a tar goes out
	// leftoversRequest comes before a command's end: how many processes it left.
	leftoversRequest = "leftovers@dail"
)

// folder is a channel's extra data.
type folder struct{ Path string }

// launch is what a command's "exec" request carries, as JSON: SSH's own is one
// string for a shell, and environment variables one by one.
type launch struct {
	Argv []string          `json:"argv"`
	Dir  string            `json:"dir,omitempty"`
	Env  map[string]string `json:"env,omitempty"`
	// Together sends stderr where stdout goes, in the order of both.
	Together bool `json:"together,omitempty"`
}

// Of RFC 4254: the payloads of requests.
type (
	execRequest   struct{ Command string }
	signalRequest struct{ Name string }
	exitStatus    struct{ Status uint32 }
	exitSignal    struct {
		Name       string
		CoreDumped bool
		Message    string
		Lang       string
	}
	forwardRequest struct {
		Addr string
		Port uint32
	}
	forwardReply     struct{ Port uint32 }
	forwardedChannel struct {
		Addr       string
		Port       uint32
		OriginAddr string
		OriginPort uint32
	}
)
