package container

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
	e := pretend(t, `env; echo "$@"`)
	e.Host = "tcp://box:2376"
	out, err := e.output(t.Context(), "ps")
	if err != nil || strings.Contains(out, "key-of-ours") || !strings.HasSuffix(out, "--host tcp://box:2376 ps") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every bound of a container, whatever the runner is made of.
func TestArguments(t *testing.T) {
	for _, network := range []bool{false, true} {
		args := strings.Join((&Runner{Image: "i:1", Run: "r", Owner: "o"}).arguments("n", network), " ")
		for _, want := range []string{"--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--user 10001:10001", "--pids-limit 512",
			"--memory 4096m --memory-swap 4096m", "--cpu-quota 200000", "--rm", "--log-driver none", "--label dail.run=r", "--label dail.owner=o", "--pull never", "--env https_proxy= "} {
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
