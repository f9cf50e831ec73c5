package airlock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/internal/plain"
)

// ErrGone is a place that ended, or stopped answering, before a command in it did.
var ErrGone = errors.New("the place is gone")

// Client is the outer end of a stream.
type Client struct {
	conn  ssh.Conn
	alive context.Context // done when the stream has ended
	work  sync.WaitGroup
	slots chan struct{} // one for each connection from the inside

	given   chan struct{} // closed when Close has given the other end up
	giveOne sync.Once

	mu     sync.Mutex
	target string // where connections from the inside lead
}

// Connect speaks to the Serve at the other end of a stream, and owns the stream.
// When ctx is done before the other end has answered, the stream is closed.
func Connect(ctx context.Context, rw io.ReadWriteCloser) (*Client, error) {
	stop := context.AfterFunc(ctx, func() { rw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(stream{rw}, "inside", &ssh.ClientConfig{
		// The other end is what was started with this stream, and nobody else.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if !stop() {
		// The stream was closed under it, which says nothing of why.
		if why := context.Cause(ctx); err == nil {
			err = why
		} else {
			err = fmt.Errorf("%w (%w)", why, err)
		}
	}
	if err != nil {
		rw.Close()
		return nil, fmt.Errorf("airlock: nothing answers in there: %w", err)
	}
	alive, end := context.WithCancel(context.Background())
	c := &Client{conn: conn, alive: alive, slots: make(chan struct{}, maxConnections), given: make(chan struct{})}
	go func() {
		conn.Wait()
		end()
	}()
	c.work.Go(func() { ssh.DiscardRequests(requests) })
	c.work.Go(func() { c.admit(channels) })
	return c, nil
}

// closeTime bounds Close. An end that is in order takes milliseconds.
const closeTime = 5 * time.Second

// Close ends the stream, and with it all that runs in there. Where the stream
// does not end, it is given up: who waits for something in there is told so.
func (c *Client) Close() error {
	closed := make(chan error, 1)
	go func() {
		err := c.conn.Close() // which waits until the last packet has been taken in
		c.conn.Wait()
		c.work.Wait()
		closed <- err
	}()
	late := time.NewTimer(closeTime)
	defer late.Stop()
	select {
	case err := <-closed:
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return nil // the other end was faster
		}
		return err
	case <-late.C:
		c.giveOne.Do(func() { close(c.given) })
		return fmt.Errorf("airlock: the stream did not end within %v, and was given up", closeTime)
	}
}

// Done is closed when the stream has ended.
func (c *Client) Done() <-chan struct{} { return c.alive.Done() }

// unlessGiven does something that waits for the other end, and stops waiting when
// Close has given it up.
func (c *Client) unlessGiven(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-c.given:
		return ErrGone
	}
}

// Expose lets the inside reach one TCP address of ours, and returns the address
// at which it does so: on its own loopback.
func (c *Client) Expose(target string) (inside string, err error) {
	c.mu.Lock()
	before := c.target
	if before == "" {
		c.target = target
	}
	c.mu.Unlock()
	if before != "" && before != target {
		return "", fmt.Errorf("airlock: %s is exposed already, and there is one way out only", before)
	}
	port := make(chan uint32, 1)
	err = c.unlessGiven(func() error {
		ok, reply, err := c.conn.SendRequest("tcpip-forward", true, ssh.Marshal(forwardRequest{Addr: "127.0.0.1"}))
		var got forwardReply
		switch {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("no port in there: %s", shown(reply))
		case ssh.Unmarshal(reply, &got) != nil:
			return errors.New("no port in there: the answer is broken")
		}
		port <- got.Port
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("airlock: %w", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", <-port), nil
}

// admit takes connections from the inside, as many at a time as there are slots.
// The others are refused right here: while a refusal is not read, no further
// connection is looked at, so that nobody can pile them up.
func (c *Client) admit(channels <-chan ssh.NewChannel) {
	for ch := range channels {
		c.mu.Lock()
		target := c.target
		c.mu.Unlock()
		if ch.ChannelType() != "forwarded-tcpip" || target == "" {
			ch.Reject(ssh.Prohibited, "there is one way out only")
			continue
		}
		select {
		case c.slots <- struct{}{}:
		default:
			ch.Reject(ssh.ResourceShortage, fmt.Sprintf("there are %d connections already", maxConnections))
			continue
		}
		c.work.Go(func() {
			defer func() { <-c.slots }()
			c.carry(ch, target)
		})
	}
}

// carry takes a connection from the inside to the one address.
func (c *Client) carry(ch ssh.NewChannel, target string) {
	conn, err := new(net.Dialer).DialContext(c.alive, "tcp", target)
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, "the gateway does not answer")
		return
	}
	// Also where the gateway would say nothing more, and never hang up.
	stop := context.AfterFunc(c.alive, func() { conn.Close() })
	defer stop()
	channel, reqs, err := ch.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(reqs)
	join(conn.(*net.TCPConn), channel)
}

// Command is a program to run in there. Nothing is inherited: its environment is
// Env, and it is looked up in Env's PATH.
type Command struct {
	Argv           []string
	Dir            string
	Env            map[string]string
	Stdin          string
	Stdout, Stderr io.Writer // nil discards
	// Together sends to Stdout what goes to stderr, too, in the order of both.
	Together bool
}

// Exit is how a command ended.
type Exit struct {
	Code    int    // -1 where a signal ended it
	Signal  string // "KILL", without SIG
	Stopped bool   // ctx was done, so it was killed
	// Leftovers counts the processes that it left behind, and that were ended;
	// 0 where the inside has no sweep.
	Leftovers int
}

// Run runs a command until it has ended; when ctx is done it is asked to end,
// with all of its session (SIGTERM), and killed when kill is closed. A command
// that could be started gives no error, whatever its exit; one that was lost with
// its place gives an error that wraps [ErrGone].
func (c *Client) Run(ctx context.Context, cmd Command, kill <-chan struct{}) (Exit, error) {
	ended := make(chan Exit, 1)
	err := c.unlessGiven(func() error {
		exit, err := c.run(ctx, cmd, kill)
		ended <- exit
		return err
	})
	exit := Exit{Code: -1}
	select {
	case exit = <-ended:
	default:
	}
	if err != nil {
		return exit, fmt.Errorf("airlock: run %s: %w", first(cmd.Argv), err)
	}
	return exit, nil
}

func (c *Client) run(ctx context.Context, cmd Command, kill <-chan struct{}) (Exit, error) {
	none := Exit{Code: -1}
	text, err := json.Marshal(launch{cmd.Argv, cmd.Dir, cmd.Env, cmd.Together})
	if err != nil {
		return none, err
	}
	ch, told, err := c.open("session", nil)
	if err != nil {
		return none, err
	}
	defer ch.Close()
	ok, err := ch.SendRequest("exec", true, ssh.Marshal(execRequest{string(text)}))
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if !ok {
		why, _ := io.ReadAll(io.LimitReader(ch.Stderr(), 4096))
		return none, errors.New(shown(why))
	}
	if cmd.Together {
		cmd.Stderr = nil // nothing comes of it, and Stdout may be the same writer
	}
	var output sync.WaitGroup
	output.Go(func() {
		io.WriteString(ch, cmd.Stdin)
		ch.CloseWrite()
	})
	output.Go(func() { drain(cmd.Stdout, ch) })
	output.Go(func() { drain(cmd.Stderr, ch.Stderr()) })

	var exit Exit
	stopped, done := false, ctx.Done()
	for waiting := true; waiting; {
		select {
		case exit = <-told:
			waiting = false
		case <-done:
			stopped, done = true, nil
			ch.SendRequest("signal", false, ssh.Marshal(signalRequest{"TERM"}))
		case <-kill:
			kill = nil
			ch.SendRequest("signal", false, ssh.Marshal(signalRequest{"KILL"}))
		}
	}
	output.Wait()
	exit.Stopped = stopped
	if exit.Code == -1 && exit.Signal == "" {
		return exit, ErrGone
	}
	return exit, nil
}

// open opens a channel, and gathers what is told of its end. It does so from the
// start: requests that nobody takes hold up all that comes after them.
func (c *Client) open(kind string, extra []byte) (ssh.Channel, <-chan Exit, error) {
	ch, reqs, err := c.conn.OpenChannel(kind, extra)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused):
		return nil, nil, errors.New(shown([]byte(refused.Message)))
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	told := make(chan Exit, 1)
	go func() {
		exit := Exit{Code: -1}
		for r := range reqs {
			exit.take(r)
		}
		told <- exit
	}()
	return ch, told, nil
}

// shown is what the other end said, on one line: it may have been taken over, and
// a terminal obeys some characters.
func shown(said []byte) string {
	return strings.Join(strings.Fields(plain.Text(string(said))), " ")
}

// take reads a command's end.
func (e *Exit) take(r *ssh.Request) {
	var status exitStatus
	var signal exitSignal
	switch {
	case r.Type == leftoversRequest && ssh.Unmarshal(r.Payload, &status) == nil:
		e.Leftovers = int(status.Status)
	case r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &status) == nil:
		e.Code = int(status.Status)
	case r.Type == "exit-signal" && ssh.Unmarshal(r.Payload, &signal) == nil:
		e.Signal = signal.Name
	}
	if r.WantReply {
		r.Reply(false, nil)
	}
}

func drain(to io.Writer, from io.Reader) {
	if to == nil {
		to = io.Discard
	}
	if _, err := io.Copy(to, from); err != nil {
		io.Copy(io.Discard, from) // who cannot write down any more must not block the command
	}
}

func first(argv []string) string {
	if len(argv) == 0 {
		return "nothing"
	}
	return argv[0]
}
