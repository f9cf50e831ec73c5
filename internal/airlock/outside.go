package airlock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Client is the outer end of a stream.
type Client struct {
	conn   ssh.Conn
	target string // where connections from the inside lead

	work sync.WaitGroup
}

// Connect speaks to the Serve at the other end of a stream, and owns the stream.
// When ctx is done before the other end has answered, the stream is closed.
func Connect(ctx context.Context, rw io.ReadWriteCloser) (*Client, error) {
	stop := context.AfterFunc(ctx, func() { rw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(stream{rw}, "inside", &ssh.ClientConfig{
		// The other end is what was started with this stream, and nobody else.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		rw.Close()
		return nil, fmt.Errorf("airlock: nothing answers in there: %w", err)
	}
	c := &Client{conn: conn}
	c.work.Go(func() { ssh.DiscardRequests(requests) })
	c.work.Go(func() {
		for ch := range channels {
			c.work.Go(func() { c.carry(ch) })
		}
	})
	return c, nil
}

// Close ends the stream, and with it all that runs in there.
func (c *Client) Close() error {
	err := c.conn.Close()
	c.conn.Wait()
	c.work.Wait()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
		return nil // the other end was faster
	}
	return err
}

// Done is closed when the stream has ended.
func (c *Client) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		c.conn.Wait()
		close(done)
	}()
	return done
}

// Expose lets the inside reach one TCP address of ours, and returns the address
// at which it does so: on its own loopback.
func (c *Client) Expose(target string) (inside string, err error) {
	if c.target != "" && c.target != target {
		return "", fmt.Errorf("airlock: %s is exposed already, and there is one way out only", c.target)
	}
	c.target = target
	ok, reply, err := c.conn.SendRequest("tcpip-forward", true, ssh.Marshal(forwardRequest{Addr: "127.0.0.1"}))
	var port forwardReply
	switch {
	case err != nil:
		return "", fmt.Errorf("airlock: %w", err)
	case !ok:
		return "", fmt.Errorf("airlock: no port in there: %s", reply)
	case ssh.Unmarshal(reply, &port) != nil:
		return "", errors.New("airlock: no port in there: the answer is broken")
	}
	return fmt.Sprintf("127.0.0.1:%d", port.Port), nil
}

// carry takes a connection from the inside to the one address.
func (c *Client) carry(ch ssh.NewChannel) {
	if ch.ChannelType() != "forwarded-tcpip" || c.target == "" {
		ch.Reject(ssh.Prohibited, "there is one way out only")
		return
	}
	conn, err := net.Dial("tcp", c.target)
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, "the gateway does not answer")
		return
	}
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
// that could be started gives no error, whatever its exit.
func (c *Client) Run(ctx context.Context, cmd Command, kill <-chan struct{}) (Exit, error) {
	exit := Exit{Code: -1}
	fail := func(err error) (Exit, error) { return exit, fmt.Errorf("airlock: run %s: %w", first(cmd.Argv), err) }
	text, err := json.Marshal(launch{cmd.Argv, cmd.Dir, cmd.Env, cmd.Together})
	if err != nil {
		return fail(err)
	}
	ch, reqs, err := c.conn.OpenChannel("session", nil)
	if err != nil {
		return fail(err)
	}
	defer ch.Close()
	ok, err := ch.SendRequest("exec", true, ssh.Marshal(execRequest{string(text)}))
	if err == nil && !ok {
		why, _ := io.ReadAll(io.LimitReader(ch.Stderr(), 4096))
		err = errors.New(strings.TrimSpace(string(why)))
	}
	if err != nil {
		return fail(err)
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

	told := make(chan struct{})
	go func() {
		defer close(told)
		for r := range reqs {
			exit.take(r)
		}
	}()
	done := ctx.Done()
	for waiting := true; waiting; {
		select {
		case <-told:
			waiting = false
		case <-done:
			exit.Stopped, done = true, nil
			ch.SendRequest("signal", false, ssh.Marshal(signalRequest{"TERM"}))
		case <-kill:
			kill = nil
			ch.SendRequest("signal", false, ssh.Marshal(signalRequest{"KILL"}))
		}
	}
	output.Wait()
	if exit.Code == -1 && exit.Signal == "" {
		return fail(errors.New("the place is gone"))
	}
	return exit, nil
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

// Put sends a folder's files into a folder in there, which is made.
func (c *Client) Put(dir string, files fs.FS) error {
	return c.transfer(putChannel, dir, func(ch ssh.Channel) error {
		err := pack(ch, files)
		return errors.Join(err, ch.CloseWrite())
	})
}

// Get fetches a folder's files from in there into a folder here, which must
// exist, and must not hold files of the same names.
func (c *Client) Get(dir, into string) error {
	return c.transfer(getChannel, dir, func(ch ssh.Channel) error { return unpack(ch, into) })
}

func (c *Client) transfer(kind, dir string, move func(ssh.Channel) error) error {
	ch, reqs, err := c.conn.OpenChannel(kind, ssh.Marshal(folder{dir}))
	if err != nil {
		return fmt.Errorf("airlock: %s: %w", dir, err)
	}
	defer ch.Close()
	exit := Exit{Code: -1}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for r := range reqs {
			exit.take(r)
		}
	}()
	why := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(ch.Stderr(), 4096))
		why <- string(text)
	}()
	err = move(ch)
	if err != nil {
		ch.Close() // the other end may still be sending
	}
	<-told
	if text := <-why; exit.Code > 0 && text != "" {
		err = errors.New(text) // what stopped the other end, and so ours
	} else if err == nil && exit.Code != 0 {
		err = errors.New("the place is gone")
	}
	if err != nil {
		return fmt.Errorf("airlock: %s: %w", dir, err)
	}
	return nil
}
