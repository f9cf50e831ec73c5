package airlock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/internal/airlock"
)

const insideVar = "DAIL_TEST_INSIDE"

func TestMain(m *testing.M) {
	if os.Getenv(insideVar) != "" {
		err := airlock.Serve(airlock.Stdio(os.Stdin, os.Stdout), nil)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// enter starts this binary as the inside of a place, with nothing but its
// standard streams between it and us.
func enter(t *testing.T) *airlock.Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{insideVar + "=1", "SECRET_OF_THE_HELPER=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := airlock.Connect(t.Context(), airlock.Stdio(out, in))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A slow machine may take longer than Close waits; Wait waits for the rest.
		if err := c.Close(); err != nil && !strings.Contains(err.Error(), "given up") {
			t.Errorf("close: %v", err)
		}
		cmd.Wait()
	})
	return c
}

func shell(script string) airlock.Command {
	return airlock.Command{Argv: []string{"sh", "-c", script}, Env: map[string]string{"PATH": "/usr/bin:/bin", "A": "1"}}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	c := enter(t)
	dir := t.TempDir()
	for _, tc := range []struct {
		name     string
		cmd      airlock.Command
		code     int
		signal   string
		out, err string
	}{
		{"output and status", shell("echo out; echo err >&2; exit 7"), 7, "", "out\n", "err\n"},
		{"nothing is inherited", shell("env | sort | grep -v ^PWD | grep -v ^_= | grep -v ^SHLVL"), 0, "", "A=1\nPATH=/usr/bin:/bin\n", ""},
		{"its folder", airlock.Command{Argv: []string{"/bin/pwd"}, Dir: dir}, 0, "", dir + "\n", ""},
		{"input", func() airlock.Command { c := shell("cat"); c.Stdin = strings.Repeat("x", 1<<20); return c }(), 0, "", strings.Repeat("x", 1<<20), ""},
		{"both in order", func() airlock.Command {
			c := shell("echo 1; echo 2 >&2; echo 3")
			c.Together = true
			return c
		}(), 0, "", "1\n2\n3\n", ""},
		{"what it left behind", shell("sleep 1000 & echo gone"), 0, "", "gone\n", ""},
		{"a signal", shell("kill -SEGV $$"), -1, "SEGV", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			tc.cmd.Stdout, tc.cmd.Stderr = &out, &errs
			exit, err := c.Run(t.Context(), tc.cmd, nil)
			if err != nil || exit.Code != tc.code || exit.Signal != tc.signal || exit.Stopped {
				t.Errorf("%+v, %v", exit, err)
			}
			if out.String() != tc.out || errs.String() != tc.err {
				t.Errorf("out %.100q, err %.100q", out.String(), errs.String())
			}
		})
	}
	for what, cmd := range map[string]airlock.Command{
		"is in no folder of PATH":    {Argv: []string{"no-such-program"}, Env: map[string]string{"PATH": "/bin"}},
		"no such file or directory":  {Argv: []string{"/no/such"}},
		"there is no command to run": {},
	} {
		if _, err := c.Run(t.Context(), cmd, nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

func TestACommandIsAskedToEndThenMadeTo(t *testing.T) {
	t.Parallel()
	c := enter(t)
	for script, want := range map[string]airlock.Exit{
		"trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done": {Code: 3, Stopped: true},
		"trap '' TERM; echo up; while :; do sleep 0.05; done":       {Code: -1, Signal: "KILL", Stopped: true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		kill := make(chan struct{})
		cmd := shell(script)
		cmd.Stdout = writer(func([]byte) { cancel() }) // it is up
		if want.Signal != "" {
			context.AfterFunc(ctx, func() { close(kill) })
		}
		if exit, err := c.Run(ctx, cmd, kill); err != nil || exit != want {
			t.Errorf("%q: %+v, %v; want %+v", script, exit, err, want)
		}
		cancel()
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestOneWayOut(t *testing.T) {
	t.Parallel()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Gateway", "ours")
		io.Copy(w, io.LimitReader(r.Body, 1<<20))
	}))
	defer gateway.Close()
	c := enter(t)
	at, err := c.Expose(strings.TrimPrefix(gateway.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		resp, err := client.Post("http://"+at, "text/plain", strings.NewReader(strings.Repeat("y", 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(got) != 1<<20 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if _, err := c.Expose("127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "one way out only") {
		t.Errorf("a second way out: %v", err)
	}
	gateway.Close()
	if resp, err := client.Get("http://" + at); err == nil {
		resp.Body.Close()
		if resp.Header.Get("Gateway") == "ours" { // its port may be another program's by now
			t.Error("a gateway that is gone answers")
		}
	}
}

// A script that opens sockets without end gets the end of most, and the gateway
// hears of a few.
func TestASocketFloodEndsInside(t *testing.T) {
	t.Parallel()
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	c := enter(t)
	at, err := c.Expose(gateway.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const flood, most = 200, 64
	hungUp := make(chan bool, flood)
	for range flood {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			io.Copy(io.Discard, conn)
			hungUp <- true
		}()
	}
	for range flood - most {
		<-hungUp
	}
	for range most {
		if _, err := gateway.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	gateway.(*net.TCPListener).SetDeadline(time.Now())
	if _, err := gateway.Accept(); err == nil {
		t.Error("more came out than may")
	}
}

func TestFilesGoInAndComeBack(t *testing.T) {
	t.Parallel()
	c := enter(t)
	in := filepath.Join(t.TempDir(), "workspace")
	files := fstest.MapFS{
		"a.txt":         {Data: []byte("hello"), Mode: 0o644},
		"bin/tool":      {Data: []byte("#!/bin/sh\necho hi\n"), Mode: 0o755},
		"deep/er/empty": {Data: nil, Mode: 0o600},
	}
	if err := c.Put(in, files); err != nil {
		t.Fatal(err)
	}
	script := shell(`./bin/tool > said; ln -s a.txt link; ln -s /etc/passwd out; ln -s ../../x up; mkfifo pipe; mkdir -p keep; chmod 500 keep`)
	script.Dir = in
	if exit, err := c.Run(t.Context(), script, nil); err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	back := t.TempDir()
	if err := c.Get(in, back); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.txt": "hello", "said": "hi\n", "link": "hello", "deep/er/empty": ""} {
		if got, err := os.ReadFile(filepath.Join(back, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"out", "up", "pipe"} {
		if _, err := os.Lstat(filepath.Join(back, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s came out: %v", name, err)
		}
	}
	if info, err := os.Stat(filepath.Join(back, "bin/tool")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	if err := c.Get(filepath.Join(in, "none"), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := c.Put("/proc/no", files); err == nil || !strings.Contains(err.Error(), "/proc/no") {
		t.Errorf("a folder that cannot be: %v", err)
	}
}

// A place that ends takes its commands with it, and says so to who waits.
func TestTheStreamEnds(t *testing.T) {
	t.Parallel()
	c := enter(t)
	pid := make(chan string, 1)
	cmd := shell("echo $$; sleep 1000")
	cmd.Stdout = writer(func(b []byte) { pid <- strings.TrimSpace(string(b)) })
	ran := make(chan error, 1)
	go func() {
		_, err := c.Run(context.Background(), cmd, nil)
		ran <- err
	}()
	id := <-pid
	done := c.Done()
	c.Close()
	<-done
	if err := <-ran; err == nil || !strings.Contains(err.Error(), "the place is gone") {
		t.Errorf("the command ended with %v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + id); err != nil {
			break // on macOS at once: it has no /proc
		}
		if time.Now().After(end) {
			t.Fatal("the command outlives its place")
		}
	}
}

func TestConnectToNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a, b := net.Pipe()
	defer b.Close()
	cancel()
	if _, err := airlock.Connect(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("connected to nobody: %v", err)
	}
}
