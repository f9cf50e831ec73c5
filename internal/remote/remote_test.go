package remote_test

import (
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
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/remote"
)

func config(t *testing.T, key *remote.Key, at remote.Address) remote.Config {
	t.Helper()
	pins, err := remote.OpenPins(filepath.Join(t.TempDir(), "pins"))
	if err != nil {
		t.Fatal(err)
	}
	return remote.Config{Address: at, Key: key, HostKey: pins.Callback("m1")}
}

func dial(t *testing.T) *remote.Conn {
	t.Helper()
	key := loadKey(t)
	c, err := remote.Dial(t.Context(), config(t, key, newServer(t, key).listen()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLoadKeySaysWhatIsWrong(t *testing.T) {
	good, signer := newKey(t, "")
	locked, _ := newKey(t, "sesame")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct{ name, path, want string }{
		{"none named", "", "SSH_KEY_PATH"},
		{"missing", filepath.Join(dir, "none"), "no such file"},
		{"passphrase", locked, "passphrase"},
		{"public half", write("id.pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), "public half"},
		{"nonsense", write("nonsense", "-----BEGIN secret stuff"), "no private key"},
		{"a folder", dir, "directory"},
	}
	for _, tt := range tests {
		_, err := remote.LoadKey(tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret stuff") {
			t.Errorf("%s: the error quotes the file: %v", tt.name, err)
		}
	}
	k, err := remote.LoadKey(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(k), fmt.Sprintf("%#v", k), fmt.Sprintf("%+v", k)} {
		if !strings.HasPrefix(shown, "SHA256:") {
			t.Errorf("a key prints itself as %q", shown)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]remote.Address{
		"kim@box":           {User: "kim", Host: "box", Port: 22},
		"root@10.0.0.7:104": {User: "root", Host: "10.0.0.7", Port: 104},
		"root@[::1]:22022":  {User: "root", Host: "::1", Port: 22022},
		"root@[fe80::1]":    {User: "root", Host: "fe80::1", Port: 22},
	} {
		if got, err := remote.ParseAddress(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "box", "@box", "kim@", "kim@box:", "kim@box:x", "kim@box:0", "kim@box:70000", "kim@bo x", "kim@a@b", "ssh://kim@box"} {
		if got, err := remote.ParseAddress(bad); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("root@[::1]:22")
	f.Add("kim@box")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := remote.ParseAddress(s)
		if err != nil {
			return
		}
		if again, err := remote.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q → %+v → %q → %+v, %v", s, a, a.String(), again, err)
		}
	})
}

func TestQuoteIsReadBackByTheShell(t *testing.T) {
	args := []string{"", "plain", "with space", "it's", `"double"`, "$HOME `id` \\", "two\nlines", `{"rope_type":"yarn","factor":2.0}`, "*", "-n", "ü"}
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+remote.Quote(args...)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); fmt.Sprint(got) != fmt.Sprint(args) {
		t.Errorf("got %q", got)
	}
}

func TestRun(t *testing.T) {
	c := dial(t)
	out, err := c.Run(t.Context(), "read a; echo \"$a\" | tr a-z A-Z", strings.NewReader("hello\n"))
	if err != nil || string(out) != "HELLO\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = c.Run(t.Context(), "echo before; echo why >&2; exit 7\n# more", nil)
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Status != 7 || exit.Stderr != "why" || string(out) != "before\n" {
		t.Errorf("%q, %#v", out, err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	c := dial(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	// The command says that it runs, and then waits for an input that never comes.
	r, w := io.Pipe()
	defer w.Close()
	fifo := filepath.Join(t.TempDir(), "up")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Skipf("SKIP: needs mkfifo: %v", err)
	}
	go func() {
		os.ReadFile(fifo)
		cancel(why)
	}()
	if _, err := c.Run(ctx, "echo up > "+remote.Quote(fifo)+"; read a", r); !errors.Is(err, why) {
		t.Errorf("err = %v", err)
	}
	if _, err := c.Run(t.Context(), "true", nil); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

func TestUpload(t *testing.T) {
	c := dial(t)
	path := filepath.Join(t.TempDir(), "a folder", "it's here")
	content := strings.Repeat("x\x00\n", 100_000)
	if err := c.Upload(t.Context(), path, 0o640, []byte(content)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", st.Mode())
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/*upload*"); left != nil {
		t.Errorf("left: %v", left)
	}
}

func TestHostKeyIsPinnedAtFirstContact(t *testing.T) {
	key := loadKey(t)
	srv := newServer(t, key)
	cfg := config(t, key, srv.listen())
	for range 2 {
		c, err := remote.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	srv.newHostKey()
	_, err := remote.Dial(t.Context(), cfg)
	var changed *remote.HostKeyError
	if !errors.As(err, &changed) || changed.Pinned == changed.Shown {
		t.Fatalf("err = %v; want a HostKeyError with both fingerprints", err)
	}
	// A link does not go on trying to talk to it.
	l := remote.NewLink(t.Context(), func(context.Context) (remote.Config, error) { return cfg, nil })
	defer l.Close()
	if _, err := l.Conn(t.Context()); !errors.As(err, &changed) {
		t.Errorf("link: %v", err)
	}
}

func TestWrongKeyIsNamed(t *testing.T) {
	srv := newServer(t, loadKey(t))
	other := loadKey(t)
	_, err := remote.Dial(t.Context(), config(t, other, srv.listen()))
	var d *remote.DialError
	if !errors.As(err, &d) || d.Step != "log in" || !strings.Contains(err.Error(), other.String()) {
		t.Errorf("err = %v", err)
	}
}

func TestLoginHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := loadKey(t)
		ours, theirs := net.Pipe() // the other side never says a word
		defer theirs.Close()
		began := time.Now()
		_, err := remote.Dial(t.Context(), remote.Config{
			Address: remote.Address{User: "u", Host: "h", Port: 1}, Key: key, HostKey: ssh.InsecureIgnoreHostKey(),
			NetDial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		})
		if err == nil || !strings.Contains(err.Error(), "10s") || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// A machine that is silently gone is noticed by its missing answers.
func TestKeepaliveEndsADeadConnection(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			key := loadKey(t)
			srv := newServer(t, key)
			srv.silent = silent
			c, err := remote.Dial(t.Context(), remote.Config{
				Address: remote.Address{User: "u", Host: "h", Port: 1}, Key: key, HostKey: ssh.InsecureIgnoreHostKey(),
				NetDial: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := buffered()
					srv.tasks.Go(func() { srv.serve(theirs) })
					return ours, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			select {
			case <-c.Done():
				if !silent || time.Since(began) > 90*time.Second {
					t.Errorf("silent %v: ended after %v", silent, time.Since(began))
				}
			case <-time.After(10 * time.Minute):
				if silent {
					t.Error("a dead connection was not noticed")
				}
			}
			c.Close()
			srv.drop()
			srv.tasks.Wait()
		})
	}
}

// eager is a clock that does not wait long between two attempts. What a login
// and a tunnel have time for lasts as long as it does.
type eager struct{ clock.Wall }

func (eager) Sleep(ctx context.Context, d time.Duration) error {
	return clock.Wall{}.Sleep(ctx, d/100)
}

// another waits for a link's next connection: it hears of an end a moment later.
func another(t *testing.T, l *remote.Link, than *remote.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c, err := l.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c != than {
			return
		}
		runtime.Gosched()
	}
}

func TestLinkReconnectsWhereTheMachineIsNow(t *testing.T) {
	key := loadKey(t)
	srv := newServer(t, key)
	cfg := config(t, key, srv.listen())
	cfg.Clock = eager{}
	second := srv.listen()
	asked := 0
	l := remote.NewLink(t.Context(), func(context.Context) (remote.Config, error) {
		if asked++; asked == 2 {
			cfg.Address = second
		}
		return cfg, nil
	})
	defer l.Close()
	first, err := l.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv.drop()
	<-first.Done()
	another(t, l, first)
	if out, err := l.Run(t.Context(), "echo again", nil); err != nil || string(out) != "again\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTunnelSurvivesAReconnect(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %d", len(body))
	}))
	defer web.Close()
	key := loadKey(t)
	srv := newServer(t, key)
	cfg := config(t, key, srv.listen())
	cfg.Clock = eager{}
	l := remote.NewLink(t.Context(), func(context.Context) (remote.Config, error) { return cfg, nil })
	defer l.Close()
	tun, err := l.Tunnel(t.Context(), web.Listener.Addr().String(), cfg.Clock)
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func() (string, error) {
		resp, err := client.Post("http://"+tun.Addr(), "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if got, err := post(); err != nil || got != "got 1048576" {
		t.Fatalf("%q, %v", got, err)
	}
	c, _ := l.Conn(t.Context())
	srv.drop()
	<-c.Done()
	if got, err := post(); err != nil || got != "got 1048576" {
		// The first attempt may still meet the old connection.
		another(t, l, c)
		if got, err = post(); err != nil || got != "got 1048576" {
			t.Errorf("after the reconnect: %q, %v", got, err)
		}
	}
}

// A machine that hangs up while a channel is being opened leaves no one
// waiting. The window is small: many openings meet it now and then.
func TestOpeningEndsWithTheConnection(t *testing.T) {
	key := loadKey(t)
	srv := newServer(t, key)
	at := srv.listen()
	cfg := config(t, key, at)
	for range 20 {
		c, err := remote.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var openings sync.WaitGroup
		for range 8 {
			openings.Go(func() {
				var err error
				for err == nil {
					_, err = c.Run(context.Background(), ":", nil)
				}
				if !errors.Is(err, remote.ErrDisconnected) {
					t.Errorf("err = %v; want ErrDisconnected", err)
				}
			})
		}
		srv.hangUp()
		openings.Wait()
		c.Close()
	}
}
