package container_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
)

// secret is what no agent may get to see.
const secret = "canary-3f9a1c"

// attempt is something that a model may have its Bash do.
type attempt struct {
	name   string
	script string
	// broke reports whether it got what it wanted.
	broke func(out string) bool
}

func sees(what string) func(string) bool {
	return func(out string) bool { return strings.Contains(out, what) }
}

// connect is a script that talks to addresses, and prints what answers.
func connect(targets ...string) string {
	return `cat > /tmp/c.js <<'X'
const net = require('node:net'), dns = require('node:dns')
for (const t of process.argv.slice(2)) {
  const [host, port] = [t.slice(0, t.lastIndexOf(':')), t.slice(t.lastIndexOf(':') + 1)]
  const s = t.startsWith('/') ? net.connect(t) : net.connect({ host, port: Number(port) })
  // What is there answers in its time, on a busy machine; other hosts may be silent.
  s.setTimeout(host === '127.0.0.1' ? 60000 : 3000, () => { console.log(t, 'nothing'); s.destroy() })
  s.on('error', e => console.log(t, e.code))
  s.on('data', d => { console.log(t, String(d)); s.destroy() })
  s.on('connect', () => { console.log(t, 'CONNECTED'); s.write('GET /version HTTP/1.0\r\nHost: x\r\n\r\n') })
}
dns.lookup('example.com', e => console.log('dns', e ? e.code : 'RESOLVED'))
X
node /tmp/c.js ` + strings.Join(targets, " ")
}

// attempts are made against what is planted on this machine.
func attempts(t *testing.T, neighbour, writable string) []attempt {
	t.Helper()
	home := t.TempDir()
	for name, text := range map[string]string{".ssh/id_ed25519": secret, "repo/.env": "RUNPOD_API_KEY=" + secret, "repo/benchmarks/x/gates/hidden.test.ts": "// " + secret} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A program of ours, with a key in its environment.
	keeper := exec.Command("sleep", "1000")
	keeper.Env = []string{"RUNPOD_API_KEY=" + secret}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keeper.Process.Kill(); keeper.Wait() })

	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret) }))
	service.Listener.Close()
	service.Listener = l
	service.Start()
	t.Cleanup(service.Close)
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	targets := []string{"127.0.0.1:" + port, "172.17.0.1:" + port, "host.docker.internal:" + port, "169.254.169.254:80"}
	if a := address(); a != "" {
		targets = append(targets, a+":"+port)
	}
	sockets := []string{"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock"}
	if path, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		sockets = append(sockets, path)
	}
	return []attempt{
		{"the home folder", "cat " + home + "/.ssh/id_ed25519; ls -la /root /home; cat /root/.ssh/* /home/*/.ssh/*", sees(secret)},
		{"the .env", "cat " + home + "/repo/.env; find /work /opt /srv /mnt -maxdepth 4 -name .env -exec cat {} +", sees(secret)},
		{"the hidden test", "cat " + home + "/repo/benchmarks/x/gates/*; find /work /opt -name 'hidden*' -not -path '*/node_modules/*'", sees(secret)},
		{"keys in environments", "env; cat /proc/*/environ 2>&1 | tr '\\0' '\\n'", sees(secret)},
		{"another agent's work", "cat " + neighbour + "/mine.txt; find /work -name mine.txt -exec cat {} +", sees("the neighbour's")},
		{"other addresses", connect(targets...), func(out string) bool {
			return strings.Contains(out, secret) || strings.Contains(out, "CONNECTED")
		}},
		{"the engine's socket", connect(sockets...), sees("CONNECTED")},
		{"the installed programs", "echo '#!/bin/sh' > " + writable + "/tsc && echo WRITTEN; touch /etc/x /usr/bin/x && echo WRITTEN", sees("WRITTEN")},
		{"rights", "grep -E '^(CapEff|NoNewPrivs|Uid)' /proc/self/status; mount -t tmpfs none /mnt && echo MOUNTED && umount /mnt; unshare -U true && echo UNSHARED; mknod /tmp/disk b 254 0 && echo NODE && rm /tmp/disk",
			func(out string) bool {
				return !strings.Contains(out, "CapEff:\t0000000000000000") || !strings.Contains(out, "NoNewPrivs:\t1") || strings.Contains(out, "Uid:\t0") ||
					strings.Contains(out, "MOUNTED") || strings.Contains(out, "NODE")
			}},
	}
}

