package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/internal/clock"
)

// Config is how to log in. Address, Key and HostKey must be set.
type Config struct {
	Address Address
	Key     *Key
	HostKey ssh.HostKeyCallback
	Clock   clock.Clock
	// Timeout bounds connecting and logging in; 0: 10 s.
	Timeout time.Duration
	// Keepalive is how often a connection is asked whether it lives; it is ended
	// when no answer comes for three times as long. 0: 15 s.
	Keepalive time.Duration
	// NetDial replaces net.Dialer, for tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// keepaliveMisses is for how many keepalives an answer may stay out.
const keepaliveMisses = 3

// ErrDisconnected is a command whose connection broke: it may have been
// executed.
var ErrDisconnected = errors.New("the connection broke")

// DialError is a login that failed, and at what.
type DialError struct {
	Address Address
	Step    string // "connect", "log in"
	Err     error
}

func (e *DialError) Error() string { return fmt.Sprintf("ssh %s: %s: %v", e.Address, e.Step, e.Err) }
func (e *DialError) Unwrap() error { return e.Err }

// ExitError is a command that ended with another status than 0.
type ExitError struct {
	Command string // its first line
	Status  int    // -1 where a signal ended it
	Signal  string
	Stderr  string // its last part
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("status %d", e.Status)
	if e.Signal != "" {
		how = "signal " + e.Signal
	}
	s := fmt.Sprintf("remote command %q ended with %s", e.Command, how)
	if e.Stderr != "" {
		s += ": " + e.Stderr
	}
	return s
}

// Conn is one connection.
type Conn struct {
	client *ssh.Client
	done   chan struct{}
	err    error // why it ended; set before done is closed
	tasks  sync.WaitGroup
	stop   context.CancelFunc
}

// Dial connects and logs in. The connection does not end with ctx, but with
// Close or with its keepalives.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	clk := clock.Or(cfg.Clock)
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Keepalive <= 0 {
		cfg.Keepalive = 15 * time.Second
	}
	if cfg.NetDial == nil {
		cfg.NetDial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := clk.WithTimeout(ctx, cfg.Timeout, fmt.Errorf("no answer within %v", cfg.Timeout))
	defer cancel()
	raw, err := cfg.NetDial(ctx, "tcp", cfg.Address.dial())
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &DialError{cfg.Address, "connect", err}
	}
	fuse := &fused{Conn: raw}
	raw = fuse
	// The handshake knows no context: closing what it reads from ends it.
	quit := context.AfterFunc(ctx, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(raw, cfg.Address.dial(), &ssh.ClientConfig{
		User:            cfg.Address.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(cfg.Key.Signer())},
		HostKeyCallback: cfg.HostKey,
	})
	if !quit() && err == nil {
		conn.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		} else if strings.Contains(err.Error(), "unable to authenticate") {
			err = fmt.Errorf("the machine does not accept the key %s: %w", cfg.Key, err)
		}
		return nil, &DialError{cfg.Address, "log in", err}
	}
	life, stop := context.WithCancel(context.Background())
	c := &Conn{client: ssh.NewClient(conn, channels, requests), done: make(chan struct{}), stop: stop}
	last := func() { c.client.SendRequest("last@dail", false, nil) } // it is to fail
	fuse.last.Store(&last)
	c.tasks.Go(func() { c.wait(conn) })
	c.tasks.Go(func() { c.keepalive(life, clk, cfg.Keepalive) })
	return c, nil
}

// fused closes a connection as soon as a read of it fails, and has the library
// write to it once more. The library gives up its open channels before it stops
// writing: a channel that is asked for between the two waits for its answer for
// ever, unless the asking fails. And it swallows the first write that fails.
type fused struct {
	net.Conn
	last atomic.Pointer[func()]
}

func (f *fused) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if err != nil {
		f.Close()
		if last := f.last.Load(); last != nil {
			(*last)()
		}
	}
	return n, err
}

