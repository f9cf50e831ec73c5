package podtest_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/pod/podtest"
)

func TestGPUFaults(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	for _, tc := range []struct {
		fault  podtest.Fault
		gpus   int
		status int
		says   string
	}{
		{podtest.WrongGPU, 1, 0, "GPU 0: NVIDIA A40 (UUID: GPU-00000000-0000-4000-8000-000000000000)\n"},
		{podtest.WrongGPU.With("NVIDIA L4"), 1, 0, "GPU 0: NVIDIA L4 (UUID: GPU-00000000-0000-4000-8000-000000000000)\n"},
		{podtest.GPUFewer, 2, 0, "GPU 0: NVIDIA L40S (UUID: GPU-00000000-0000-4000-8000-000000000000)\n"},
		{podtest.GPUFewer, 1, 6, "No devices were found\n"},
		{podtest.GPULost, 1, 15, "Unable to determine the device handle for GPU0: 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU\n"},
	} {
		t.Run(fmt.Sprint(tc.fault, tc.gpus), func(t *testing.T) {
			a := a
			a.t = t
			srv.Inject(tc.fault, 1)
			signer, line := userKey(t)
			req := with(scripted("", line), "gpu", map[string]any{"id": "NVIDIA L40S", "count": tc.gpus})
			out, err := session(t, a.login(a.create(req).ID, signer)).Output("nvidia-smi -L")
			if status(err) != tc.status || string(out) != tc.says {
				t.Errorf("%v: %q", err, out)
			}
		})
	}
}

func TestSSHRefuses(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	srv.Inject(podtest.SSHRefuses, 1)
	signer, line := userKey(t)
	p := a.until(a.create(scripted("", line)).ID, hasSSH)
	for range 3 {
		if _, err := dial(p, signer, nil); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, want a refusal", err)
		}
	}
}

// A stale address is shown first; nobody listens there.
func TestSSHStaleAddress(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	srv.Inject(podtest.SSHStale, 1)
	signer, line := userKey(t)
	id := a.create(scripted("", line)).ID
	stale := a.until(id, hasSSH)
	if _, err := dial(stale, signer, nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the stale address: %v", err)
	}
	run(t, a.login(id, signer), "true")
	if p := a.get(id); p.SSH.Direct.Port == stale.SSH.Direct.Port {
		t.Error("the stale address was the real one")
	}
}

// What happens at once, to a machine that runs: each ends the present login,
// and leaves the machine so that one can log in again.
func TestSSHFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []podtest.Fault{podtest.SSHDrops, podtest.SSHMoves, podtest.HostKeyChanges} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			srv, a := serve(t, podtest.Config{})
			signer, line := userKey(t)
			id := a.create(scripted("", line)).ID
			c := a.login(id, signer)
			pid := number(t, run(t, c, "sleep 100000 >/dev/null 2>&1 </dev/null & echo $!"))
			before := a.get(id)
			var key, after ssh.PublicKey
			second, err := dial(before, signer, &key)
			if err != nil {
				t.Fatal(err)
			}
			defer second.Close()

			srv.Inject(fault, 1)
			for _, c := range []*ssh.Client{c, second} {
				if err := c.Wait(); err == nil {
					t.Error("a login ended without an error")
				}
			}
			now := a.get(id)
			third, err := dial(now, signer, &after)
			if err != nil {
				t.Fatal(err)
			}
			defer third.Close()
			if moved := now.SSH.Direct.Port != before.SSH.Direct.Port; moved != (fault == podtest.SSHMoves) {
				t.Errorf("port %d, before %d", now.SSH.Direct.Port, before.SSH.Direct.Port)
			}
			if other := string(key.Marshal()) != string(after.Marshal()); other != (fault == podtest.HostKeyChanges) {
				t.Errorf("another host key: %v", other)
			}
			// Another program may have got the old port by now.
			if old, err := dial(before, signer, nil); err == nil {
				old.Close()
				if fault == podtest.SSHMoves {
					t.Error("the old port still leads to the machine")
				}
			}
			run(t, third, fmt.Sprintf("kill -0 %d", pid)) // nothing on the machine has heard of it
		})
	}
}

// A frozen connection stays open and says nothing; a new one works.
func TestSSHFreezes(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	p, c := a.shellPod("")
	out, _ := start(t, c, "while :; do echo tick; sleep 0.01; done")
	readUntil(t, out, "tick")
	srv.Inject(podtest.SSHFreezes, 1)
	silent := make(chan error, 1)
	go func() {
		_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		silent <- err
	}()
	select {
	case err := <-silent:
		t.Errorf("a frozen connection answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
	<-silent // with the machine, the connection ends
}

// A fault of a machine that is injected while none runs waits for one.
func TestFaultWaitsForAMachine(t *testing.T) {
	t.Parallel()
	clk := newManual()
	srv, a := serve(t, podtest.Config{Clock: clk, Boot: 4 * time.Second})
	srv.Inject(podtest.HostDies, 1)
	p := a.create(scripted("echo $$ >pid; exec sleep 100000", ""))
	for range 3 {
		clk.sleepers(t, 1)
		clk.Advance(time.Second)
	}
	pid := pidIn(t, filepath.Join(root(srv, p.ID), "pid"))
	clk.sleepers(t, 1)
	if !alive(pid) {
		t.Error("it happened before the machine could be reached")
	}
	clk.Advance(time.Second)
	eventually(t, "the host dies", func() bool { return !alive(pid) })
	if got := a.get(p.ID); got.Status != "RUNNING" || len(srv.Alive()) != 1 {
		t.Errorf("the API must not know: %+v", got)
	}
	a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
}

func TestHostDies(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	_, c := a.shellPod("exec sleep 100000")
	pid := number(t, run(t, c, "sleep 100000 >/dev/null 2>&1 </dev/null & echo $!"))
	srv.Inject(podtest.HostDies, 1)
	if alive(pid) {
		t.Error("a process outlived its host")
	}
	if err := c.Wait(); err == nil || errors.Is(err, io.EOF) && len(srv.Alive()) != 1 {
		t.Errorf("%v, alive %v", err, srv.Alive())
	}
}

func TestPID1Loops(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	srv.Inject(podtest.PID1Loops.With("2"), 1)
	signer, line := userKey(t)
	p := a.create(scripted("echo x >>boots; exec sleep 100000", line))
	eventually(t, "a third start that lasts", func() bool {
		log := strings.Join(a.logs(t.Context(), p.ID, 1), "\n")
		_, err := os.Stat(filepath.Join(root(srv, p.ID), "boots"))
		return err == nil && strings.Count(log, "PID 1 ended with signal killed") == 2
	})
	a.login(p.ID, signer)
}
