package podtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/pod/podtest"
)

// login logs in to a pod as soon as it can be reached.
func (a api) login(id string, signer ssh.Signer) *ssh.Client {
	a.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		client, err := dial(a.until(id, hasSSH), signer, nil)
		if err == nil {
			a.t.Cleanup(func() { client.Close() })
			return client
		}
		last = err
	}
	a.t.Fatalf("no login on %s: %v", id, last)
	return nil
}

func dial(p podJSON, signer ssh.Signer, hostKey *ssh.PublicKey) (*ssh.Client, error) {
	return ssh.Dial("tcp", net.JoinHostPort(p.SSH.Direct.Host, strconv.Itoa(p.SSH.Direct.Port)), &ssh.ClientConfig{
		User: p.SSH.Direct.Username, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 10 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if hostKey != nil {
				*hostKey = key
			}
			return nil
		},
	})
}

// run runs a command, which must succeed.
func run(t testing.TB, c *ssh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var stderr strings.Builder
	s.Stderr = &stderr
	out, err := s.Output(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return string(out)
}

// shellPod makes a pod whose PID 1 runs a script, and logs in.
func (a api) shellPod(script string) (podJSON, *ssh.Client) {
	a.t.Helper()
	signer, line := userKey(a.t)
	p := a.create(scripted(script, line))
	return p, a.login(p.ID, signer)
}

func scripted(script, key string) map[string]any {
	req := with(request("dail-1-a"), "env", map[string]string{"PUBLIC_KEY": key, "HW_PROVIDER": "runpod"})
	if script != "" {
		args, err := json.Marshal(map[string]any{"cmd": []string{"sh", "-c", script}})
		if err != nil {
			panic(err)
		}
		req["args"] = string(args)
	}
	return req
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// alive reports whether there is a process of that number.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pidIn reads a process number from a file that may not be there yet.
func pidIn(t testing.TB, path string) int {
	t.Helper()
	pid := 0
	eventually(t, path, func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	return pid
}

func root(srv *podtest.Server, id string) string {
	for _, p := range srv.Pods() {
		if p.ID == id {
			return p.Root
		}
	}
	return ""
}

// Only the key of PUBLIC_KEY opens the machine, and only for root.
func TestOnlyTheOwnKeyLogsIn(t *testing.T) {
	t.Parallel()
	_, a := serve(t, podtest.Config{})
	signer, line := userKey(t)
	other, _ := userKey(t)
	p := a.create(scripted("", line))
	a.login(p.ID, signer)
	p = a.get(p.ID)
	if c, err := dial(p, other, nil); err == nil {
		c.Close()
		t.Error("another key logs in")
	}
	p.SSH.Direct.Username = "ubuntu"
	if c, err := dial(p, signer, nil); err == nil {
		c.Close()
		t.Error("another user logs in")
	}
}

// What a command over SSH is given, and what it gives back.
func TestCommands(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	p, c := a.shellPod("exec sleep 100000")
	dir := root(srv, p.ID)

	if got := run(t, c, "cat; echo $DAIL_ROOT; echo $HOME; pwd; echo $RUNPOD_POD_ID$HW_PROVIDER"); got != fmt.Sprintf("%s\n%s\n%s\n\n", dir, filepath.Join(dir, "../root"), filepath.Join(dir, "../root")) {
		t.Errorf("environment of a command: %q", got)
	}
	if got := run(t, c, `case $PATH in "$DAIL_ROOT/../bin":*|"${DAIL_ROOT%/workspace}/bin":*) echo first;; esac; test "$DAIL_PORT" -gt 1024 && echo port`); got != "first\nport\n" {
		t.Errorf("PATH, DAIL_PORT: %q", got)
	}

	s := session(t, c)
	var stderr strings.Builder
	s.Stdin, s.Stderr = strings.NewReader("over stdin"), &stderr
	if out, err := s.Output("cat; echo oops >&2; exit 7"); string(out) != "over stdin" || stderr.String() != "oops\n" || status(err) != 7 {
		t.Errorf("%q, %q, %v", out, stderr.String(), err)
	}
	s = session(t, c)
	if err := s.Setenv("LC_ALL", "C"); err != nil {
		t.Errorf("LC_ALL: %v", err)
	}
	if err := s.Setenv("HF_TOKEN", "secret"); err == nil {
		t.Error("HF_TOKEN is accepted; a stock sshd does not")
	}
	if out, err := s.Output("echo $LC_ALL"); string(out) != "C\n" || err != nil {
		t.Errorf("%q %v", out, err)
	}

	s = session(t, c)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo up; exec sleep 100000"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("killed by TERM: %v", err)
	}
	if err := session(t, c).RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal is given")
	}
}

func session(t testing.TB, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// status is how a command ended; -1: not by itself.
func status(err error) int {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitStatus()
	}
	return -1
}

// As with sshd, a session lasts until its output is let go of, and what was
// left in the background lives on without it.
func TestBackground(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	p, c := a.shellPod("exec sleep 100000")
	dir := root(srv, p.ID)

	s := session(t, c)
	if err := s.Start(`sleep 100000 & echo $! >"$DAIL_ROOT/holds"; exit 0`); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	holds := pidIn(t, filepath.Join(dir, "holds"))
	select {
	case err := <-ended:
		t.Errorf("the session ended (%v) while a process held its output", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := syscall.Kill(holds, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}

	pid := number(t, run(t, c, "sleep 100000 >/dev/null 2>&1 </dev/null & echo $!"))
	c.Close()
	if !alive(pid) {
		t.Error("what was left in the background died with the session")
	}
	// An orphan that ends is reaped, as by an init: kill -0 must tell the truth.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the orphan is reaped", func() bool { return !alive(pid) })
}

// A channel to the loopback is carried both ways, each side closed by itself.
func TestForward(t *testing.T) {
	t.Parallel()
	_, a := serve(t, podtest.Config{})
	_, c := a.shellPod("")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		all, err := io.ReadAll(conn) // until the client closes its side
		if err != nil {
			return
		}
		conn.Write(bytes.ToUpper(all))
	}()
	conn, err := c.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "HELLO" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if conn, err := c.Dial("tcp", "192.0.2.1:80"); err == nil {
		conn.Close()
		t.Error("it forwards to foreign hosts")
	}
	// A port that no program is given by chance, unlike that of ln once it is closed.
	if conn, err := c.Dial("tcp", "127.0.0.1:1"); err == nil {
		conn.Close()
		t.Error("a closed port was connected")
	}
}

// PID 1 has RunPod's environment, its output is the container's log, and it is
// started again on the same disk when it ends, which ends all else.
func TestContainer(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	// What the test waits for before the crash comes last.
	p, c := a.shellPod(`
		echo x >>boots
		echo "pod=$RUNPOD_POD_ID gpus=$RUNPOD_GPU_COUNT ssh=$RUNPOD_TCP_PORT_22 own=$HW_PROVIDER key=${RUNPOD_API_KEY:+set}"
		exec sleep 100000`)
	dir := root(srv, p.ID)
	want := fmt.Sprintf("pod=%s gpus=1 ssh=%d own=runpod key=set", p.ID, a.get(p.ID).SSH.Direct.Port)
	if log := strings.Join(a.logs(t.Context(), p.ID, 6), "\n"); !strings.Contains(log, want) || !strings.Contains(log, `"source":"system"`) || !strings.Contains(log, "SHA256:") {
		t.Errorf("log:\n%s\nwant %s", log, want)
	}
	beside := number(t, run(t, c, "sleep 100000 >/dev/null 2>&1 </dev/null & echo $!"))
	srv.Inject(podtest.ContainerCrash, 1)
	eventually(t, "PID 1 is started again", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "boots"))
		return err == nil && string(text) == "x\nx\n"
	})
	if alive(beside) {
		t.Error("a process outlived its container")
	}
	if err := c.Wait(); err == nil {
		t.Error("the login outlived its container")
	}
	if got := a.get(p.ID); got.Status != "RUNNING" || len(srv.Alive()) != 1 {
		t.Errorf("%+v", got)
	}
}

