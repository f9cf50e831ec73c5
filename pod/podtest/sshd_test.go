package podtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/pod/podtest"
)

// The same through OpenSSH's own sshd: what podtest's server does must be what
// sshd does.
func TestOpenSSH(t *testing.T) {
	t.Parallel()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd, err = exec.LookPath("/usr/sbin/sshd")
	}
	if err != nil {
		t.Skip("SKIP: needs OpenSSH's sshd; make test-real installs it")
	}
	if os.Geteuid() == 0 {
		if _, err := os.Stat("/run/sshd"); err != nil {
			t.Skip("SKIP: needs OpenSSH's sshd with its folder /run/sshd; make test-real makes it")
		}
	}
	srv, a := serve(t, podtest.Config{Sshd: sshd})
	p, c := a.shellPod("exec sleep 100000")
	if v := string(c.ServerVersion()); !strings.Contains(v, "OpenSSH") {
		t.Errorf("the server is %s", v)
	}
	if got := strings.TrimSpace(run(t, c, "echo $DAIL_ROOT$RUNPOD_POD_ID; vllm --version >/dev/null && pwd >/dev/null")); got != root(srv, p.ID) {
		t.Errorf("environment: %q", got)
	}
	s := session(t, c)
	s.Stdin = strings.NewReader("in")
	if out, err := s.CombinedOutput("cat; exit 7"); string(out) != "in" || status(err) != 7 {
		t.Errorf("%q %v", out, err)
	}
	if err := session(t, c).Setenv("HF_TOKEN", "x"); err == nil {
		t.Error("HF_TOKEN is accepted")
	}
	out, _ := start(t, c, vllmCommand([]string{"any/model"}))
	readUntil(t, out, "Application startup complete.")
	if got := fetch(t, through(t, c, number(t, run(t, c, "echo $DAIL_PORT"))), "/version", ""); !strings.Contains(got, "dail-sim/") {
		t.Error(got)
	}
	other, _ := userKey(t)
	if _, err := dial(a.get(p.ID), other, nil); err == nil {
		t.Error("another key logs in")
	}

	var before, after ssh.PublicKey
	signer, line := userKey(t)
	q := a.create(scripted("", line))
	a.login(q.ID, signer)
	if _, err := dial(a.get(q.ID), signer, &before); err != nil {
		t.Fatal(err)
	}
	srv.Inject(podtest.HostKeyChanges, 1)
	if _, err := dial(a.get(q.ID), signer, &after); err != nil || string(before.Marshal()) == string(after.Marshal()) {
		t.Errorf("the host key is the same, or %v", err)
	}
	if err := c.Wait(); err == nil {
		t.Error("the login was not ended")
	}
}