// What an agent's Bash may try, and what comes of it: nothing in a container. The
// same attempts as a local process get what they want, so each would be seen.
func TestEscapes(t *testing.T) {
	t.Parallel()
	r := runner(t)
	neighbour, _ := open(t, r, "n2-agent0", fstest.MapFS{"mine.txt": {Data: []byte("the neighbour's")}})
	p, _ := open(t, r, "n2-agent1", nil)
	for _, a := range attempts(t, neighbour.View().Workspace, "/opt/dail/toolchain/node_modules/.bin") {
		out, exit := bash(t, p, a.script)
		t.Logf("%s (status %d):\n%s", a.name, exit.Code, out)
		if a.broke(out) {
			t.Errorf("%s: it got out", a.name)
		}
	}
	out, _ := bash(t, p, connect(strings.TrimPrefix(p.View().Gateway, "http://")))
	if !strings.Contains(out, "the gateway") {
		t.Errorf("the gateway cannot be reached:\n%s", out)
	}
	for _, p := range []agents.Place{p, neighbour} {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}

	local := agents.Local{Scratch: t.TempDir()}
	neighbour, _ = open(t, local, "n2-agent0", fstest.MapFS{"mine.txt": {Data: []byte("the neighbour's")}})
	p, _ = open(t, local, "n2-agent1", nil)
	for _, a := range attempts(t, neighbour.View().Workspace, t.TempDir()) {
		if a.name == "the engine's socket" && !strings.HasPrefix(os.Getenv("DOCKER_HOST"), "unix://") {
			if _, err := os.Stat("/var/run/docker.sock"); err != nil {
				continue // it is elsewhere, and there is nothing to plant
			}
		}
		if a.name == "the installed programs" || a.name == "rights" {
			// These would touch this machine's own: only what is planted is tried.
			a.script, _, _ = strings.Cut(a.script, "; ")
		}
		if out, _ := bash(t, p, a.script); !a.broke(out) {
			t.Errorf("control: %s: as a local process it would have worked, and was not seen:\n%s", a.name, out)
		}
	}
	for _, p := range []agents.Place{p, neighbour} {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// What an agent can use up is bounded; with wider bounds the same is possible.
func TestBounds(t *testing.T) {
	t.Parallel()
	narrow := container.Limits{Pids: 100, MemoryMB: 256, DiskMB: 32}
	for _, a := range []struct {
		attempt
		wide container.Limits
	}{
		// A child is a sleep some time after the fork, and 100 s are enough for all.
		{attempt{"a fork bomb", "for i in $(seq 300); do sleep 100 & done 2>/dev/null; for i in $(seq 500); do n=$(pgrep -c sleep); [ $n = 300 ] && break; done; echo alive=$n", sees("alive=300")}, container.Limits{}},
		{attempt{"memory", `node -e 'const a=[];for(let i=0;i<32;i++)a.push(Buffer.alloc(32<<20,1));console.log("ALLOCATED")'`, sees("ALLOCATED")}, container.Limits{}},
		{attempt{"the disk", "head -c 64M /dev/zero > big && echo FILLED; rm -f big", sees("FILLED")}, container.Limits{}},
		{attempt{"the temporary disk", "head -c 64M /dev/zero > /tmp/big && echo FILLED; rm -f /tmp/big", sees("FILLED")}, container.Limits{}},
		{attempt{"shared memory", "head -c 128M /dev/zero > /dev/shm/big && echo FILLED; rm -f /dev/shm/big", sees("FILLED")}, container.Limits{}},
	} {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			for limits, wide := range map[container.Limits]bool{narrow: false, a.wide: true} {
				if wide && a.name == "shared memory" {
					continue // the engine's own bound
				}
				r := runner(t)
				r.Limits = limits
				p, _ := open(t, r, "a", nil)
				out, exit := bash(t, p, a.script)
				t.Logf("%+v (status %d, %d left over):\n%s", limits, exit.Code, exit.Leftovers, out)
				if a.broke(out) != wide {
					t.Errorf("with %+v: %v, want %v", limits, a.broke(out), wide)
				}
				if out, _ := bash(t, p, "pgrep -c sleep; echo still here"); out != "0\nstill here\n" {
					t.Errorf("afterwards: %s", out)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// What a command leaves behind ends with it, also what became a daemon; the count
// is the control.
func TestNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	r := runner(t)
	p, _ := open(t, r, "a", nil)
	out, exit := bash(t, p, "sleep 963.1 & (setsid nohup sleep 963.2 >/dev/null 2>&1 &) ; setsid bash -c 'trap \"\" TERM; sleep 963.3; sleep 963.4' & echo started")
	if exit.Code != 0 || exit.Leftovers < 3 {
		t.Errorf("%+v\n%s", exit, out)
	}
	if out, _ := bash(t, p, "ps -eo args --no-headers | grep -v -e ps -e grep -e bash -e sort | sort"); out != "/opt/dail/inside 24h0m0s\n/proc/self/exe serve\n" {
		t.Errorf("still running:\n%s", out)
	}
	// What runs in there cannot look into the two that serve, where it could hold
	// their streams open; into its own it can.
	out, _ = bash(t, p, `s=$(pgrep -xf '/proc/self/exe serve'); for p in 1 $s; do (exec 3>/proc/$p/fd/0) && echo OPENED; head -c 1 /proc/$p/mem 2>&1 | grep -q denied || echo READ; done
sleep 100 < /dev/null & (exec 3>/proc/$!/fd/0) && echo control`)
	if strings.Contains(out, "OPENED") || strings.Contains(out, "READ") || !strings.Contains(out, "control\n") {
		t.Errorf("into the helper's files:\n%s", out)
	}
	// Whoever ends the helper has ended its own place, and nothing else.
	if _, err := p.Run(t.Context(), agents.Command{Argv: []string{"bash", "-c", "pkill -9 -f /proc/self/exe; sleep 100"}}); err == nil {
		t.Error("without its helper a place goes on")
	}
	p.Close(t.Context())
	nothingLeft(t, r.Run)
}
