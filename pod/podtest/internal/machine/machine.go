// Package machine is what a pod of podtest runs on: a folder and a tree of
// processes of this host, with an SSH server in front.
//
// A machine is a process of its own, this program once more under the name
// [Name], which must hand over to [Main]. It is the ancestor of everything that
// runs on the machine, and it hears its landlord through a pipe: when the pipe
// ends, because the machine was given back or because the landlord died by
// whatever signal, it kills all of them and itself.
//
//	m, err := machine.Start(ctx, spec, func(line string) { log.Println(line) })
//	err = m.Listen(ctx)   // from now on one can log in at m.Port()
//	m.Close()             // everything on it is dead when this returns
package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Name is the base name under which this program is a machine.
const Name = "podtest-machine"

// Layout is the folder of one machine.
type Layout string

// Workspace is where the volume is mounted: $DAIL_ROOT.
func (l Layout) Workspace() string { return filepath.Join(string(l), "workspace") }

// Bin is first on the PATH.
func (l Layout) Bin() string { return filepath.Join(string(l), "bin") }

// Home is root's home.
func (l Layout) Home() string { return filepath.Join(string(l), "root") }

// Etc holds the machine's settings.
func (l Layout) Etc() string { return filepath.Join(string(l), "etc") }

func (l Layout) tmp() string { return filepath.Join(string(l), "tmp") }

// Make makes the folders.
func (l Layout) Make() error {
	for _, dir := range []string{l.Workspace(), l.Bin(), l.Home(), l.Etc(), l.tmp()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Spec is what a machine is started with.
type Spec struct {
	Layout Layout
	// Command is what PID 1 executes; empty: nothing.
	Command []string
	// Env is PID 1's environment beside the machine's own (PATH, HOME,
	// DAIL_ROOT, DAIL_PORT, …); {{ssh-port}} in a value is the SSH port.
	Env []string
	// Path follows the machine's own folder on the PATH.
	Path string
	// Authorized are the lines of authorized_keys that may log in.
	Authorized string
	// HostKey is the SSH server's private key, PEM.
	HostKey string
	// Sshd is OpenSSH's sshd, where it is to serve logins as User.
	Sshd string
	User string
	// RestartDelay is the wall time from the end of PID 1 to its next start.
	RestartDelay time.Duration
	// Crashes is how many times PID 1 is killed as soon as it runs.
	Crashes int
}

// request is what the landlord says, a line of JSON each.
type request struct {
	N       int    `json:"n"`
	Spec    *Spec  `json:"spec,omitempty"`
	Do      string `json:"do,omitempty"`
	HostKey string `json:"hostKey,omitempty"`
}

// report is what the machine says.
type report struct {
	N    int    `json:"n,omitempty"` // the request that this answers; 0: none
	Err  string `json:"err,omitempty"`
	Port int    `json:"port,omitempty"` // of the SSH server
	Log  string `json:"log,omitempty"`  // a line of the container's log
	Line bool   `json:"line,omitempty"` // Log is one, though it be empty
}

// Machine is a running machine as its landlord sees it.
type Machine struct {
	cmd    *exec.Cmd
	in     *os.File
	onLine func(string)
	done   chan struct{} // the process has ended
	late   error         // it had to be killed; set before done

	mu      sync.Mutex
	n       int
	port    int
	waiting map[int]chan report
	closing sync.Once
}

// Start starts a machine: when it returns, PID 1 runs, and the SSH port is
// known, but nobody listens there yet. onLine hears the lines of the
// container's log, one at a time.
func Start(ctx context.Context, spec Spec, onLine func(line string)) (*Machine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		in.Close()
		return nil, fmt.Errorf("machine: %w", err)
	}
	var stderr bytes.Buffer
	m := &Machine{in: in, onLine: onLine, done: make(chan struct{}), waiting: map[int]chan report{}}
	m.cmd = &exec.Cmd{
		Path: self, Args: []string{Name}, Dir: string(spec.Layout),
		Env:   append([]string{"PATH=" + spec.Path}, extraEnv...),
		Stdin: theirIn, ExtraFiles: []*os.File{theirOut}, Stderr: &stderr,
		WaitDelay: 5 * time.Second,
		// Its own session: an interrupt from the terminal is the landlord's.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = m.cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("machine: %w", err)
	}
	go m.listen(out, &stderr)
	if err := m.ask(ctx, request{Spec: &spec}); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// listen hears what the machine says until it ends.
func (m *Machine) listen(out *os.File, stderr *bytes.Buffer) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var r report
		if json.Unmarshal(line, &r) != nil {
			continue
		}
		if r.Line {
			m.onLine(r.Log)
			continue
		}
		m.mu.Lock()
		if r.Port != 0 {
			m.port = r.Port
		}
		answer := m.waiting[r.N]
		delete(m.waiting, r.N)
		m.mu.Unlock()
		if answer != nil {
			answer <- r
		}
	}
	out.Close()
	m.cmd.Wait() // how it ended is of no interest: it is gone
	if stderr.Len() > 0 {
		m.onLine("machine: " + stderr.String())
	}
	close(m.done)
}

