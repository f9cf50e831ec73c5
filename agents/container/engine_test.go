package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pretend is a command that answers by a script.
func pretend(t *testing.T, script string) Engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return Engine{Command: path}
}

func TestNoEngine(t *testing.T) {
	for want, e := range map[string]Engine{
		"no-such-docker is not on the PATH: install Docker or podman": {Command: "no-such-docker"},
		"Cannot connect to the Docker daemon":                         pretend(t, "echo 'Cannot connect to the Docker daemon' >&2; exit 1"),
	} {
		err := e.Check(t.Context())
		if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		err = (&Runner{Engine: e}).Provision(t.Context(), nil)
		if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The command is our user's own program, but it needs no key of ours.
func TestWhatTheCommandSees(t *testing.T) {
	got := environ([]string{"PATH=/bin", "HOME=/root", "RUNPOD_API_KEY=k", "ANTHROPIC_API_KEY=k", "DOCKER_HOST=unix:///x",
		"DOCKER_CONTEXT=c", "CONTAINER_HOST=h", "SSH_AUTH_SOCK=s", "SSH_KEY_PATH=p", "https_proxy=x", "AWS_SECRET_ACCESS_KEY=k", "LITELLM_UPSTREAM_KEY=k"})
	want := []string{"PATH=/bin", "HOME=/root", "DOCKER_HOST=unix:///x", "DOCKER_CONTEXT=c", "CONTAINER_HOST=h", "SSH_AUTH_SOCK=s", "https_proxy=x"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	t.Setenv("RUNPOD_API_KEY", "key-of-ours")
	t.Setenv("DOCKER_HOST", "unix:///elsewhere")
	t.Setenv("DOCKER_CONTEXT", "elsewhere")
	e := pretend(t, `env; echo "$@"`)
	e.Host = "tcp://box:2376"
	out, err := e.output(t.Context(), "ps")
	if err != nil || strings.Contains(out, "key-of-ours") || strings.Contains(out, "elsewhere") || !strings.HasSuffix(out, "\nps") ||
		!strings.Contains(out, "DOCKER_HOST=tcp://box:2376\n") || !strings.Contains(out, "CONTAINER_HOST=tcp://box:2376\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Who has podman only need not say so; docker comes first.
func TestWhichEngine(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	answers := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+name+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Engine{}).Check(t.Context()); !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "docker is not on the PATH: install Docker or podman") {
		t.Errorf("none: %v", err)
	}
	for _, name := range []string{"podman", "docker"} {
		answers(name)
		if out, err := (Engine{}).output(t.Context(), "ps"); err != nil || out != name {
			t.Errorf("with %s: %q, %v", name, out, err)
		}
	}
}

// Every bound of a container, whatever the runner is made of.
func TestArguments(t *testing.T) {
	for _, network := range []bool{false, true} {
		args := strings.Join((&Runner{Image: "i:1", Run: "r", Owner: "o"}).arguments("n", network), " ")
		for _, want := range []string{"--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--user 10001:10001", "--pids-limit 512",
			"--memory 4096m --memory-swap 4096m", "--cpu-quota 200000", "--rm", "--log-driver none", "--label dail.run=r", "--label dail.owner=o", "--pull never", "--env https_proxy= ", "i:1 24h0m0s"} {
			if !strings.Contains(args, want) {
				t.Errorf("%s: no %s", args, want)
			}
		}
		if strings.Contains(args, "--network none") == network {
			t.Errorf("network %v: %s", network, args)
		}
		for _, never := range []string{"--volume", "-v ", "--mount", "--privileged", "--publish", "--device"} {
			if strings.Contains(args, never) {
				t.Errorf("%s: %s", args, never)
			}
		}
	}
	if a, b := (&Runner{Run: "2026/11 24"}).nameOf("n4-agent0"), (&Runner{Run: "2026/11 24"}).nameOf("n4-agent0"); a == b || !strings.HasPrefix(a, "dail-2026-11-24-n4-agent0-") {
		t.Errorf("%q, %q", a, b)
	}
}

// What podman and Docker say of a container is read alike; what is in between
// asked and gone is no error, and what cannot be removed is.
func TestReapReads(t *testing.T) {
	e := pretend(t, `
case "$1 $*" in
ps*) printf 'a\nb\nc\nd\n' ;;
container*a) printf '/dail-a\037kim\037r1\0372026-11-24T10:00:00.5Z' ;;
container*b) printf 'dail-b\037kim\037r2\0372026-11-24 11:00:00.25 +0100 CET' ;;
container*c) echo 'Error: No such container: c' >&2; exit 1 ;;
container*d) printf 'dail-d\037kim\037r3\0372026-11-24T10:00:00Z' ;;
rm*b) echo 'Error response from daemon: removal of container b is already in progress' >&2; exit 1 ;;
rm*d) echo 'driver failed' >&2; exit 1 ;;
esac`)
	found, err := Reap(t.Context(), e, ReapOptions{Owner: "kim"})
	if err == nil || !strings.Contains(err.Error(), "driver failed") || len(found) != 3 {
		t.Fatalf("%+v, %v", found, err)
	}
	for i, want := range []struct {
		name, run string
		removed   bool
	}{{"dail-a", "r1", true}, {"dail-b", "r2", true}, {"dail-d", "r3", false}} {
		f := found[i]
		if f.Name != want.name || f.Run != want.run || f.Removed != want.removed || f.Created.UTC().Hour() != 10 {
			t.Errorf("%+v, want %+v", f, want)
		}
	}
}

// Each question to a frozen engine ends, and one whose age cannot be read is not
// taken for old.
func TestReapIsCareful(t *testing.T) {
	for name, script := range map[string]string{
		"the list":         "exec sleep 1000",
		"one container":    `[ "$1" = container ] && exec sleep 1000; echo a`,
		"one that remains": `[ "$1" = rm ] && exec sleep 1000; [ "$1" = ps ] && echo a || printf 'a\037kim\037r\0372026-11-24T10:00:00Z'`,
	} {
		e := pretend(t, script)
		e.patience = 300 * time.Millisecond
		if _, err := Reap(t.Context(), e, ReapOptions{}); err == nil || !strings.Contains(err.Error(), "did not answer within 300ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := pretend(t, `case "$1" in ps|rm) echo a ;; *) printf 'a\037kim\037r\037last Tuesday' ;; esac`)
	for age, removed := range map[time.Duration]bool{time.Hour: false, 0: true} {
		if found, err := Reap(t.Context(), e, ReapOptions{Age: age}); err != nil || len(found) != 1 || found[0].Removed != removed {
			t.Errorf("older than %v: %+v, %v", age, found, err)
		}
	}
}

// An engine whose command was killed may make the container after all.
func TestWhatAppearsLateIsRemoved(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	for name, miss := range map[string]string{"Docker": "echo 'Error: No such container' >&2; exit 1", "Docker, newer": "exit 0"} {
		e := pretend(t, `echo x >> `+count+`; [ $(wc -l < `+count+`) -lt 3 ] && { `+miss+`; }; echo dail-x`)
		if err := e.removeLate(t.Context(), "dail-x", time.Minute); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(count); len(got) != 6 {
			t.Errorf("%s: asked %d times, want 3: until it was there", name, len(got)/2)
		}
		os.Remove(count)
	}
	never := pretend(t, "exit 0")
	if err := never.removeLate(t.Context(), "dail-x", 0); err != nil {
		t.Errorf("one that never appears: %v", err)
	}
}

// A warning of the engine's does not hide what really happened.
func TestAWarningIsNotTheCause(t *testing.T) {
	warns := pretend(t, `[ "$1" = run ] || exit 0; echo 'WARNING: no swap limit' >&2; echo up > "$0.up"; cat > /dev/null`)
	ctx, cancel := context.WithCancel(t.Context())
	if err := unix.Mkfifo(warns.Command+".up", 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { // as Ctrl-C does, once the engine has said it
		os.ReadFile(warns.Command + ".up")
		cancel()
	}()
	_, err := (&Runner{Engine: warns, Image: "i"}).Seal(ctx, t.TempDir())
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no swap limit") {
		t.Errorf("%v", err)
	}
	cancel()
}
