package airlock

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Serve answers on a stream, inside a place, until the stream ends; then every
// command that it started is ended.
//
// When a command has ended, sweep ends what it left behind, all of it, and counts
// it; then commands must be run one at a time. Without a sweep the command's own
// process group is ended, and nothing is counted.
func Serve(rw io.ReadWriteCloser, sweep func() int) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return err
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	conn, channels, requests, err := ssh.NewServerConn(stream{rw}, config)
	if err != nil {
		return fmt.Errorf("airlock: %w", err)
	}
	s := &inside{conn: conn, sweep: sweep, ended: make(chan struct{})}
	s.work.Go(func() { s.answer(requests) })
	for ch := range channels {
		s.work.Go(func() { s.channel(ch) })
	}
	close(s.ended)
	s.mu.Lock()
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	return conn.Wait()
}

type inside struct {
	conn  *ssh.ServerConn
	sweep func() int
	ended chan struct{} // the stream has
	work  sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener
}

// answer takes the connection's own requests: a port to listen on.
func (s *inside) answer(requests <-chan *ssh.Request) {
	for r := range requests {
		var ask forwardRequest
		if r.Type != "tcpip-forward" || ssh.Unmarshal(r.Payload, &ask) != nil {
			r.Reply(false, nil)
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(ask.Addr, strconv.Itoa(int(ask.Port))))
		if err != nil {
			r.Reply(false, []byte(err.Error()))
			continue
		}
		s.mu.Lock()
		s.listeners = append(s.listeners, l)
		s.mu.Unlock()
		port := uint32(l.Addr().(*net.TCPAddr).Port)
		s.work.Go(func() { s.accept(l, ask.Addr, port) })
		r.Reply(true, ssh.Marshal(forwardReply{port}))
	}
}

// accept carries every connection to the outside, up to as many at a time as are
// taken there; one more is hung up on.
func (s *inside) accept(l net.Listener, addr string, port uint32) {
	slots := make(chan struct{}, maxConnections)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			c.Close()
			continue
		}
		s.work.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			from, _ := c.RemoteAddr().(*net.TCPAddr)
			ch, reqs, err := s.conn.OpenChannel("forwarded-tcpip", ssh.Marshal(forwardedChannel{addr, port, from.IP.String(), uint32(from.Port)}))
			if err != nil {
				return
			}
			go ssh.DiscardRequests(reqs)
			join(c.(*net.TCPConn), ch)
		})
	}
}

func (s *inside) channel(ch ssh.NewChannel) {
	var at folder
	kind := ch.ChannelType()
	if kind == putChannel || kind == getChannel {
		if err := ssh.Unmarshal(ch.ExtraData(), &at); err != nil {
			ch.Reject(ssh.ConnectionFailed, err.Error())
			return
		}
	} else if kind != "session" {
		ch.Reject(ssh.UnknownChannelType, kind)
		return
	}
	c, reqs, err := ch.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	switch kind {
	case "session":
		s.session(c, reqs)
		return
	case putChannel:
		err = receive(c, at.Path)
	case getChannel:
		if err = pack(c, os.DirFS(at.Path)); err == nil {
			err = c.CloseWrite()
		}
	}
	go ssh.DiscardRequests(reqs)
	finish(c, err)
}

// receive makes a folder and takes files into it. It reads on to the end, for a
// sender that still has to say that there is no more would find the channel closed.
func receive(c io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unpack(c, dir); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}

// finish tells how it went, as a command's end is told.
func finish(c ssh.Channel, err error) {
	status := uint32(0)
	if err != nil {
		status = 1
		fmt.Fprint(c.Stderr(), err)
	}
	c.SendRequest("exit-status", false, ssh.Marshal(exitStatus{status}))
}

// session runs one command.
func (s *inside) session(c ssh.Channel, reqs <-chan *ssh.Request) {
	r, ok := <-reqs
	if !ok {
		return
	}
	p, err := start(c, r)
	r.Reply(err == nil, nil)
	if err != nil {
		go ssh.DiscardRequests(reqs)
		fmt.Fprint(c.Stderr(), err)
		return
	}
	s.follow(c, reqs, p)
}

// started is a command under way.
type started struct {
	*exec.Cmd
	stdin io.WriteCloser
	// What it prints goes through pipes of ours and not through exec's, for which
	// Wait would wait as long as anything that the command left behind has them.
	out, errs *os.File
}