func (c *Conn) wait(conn ssh.Conn) {
	c.err = conn.Wait()
	close(c.done)
	c.stop()
}

// keepalive ends the connection when a question stays without an answer. The
// library sends one question at a time and gives it no deadline.
func (c *Conn) keepalive(ctx context.Context, clk clock.Clock, every time.Duration) {
	for clk.Sleep(ctx, every) == nil {
		answered := make(chan error, 1)
		c.tasks.Go(func() {
			_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		})
		wait, cancel := clk.WithTimeout(ctx, keepaliveMisses*every, nil)
		select {
		case <-answered:
		case <-wait.Done():
			c.client.Close()
		}
		cancel()
	}
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why it ended; nil before that.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close ends the connection and waits for what it started here.
func (c *Conn) Close() error {
	err := c.client.Close()
	c.stop()
	c.tasks.Wait()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Limits of what a command's output may take here.
const (
	maxStdout = 8 << 20
	maxStderr = 8 << 10
)

// Run executes a shell command and returns its stdout. A command that ends
// with another status than 0 is an *[ExitError], beside what it printed. When
// ctx ends, the command is sent a TERM and left.
func (c *Conn) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stdout, stderr := &head{limit: maxStdout}, &tail{limit: maxStderr}
	s.Stdin, s.Stdout, s.Stderr = stdin, stdout, stderr
	if err := s.Start(command); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = s.Signal(ssh.SIGTERM) // a courtesy: not every server passes it on
		s.Close()
		<-ended
		return nil, context.Cause(ctx)
	}
	var exit *ssh.ExitError
	switch {
	case err == nil && stdout.over:
		return nil, fmt.Errorf("remote command %q printed more than %d bytes", firstLine(command), maxStdout)
	case err == nil:
		return stdout.Bytes(), nil
	case errors.As(err, &exit):
		e := &ExitError{Command: firstLine(command), Status: exit.ExitStatus(), Signal: exit.Signal(), Stderr: strings.TrimSpace(stderr.String())}
		if e.Signal != "" {
			e.Status = -1
		}
		return stdout.Bytes(), e
	}
	return nil, fmt.Errorf("%w: %w", ErrDisconnected, err)
}

// session opens a session. The library's own call knows no context.
func (c *Conn) session(ctx context.Context) (*ssh.Session, error) {
	type opened struct {
		*ssh.Session
		err error
	}
	answer := make(chan opened, 1)
	go func() {
		s, err := c.client.NewSession()
		answer <- opened{s, err}
	}()
	select {
	case o := <-answer:
		if o.err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDisconnected, o.err)
		}
		return o.Session, nil
	case <-ctx.Done():
		go func() {
			if o := <-answer; o.err == nil {
				o.Session.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// Upload writes a file at an absolute path, as a whole or not at all, and
// makes its folder.
func (c *Conn) Upload(ctx context.Context, file string, mode fs.FileMode, content []byte) error {
	_, err := c.Run(ctx, uploadCommand(file, mode), bytes.NewReader(content))
	return err
}

func uploadCommand(file string, mode fs.FileMode) string {
	tmp := file + ".dail-upload"
	return fmt.Sprintf("set -e; umask 077; mkdir -p %s; cat > %s; chmod %o %s; mv %s %s",
		Quote(path.Dir(file)), Quote(tmp), mode.Perm(), Quote(tmp), Quote(tmp), Quote(file))
}

func firstLine(s string) string {
	line, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	if len(line) > 80 {
		line, more = line[:80], true
	}
	if more {
		line += " …"
	}
	return line
}

// head keeps the beginning of what is written.
type head struct {
	bytes.Buffer
	limit int
	over  bool
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.Len(); len(p) > room {
		h.over = true
		h.Buffer.Write(p[:room])
	} else {
		h.Buffer.Write(p)
	}
	return len(p), nil
}

// tail keeps the end of what is written.
type tail struct {
	buf   []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
