package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// supervisor is the machine from the inside.
type supervisor struct {
	spec   Spec
	init   *initd
	out    *reporter
	env    []string // of everything on the machine
	logins login

	sshPort *held // until it is listened on
	port    *held // DAIL_PORT; held for as long as the machine lives

	mu       sync.Mutex
	hostKey  string
	listener net.Listener
	conns    map[*tap]bool
	up       bool // the container runs: sshd is there
	pid1     int  // 0: it does not run
	crashes  int  // PID 1 is still to be killed so often
	sshNum   int  // the SSH port
}

// login serves one SSH connection until it ends.
type login interface {
	serve(conn *tap, hostKey string)
}

// Main is a machine's process: descriptor 0 brings requests, 3 takes reports.
// It returns the exit status.
func Main() int {
	signals := make(chan os.Signal, 1)
	// SIGPIPE: a dead landlord must not kill us before we have killed the rest.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	in := decoder{bufio.NewReader(os.Stdin)}
	s := &supervisor{out: &reporter{w: os.NewFile(3, "reports")}, conns: map[*tap]bool{}, init: newInitd()}
	syscall.CloseOnExec(3)

	first, err := in.next()
	if err != nil || first.Spec == nil {
		return 1
	}
	if err := s.start(*first.Spec); err != nil {
		s.out.say(report{N: first.N, Err: err.Error()})
		s.init.close()
		return 1
	}
	s.out.say(report{N: first.N, Port: s.sshNum})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			r, err := in.next()
			if err != nil {
				return // the landlord has gone
			}
			answer := report{N: r.N}
			if err := s.obey(r); err != nil {
				answer.Err = err.Error()
			}
			s.mu.Lock()
			answer.Port = s.sshNum
			s.mu.Unlock()
			s.out.say(answer)
		}
	}()
	for waiting := true; waiting; {
		select {
		case <-ended:
			waiting = false
		case sig := <-signals:
			waiting = sig == syscall.SIGPIPE
		}
	}
	if !s.init.close() {
		fmt.Fprintln(os.Stderr, "processes are left that cannot be killed")
		return 1
	}
	return 0
}

func (s *supervisor) start(spec Spec) (err error) {
	if err := adoptOrphans(); err != nil {
		return fmt.Errorf("becoming a subreaper: %w", err)
	}
	s.spec, s.hostKey, s.crashes = spec, spec.HostKey, spec.Crashes
	if s.sshPort, err = hold(false); err != nil {
		return err
	}
	if s.port, err = hold(true); err != nil {
		return err
	}
	s.sshNum = s.sshPort.port
	s.env = append([]string{
		"PATH=" + spec.Layout.Bin() + string(os.PathListSeparator) + spec.Path,
		"HOME=" + spec.Layout.Home(), "TMPDIR=" + spec.Layout.tmp(),
		"DAIL_ROOT=" + spec.Layout.Workspace(), "DAIL_PORT=" + strconv.Itoa(s.port.port),
		"USER=" + spec.User, "LOGNAME=" + spec.User, "SHELL=" + shell(),
	}, extraEnv...)
	if spec.Sshd != "" {
		s.logins, err = newOpenSSH(s)
	} else {
		s.logins, err = newBuiltIn(s)
	}
	if err != nil {
		return err
	}
	s.up = true
	go s.runContainer()
	return nil
}

// shell is what runs a command: bash where there is one.
func shell() string {
	for _, path := range []string{"/bin/bash", "/usr/bin/bash"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "/bin/sh"
}

func (s *supervisor) obey(r request) error {
	switch r.Do {
	case "listen":
		return s.listen()
	case "drop":
		s.dropAll()
	case "freeze":
		s.mu.Lock()
		for c := range s.conns {
			c.freeze()
		}
		s.mu.Unlock()
	case "move":
		return s.move()
	case "rekey":
		s.mu.Lock()
		s.hostKey = r.HostKey
		s.mu.Unlock()
		s.dropAll()
	case "crash":
		s.crash()
	default:
		return fmt.Errorf("no request %q", r.Do)
	}
	return nil
}

func (s *supervisor) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sshPort == nil {
		return errors.New("it listens already")
	}
	ln, err := s.sshPort.listen()
	if err != nil {
		return err
	}
	s.sshPort, s.listener = nil, ln
	go s.accept(ln)
	return nil
}

