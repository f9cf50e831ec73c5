package machine

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// session is one command over SSH.
type session struct {
	b    *builtIn
	ch   ssh.Channel
	gone <-chan struct{} // the connection has ended

	env  []string
	pid  int
	ends []*os.File // our ends of the command's pipes
}

// serve answers the session's requests. As sshd, it takes one command, and no
// environment but LANG and LC_*.
func (s *session) serve(reqs <-chan *ssh.Request) {
	started := false
	for r := range reqs {
		ok, begin := false, func() {}
		switch r.Type {
		case "env":
			var v struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &v) == nil && (v.Name == "LANG" || strings.HasPrefix(v.Name, "LC_")) && !started {
				s.env, ok = append(s.env, v.Name+"="+v.Value), true
			}
		case "exec", "shell":
			var v struct{ Command string }
			if started || (r.Type == "exec" && ssh.Unmarshal(r.Payload, &v) != nil) {
				break
			}
			started = true
			if p, err := s.exec(v.Command, r.Type == "shell"); err == nil {
				ok, begin = true, func() { go s.run(p) }
			}
		case "signal":
			ok = s.signal(r.Payload)
		}
		if r.WantReply {
			r.Reply(ok, nil)
		}
		// Not before the reply: a short command's end closes the channel, and
		// the client would never hear that it was accepted.
		begin()
	}
	if !started {
		s.ch.Close()
	}
}

// signal sends the command's whole group what the client asks for.
func (s *session) signal(payload []byte) bool {
	var v struct{ Name string }
	if ssh.Unmarshal(payload, &v) != nil || s.pid == 0 {
		return false
	}
	sig, known := signalNumbers[v.Name]
	return known && syscall.Kill(-s.pid, sig) == nil
}

// signalNumbers are RFC 4254's names.
var signalNumbers = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
	"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func signalName(sig syscall.Signal) string {
	for name, number := range signalNumbers {
		if number == sig {
			return name
		}
	}
	return "KILL"
}

// exec starts a command; run goes on with it.
func (s *session) exec(command string, interactive bool) (proc, error) {
	sup := s.b.s
	var theirs [3]*os.File
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			s.closeEnds()
			closeAll(theirs[:])
			return proc{}, err
		}
		if i == 0 {
			theirs[i], s.ends = r, append(s.ends, w)
		} else {
			theirs[i], s.ends = w, append(s.ends, r)
		}
	}
	argv := []string{shell(), "-c", command}
	if interactive {
		argv = argv[:1]
	}
	p, err := sup.init.start(argv[0], argv, append(append([]string{}, sup.env...), s.env...), sup.spec.Layout.Home(), theirs[:])
	closeAll(theirs[:])
	if err != nil {
		s.closeEnds()
		return proc{}, err
	}
	s.pid = p.pid
	return p, nil
}

// run carries the command's bytes and reports its end. The channel stays open
// for as long as a process holds the command's output, though the command
// itself be over: as sshd does it, and the reason why what is left in the
// background must let go of its descriptors.
func (s *session) run(p proc) {
	stdin, stdout, stderr := s.ends[0], s.ends[1], s.ends[2]
	go func() {
		io.Copy(stdin, s.ch)
		stdin.Close()
	}()
	var output sync.WaitGroup
	output.Go(func() { carry(s.ch, stdout) })
	output.Go(func() { carry(s.ch.Stderr(), stderr) })
	drained := make(chan struct{})
	go func() {
		output.Wait()
		close(drained)
	}()
	var end syscall.WaitStatus
	ended := p.done
	for ended != nil || drained != nil {
		select {
		case end = <-ended:
			ended = nil
			s.report(end)
		case <-drained:
			drained = nil
		case <-s.gone:
			// The command goes on without anybody who listens, as after sshd.
			s.closeEnds()
			return
		}
	}
	s.closeEnds()
	s.ch.Close()
}

// carry copies until the end of the output or of the reader, in which case the
// command gets a SIGPIPE.
func carry(to io.Writer, from *os.File) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, os.ErrClosed) {
		from.Close()
	}
}

func (s *session) report(end syscall.WaitStatus) {
	if end.Signaled() {
		s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name       string
			CoreDumped bool
			Message    string
			Lang       string
		}{Name: signalName(end.Signal())}))
		return
	}
	s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(end.ExitStatus())}))
}

func (s *session) closeEnds() { closeAll(s.ends) }

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