// ask sends a request and waits for its answer.
func (m *Machine) ask(ctx context.Context, r request) error {
	answer := make(chan report, 1)
	m.mu.Lock()
	m.n++
	r.N = m.n
	m.waiting[r.N] = answer
	line, err := json.Marshal(r)
	if err == nil {
		_, err = m.in.Write(append(line, '\n'))
	}
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	select {
	case got := <-answer:
		if got.Err != "" {
			return fmt.Errorf("machine: %s", got.Err)
		}
		return nil
	case <-m.done:
		return errors.New("machine: it has ended")
	case <-ctx.Done():
		return fmt.Errorf("machine: no answer: %w", context.Cause(ctx))
	}
}

// Port is where the SSH server is, on the loopback.
func (m *Machine) Port() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.port
}

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Listen lets logins in.
func (m *Machine) Listen(ctx context.Context) error { return m.ask(ctx, request{Do: "listen"}) }

// Drop ends all SSH connections.
func (m *Machine) Drop(ctx context.Context) error { return m.ask(ctx, request{Do: "drop"}) }

// Freeze stops all bytes on the present SSH connections.
func (m *Machine) Freeze(ctx context.Context) error { return m.ask(ctx, request{Do: "freeze"}) }

// Move ends all SSH connections and goes on at another port.
func (m *Machine) Move(ctx context.Context) error { return m.ask(ctx, request{Do: "move"}) }

// Rekey ends all SSH connections and goes on with another host key, PEM.
func (m *Machine) Rekey(ctx context.Context, hostKey string) error {
	return m.ask(ctx, request{Do: "rekey", HostKey: hostKey})
}

// Crash kills PID 1 and with it all that runs; PID 1 is then started again.
func (m *Machine) Crash(ctx context.Context) error { return m.ask(ctx, request{Do: "crash"}) }

// Close ends everything on the machine, and waits until it is dead. An error
// says that the machine itself had to be killed, so that something may be left.
func (m *Machine) Close() error {
	m.closing.Do(func() {
		m.in.Close()
		select {
		case <-m.done:
		case <-time.After(closeTimeout):
			m.cmd.Process.Kill() // an error means that it has just ended
			<-m.done
			m.late = fmt.Errorf("machine: it did not end its processes within %v and was killed", closeTimeout)
		}
	})
	<-m.done
	return m.late
}

// closeTimeout is how long a machine may take to kill everything. It takes
// milliseconds; a host that swaps takes longer.
const closeTimeout = 20 * time.Second

// decoder reads requests on the machine's side.
type decoder struct{ r *bufio.Reader }

func (d decoder) next() (request, error) {
	line, err := d.r.ReadBytes('\n')
	if err != nil {
		return request{}, err
	}
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return request{}, err
	}
	return r, nil
}

// reporter writes reports, one at a time.
type reporter struct {
	mu sync.Mutex
	w  io.Writer
}

func (r *reporter) say(what report) {
	line, err := json.Marshal(what)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w.Write(append(line, '\n')) // the landlord has died: then stdin ends as well
}