// A stop and a start keep the disk and nothing else; the port is another.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	signer, line := userKey(t)
	p := a.create(scripted("echo $$ >>boots; exec sleep 100000", line))
	run(t, a.login(p.ID, signer), `echo kept >"$DAIL_ROOT/file"`)
	pid := pidIn(t, filepath.Join(root(srv, p.ID), "boots"))
	a.want(200, "POST", "/pods/"+p.ID+"/action", map[string]any{"action": "stop"}, nil)
	if alive(pid) {
		t.Error("PID 1 outlived the stop")
	}
	a.want(200, "POST", "/pods/"+p.ID+"/action", map[string]any{"action": "start"}, nil)
	c := a.login(p.ID, signer)
	eventually(t, "PID 1 writes to the same disk", func() bool {
		text, err := os.ReadFile(filepath.Join(root(srv, p.ID), "boots"))
		return err == nil && bytes.Count(text, []byte("\n")) == 2
	})
	if got := run(t, c, `cat "$DAIL_ROOT/file"`); got != "kept\n" {
		t.Errorf("%q", got)
	}
	a.want(200, "POST", "/pods/"+p.ID+"/action", map[string]any{"action": "restart"}, nil)
	a.login(p.ID, signer)
}

// Whatever a machine started is dead when the DELETE is answered: children,
// orphans, and those that left the session.
func TestTerminateKillsAll(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	p, c := a.shellPod("sleep 100000 & echo $! >child; trap '' TERM HUP INT; while :; do sleep 1; done")
	dir := root(srv, p.ID)
	pids := []int{
		pidIn(t, filepath.Join(dir, "child")),
		number(t, run(t, c, "(sleep 100000 >/dev/null 2>&1 </dev/null & echo $!)")),
	}
	if _, err := exec.LookPath("setsid"); err == nil {
		run(t, c, `setsid sh -c 'echo $$ >"$DAIL_ROOT/daemon"; exec sleep 100000' >/dev/null 2>&1 </dev/null &`)
		pids = append(pids, pidIn(t, filepath.Join(dir, "daemon")))
	}
	for _, pid := range pids {
		if !alive(pid) {
			t.Fatalf("%d of %v does not live", pid, pids)
		}
	}
	a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("%d lives on", pid)
		}
	}
	if err := c.Wait(); err == nil {
		t.Error("the login lives on")
	}
}