func (s *supervisor) move() error {
	next, err := hold(false)
	if err != nil {
		return err
	}
	ln, err := next.listen()
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.listener
	s.listener, s.sshNum = ln, next.port
	if s.sshPort != nil {
		s.sshPort.close()
		s.sshPort = nil
	}
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	s.dropAll()
	go s.accept(ln)
	return nil
}

func (s *supervisor) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		t := newTap(conn)
		s.mu.Lock()
		up, key := s.up, s.hostKey
		if up {
			s.conns[t] = true
		}
		s.mu.Unlock()
		if !up { // the container is being started again
			conn.Close()
			continue
		}
		go func() {
			defer func() {
				t.Close()
				s.mu.Lock()
				delete(s.conns, t)
				s.mu.Unlock()
			}()
			s.logins.serve(t, key)
		}()
	}
}

func (s *supervisor) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// runContainer keeps PID 1 running: when it ends, everything else on the
// machine ends too, and it is started again on the same disk.
func (s *supervisor) runContainer() {
	if len(s.spec.Command) == 0 {
		return
	}
	for {
		end, err := s.runPID1()
		s.mu.Lock()
		s.up, s.pid1 = false, 0
		s.mu.Unlock()
		s.dropAll()
		s.init.killAll()
		if err != nil {
			s.line("container: " + err.Error())
		} else {
			s.line("container: PID 1 ended with " + describe(end) + "; it is started again")
		}
		time.Sleep(s.spec.RestartDelay)
		s.mu.Lock()
		s.up = true
		s.mu.Unlock()
	}
}

func (s *supervisor) line(text string) { s.out.say(report{Log: text, Line: true}) }

func describe(end syscall.WaitStatus) string {
	if end.Signaled() {
		return "signal " + end.Signal().String()
	}
	return "status " + strconv.Itoa(end.ExitStatus())
}

// runPID1 runs the container's command to its end.
func (s *supervisor) runPID1() (syscall.WaitStatus, error) {
	env := append([]string{}, s.env...)
	port := strconv.Itoa(s.sshNum)
	for _, v := range s.spec.Env {
		env = append(env, strings.ReplaceAll(v, "{{ssh-port}}", port))
	}
	path, err := lookPath(s.spec.Command[0], s.spec.Layout.Bin()+string(os.PathListSeparator)+s.spec.Path)
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	p, err := s.init.start(path, s.spec.Command, env, s.spec.Layout.Workspace(), []*os.File{null, write, write})
	write.Close()
	if err != nil {
		read.Close()
		return 0, err
	}
	go s.logLines(read)
	s.mu.Lock()
	s.pid1 = p.pid
	kill := s.crashes > 0
	if kill {
		s.crashes--
	}
	s.mu.Unlock()
	if kill {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	return <-p.done, nil
}

// logLines reports what the container prints.
func (s *supervisor) logLines(r io.ReadCloser) {
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.line(lines.Text())
	}
	io.Copy(io.Discard, r) // a line of more than a megabyte: the container goes on
}

// crash kills PID 1, or, where there is none, what runs beside it.
func (s *supervisor) crash() {
	s.mu.Lock()
	pid := s.pid1
	s.mu.Unlock()
	if pid != 0 {
		syscall.Kill(pid, syscall.SIGKILL)
		return
	}
	s.dropAll()
	s.init.killAll()
}

// lookPath finds a program on a PATH that is not this process's.
func lookPath(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range strings.Split(path, string(os.PathListSeparator)) {
		full := dir + "/" + name
		if info, err := os.Stat(full); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
