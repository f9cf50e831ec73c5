package pod_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

// smoke is a composed run that is quick to serve.
func smoke(t *testing.T) *compose.Run {
	t.Helper()
	run, err := compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark:  "smoke", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// sshKey writes a private key and returns its path and its public line.
func sshKey(t *testing.T) (path, public string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}

// box is somebody's own machine with a GPU: one of podtest's, which was not made
// by what is tested. root is its folder for us.
func box(t *testing.T) (host *pod.SSHHost, root string) {
	t.Helper()
	srv, err := podtest.NewServer(podtest.Config{Run: smoke(t), Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	key, public := sshKey(t)
	cloud := &pod.RunPod{Key: pod.Secret(srv.Key), URL: srv.URL}
	m, err := cloud.Create(t.Context(), pod.Spec{
		Name: "a-box", Run: smoke(t), Offer: pod.Offer{GPU: "NVIDIA L40S", GPUs: 1},
		Marker: pod.Marker{Owner: "me", Deadline: time.Now().Add(time.Hour)}, PublicKey: public,
	})
	if err != nil {
		t.Fatal(err)
	}
	for m.SSH == nil {
		time.Sleep(10 * time.Millisecond) // a poll: the double needs a moment to start it
		if m, err = cloud.Get(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	host = &pod.SSHHost{Address: *m.SSH, KeyPath: key, State: t.TempDir()}
	for {
		if _, err := host.List(t.Context()); err == nil {
			return host, srv.Pods()[0].Root
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // its address is published before sshd listens
	}
}

func TestSSHHostServesAndIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	host, root := box(t)
	host.USDPerHour = 0.42
	p, err := pod.Up(t.Context(), host, smoke(t), pod.Options{KeyPath: host.KeyPath, State: host.State})
	if err != nil {
		t.Fatal(err)
	}
	lease := filepath.Join(root, ".dail", "lease")
	if text, err := os.ReadFile(lease); err != nil || !strings.Contains(string(text), "owner="+pod.Owner()) {
		t.Errorf("lease %q, %v", text, err)
	}
	if !p.Simulated || p.USDPerHour != 0.42 || p.PriceSource != "-usd-per-hour" || p.Provider != "ssh" {
		t.Errorf("pod = %+v", p)
	}

	// A second user is told who has it, and until when.
	_, err = pod.Up(t.Context(), host, smoke(t), pod.Options{KeyPath: host.KeyPath, State: host.State})
	if !errors.Is(err, pod.ErrNoCapacity) || !errors.As(err, new(*pod.Refusal)) || !strings.Contains(err.Error(), pod.Owner()) {
		t.Errorf("second user: %v", err)
	}

	server := *p.Endpoint
	if err := p.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(lease); !os.IsNotExist(err) {
		t.Errorf("the lease is still there: %v", err)
	}
	if _, err := http.Get(server.JoinPath("health").String()); err == nil {
		t.Error("the server still answers")
	}
	all, err := host.List(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("the machine: %v, %v; want it reachable and free", all, err)
	}
}

// A lease whose time is over binds nobody: its holder died, and so did the
// switch.
func TestExpiredLeaseIsTakenOver(t *testing.T) {
	host, _ := box(t)
	spec := func(owner string, until time.Duration) pod.Spec {
		return pod.Spec{Name: pod.NewName(time.Now()), Run: smoke(t), Marker: pod.Marker{Owner: owner, Run: "r", Deadline: time.Now().Add(until)}}
	}
	dead, err := host.Create(t.Context(), spec("dead@there", -time.Second))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := host.Create(t.Context(), spec("me@here", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Terminate(t.Context(), dead.ID); !errors.Is(err, pod.ErrNotFound) {
		t.Errorf("the old lease: %v; want it unknown, and the new one untouched", err)
	}
	if got, err := host.Get(t.Context(), mine.ID); err != nil || got.Marker.Owner != "me@here" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := host.Terminate(t.Context(), mine.ID); err != nil {
		t.Error(err)
	}
}

func TestHardwareFilesPriceWhereTheUserNamesNone(t *testing.T) {
	offers, err := (&pod.SSHHost{}).Offers(t.Context(), smoke(t))
	if err != nil || offers[0].USDPerHour != 0.99 || !strings.Contains(offers[0].PriceSource, "configs/hardware/l40s.yaml") {
		t.Errorf("%+v, %v", offers, err)
	}
}
