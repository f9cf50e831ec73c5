package podtest_test

import (
	"fmt"
	"net"
	"strings"
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
		p := a.until(id, hasSSH)
		client, err := dial(p, signer)
		if err == nil {
			a.t.Cleanup(func() { client.Close() })
			return client
		}
		last = err
	}
	a.t.Fatalf("no login on %s: %v", id, last)
	return nil
}

func dial(p podJSON, signer ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", net.JoinHostPort(p.SSH.Direct.Host, fmt.Sprint(p.SSH.Direct.Port)), &ssh.ClientConfig{
		User: p.SSH.Direct.Username, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
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

func TestLogin(t *testing.T) {
	_, a := serve(t, podtest.Config{})
	signer, line := userKey(t)
	p := a.create(with(request("dail-1-a"), "env", map[string]string{"PUBLIC_KEY": line}))
	c := a.login(p.ID, signer)
	if got := run(t, c, "echo $DAIL_ROOT; nvidia-smi -L; vllm --version; which vllm"); !strings.Contains(got, "L40S") {
		t.Error(got)
	}
	a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
}