// start starts the command that a request asks for.
func start(c ssh.Channel, r *ssh.Request) (*started, error) {
	var ask execRequest
	var l launch
	switch {
	case r.Type != "exec":
		return nil, fmt.Errorf("a session begins with a command, not with %q", r.Type)
	case ssh.Unmarshal(r.Payload, &ask) != nil || json.Unmarshal([]byte(ask.Command), &l) != nil:
		return nil, errors.New("the request for a command is broken")
	case len(l.Argv) == 0:
		return nil, errors.New("there is no command to run")
	}
	p := &started{Cmd: exec.Command(l.Argv[0], l.Argv[1:]...)}
	p.Dir = l.Dir
	p.Env = []string{}
	for _, k := range slices.Sorted(maps.Keys(l.Env)) {
		p.Env = append(p.Env, k+"="+l.Env[k])
	}
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := lookUp(p.Cmd, l); err != nil {
		return nil, err
	}
	out, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outW.Close()
	errs, errsW, err := os.Pipe()
	if err != nil {
		out.Close()
		return nil, err
	}
	defer errsW.Close()
	p.out, p.errs, p.Stdout, p.Stderr = out, errs, outW, errsW
	if l.Together {
		p.Stderr = outW
	}
	if p.stdin, err = p.StdinPipe(); err == nil {
		err = p.Start()
	}
	if err != nil {
		out.Close()
		errs.Close()
		return nil, err
	}
	return p, nil
}

// lookUp finds the program in the command's own PATH, not in ours.
func lookUp(cmd *exec.Cmd, l launch) error {
	name := l.Argv[0]
	if path.Base(name) != name {
		cmd.Err = nil
		return nil
	}
	for _, dir := range filepath.SplitList(l.Env["PATH"]) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			cmd.Path, cmd.Err = file, nil
			return nil
		}
	}
	return fmt.Errorf("%s is in no folder of PATH (%s)", name, l.Env["PATH"])
}

// strayOutput is how long a command's output is read on after its end, where
// something that it left behind has it too. Else it ends by itself, and on a busy
// machine the last of it is read seconds later.
const strayOutput = time.Minute

// follow waits for a command, with its signals and its input, and tells its end.
func (s *inside) follow(c ssh.Channel, reqs <-chan *ssh.Request, p *started) {
	over := make(chan struct{})
	var beside, output sync.WaitGroup
	beside.Go(func() {
		io.Copy(p.stdin, c)
		p.stdin.Close()
	})
	output.Go(func() { io.Copy(c, p.out) })
	output.Go(func() { io.Copy(c.Stderr(), p.errs) })
	beside.Go(func() {
		select {
		case <-s.ended:
			syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
		case <-over:
		}
	})
	go func() {
		for r := range reqs {
			var ask signalRequest
			ok := r.Type == "signal" && ssh.Unmarshal(r.Payload, &ask) == nil
			if ok {
				ok = syscall.Kill(-p.Process.Pid, unix.SignalNum("SIG"+ask.Name)) == nil
			}
			if r.WantReply {
				r.Reply(ok, nil)
			}
		}
	}()
	err := p.Wait()
	close(over)
	if s.sweep != nil {
		c.SendRequest(leftoversRequest, false, ssh.Marshal(exitStatus{uint32(s.sweep())}))
	} else {
		syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
		p.out.SetReadDeadline(time.Now().Add(strayOutput))
		p.errs.SetReadDeadline(time.Now().Add(strayOutput))
	}
	output.Wait()
	p.out.Close()
	p.errs.Close()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprint(c.Stderr(), err)
	}
	if ws, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		c.SendRequest("exit-signal", false, ssh.Marshal(exitSignal{Name: unix.SignalName(ws.Signal())[len("SIG"):]}))
	} else {
		c.SendRequest("exit-status", false, ssh.Marshal(exitStatus{uint32(p.ProcessState.ExitCode())}))
	}
	c.Close()
	beside.Wait()
}

// half is what both ends of a carried connection can do.
type half interface {
	io.ReadWriter
	CloseWrite() error
	Close() error
}

// join carries bytes both ways until both are done.
func join(a, b half) {
	var both sync.WaitGroup
	carry := func(to, from half) {
		if _, err := io.Copy(to, from); err != nil {
			to.Close()
			from.Close()
			return
		}
		to.CloseWrite()
	}
	both.Go(func() { carry(a, b) })
	both.Go(func() { carry(b, a) })
	both.Wait()
	a.Close()
	b.Close()
}
