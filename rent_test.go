package dail_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail"
	"github.com/x/dail/pod/podtest"
	"github.com/x/dail/report"
)

// landlord is a RunPod double that serves what plan composes to.
func landlord(t *testing.T, cfg dail.Config, change func(*podtest.Config)) *podtest.Server {
	t.Helper()
	plan, err := cfg.Plan()
	if err != nil {
		t.Fatal(err)
	}
	c := podtest.Config{Run: plan.Run, Root: t.TempDir()}
	if change != nil {
		change(&c)
	}
	srv, err := podtest.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Close()
		if v := srv.Violations(); len(v) > 0 {
			t.Errorf("the cloud's contract was broken: %q", v)
		}
	})
	return srv
}

// sshKey writes a private key.
func sshKey(t *testing.T, passphrase string) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tenant is one execution of an example against a landlord.
type tenant struct {
	results, state string
	env            []string
	stdout, stderr bytes.Buffer
}

func newTenant(t *testing.T, env ...string) *tenant {
	dir := t.TempDir()
	tn := &tenant{results: filepath.Join(dir, "results"), state: filepath.Join(dir, "state")}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"RUNPOD_API_KEY", "SSH_KEY_PATH", "HF_TOKEN", "DAIL_STATE"}, name) {
			tn.env = append(tn.env, kv)
		}
	}
	tn.env = append(append(tn.env, "DAIL_STATE="+tn.state), env...)
	return tn
}

// run executes the program and returns its exit status.
func (tn *tenant) run(ctx context.Context, t *testing.T, bin string, args ...string) int {
	t.Helper()
	cmd := exec.CommandContext(ctx, bin, append([]string{"-results", tn.results}, args...)...)
	cmd.Dir = filepath.Dir(tn.state) // no .env of ours is near
	cmd.Env, cmd.Stdout, cmd.Stderr = tn.env, &tn.stdout, &tn.stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// seeker looks for secrets where they must not be.
type seeker struct{ secrets []string }

func (s seeker) in(where, text string) (found []string) {
	for _, secret := range s.secrets {
		if strings.Contains(text, secret) {
			found = append(found, where)
		}
	}
	return found
}

// files looks into every file under a folder.
func (s seeker) files(t *testing.T, dir string) (found []string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		found = append(found, s.in(path, string(text))...)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	return found
}

// commands looks into the argument list of every process, again and again,
// until ctx ends.
func (s seeker) commands(ctx context.Context) (found []string) {
	for ctx.Err() == nil {
		lists, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lists {
			text, _ := os.ReadFile(path) // it may have ended meanwhile
			found = append(found, s.in(path+": "+string(text), string(text))...)
		}
		if len(found) > 0 {
			return found
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return found
}

// A rented pod, all the way: the contract of RunPod, a real SSH login, upload,
// a remote process, a tunnel, a real agent; the bill is the server's, and no
// secret is left anywhere.
func TestRunPodEndToEnd(t *testing.T) {
	needToolchain(t)
	rentSmoke(t, nil)
}

func rentSmoke(t *testing.T, change func(*podtest.Config)) {
	t.Helper()
	srv := landlord(t, dail.Config{Benchmark: "smoke"}, change)
	secrets := seeker{[]string{srv.Key, "hf_planted_in_the_environment", "a-password-of-the-users"}}
	tn := newTenant(t, "RUNPOD_API_KEY="+srv.Key, "HF_TOKEN=hf_planted_in_the_environment", "PGPASSWORD=a-password-of-the-users",
		"SSH_KEY_PATH="+sshKey(t, ""))
	watching, stop := context.WithCancel(t.Context())
	seen := make(chan []string, 1)
	go func() { seen <- secrets.commands(watching) }()

	code := tn.run(t.Context(), t, program(t, "smoke"), "-provider", "runpod", "-runpod-url", srv.URL, "-runner", "local", "-allow-host-exec")
	stop()
	found := <-seen
	if code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, tn.stdout.String(), tn.stderr.String())
	}
	rep, _ := oneReport(t, tn.results)
	if rep.Provider != "runpod" || rep.Source != report.Simulated || !strings.HasPrefix(rep.VLLMVersion, "dail-sim/") {
		t.Errorf("provider %q, source %q, version %q", rep.Provider, rep.Source, rep.VLLMVersion)
	}
	if l := rep.ByDevs[0]; l.Valid == nil || !*l.Valid || l.AgentsOK != 1 {
		t.Errorf("level = %+v", l)
	}
	bill := srv.Bill()
	if len(bill) != 1 || len(srv.Alive()) != 0 {
		t.Fatalf("bill %v, alive %v", bill, srv.Alive())
	}
	var billed float64
	for _, s := range rep.Timeline {
		billed += s.Seconds
	}
	// The report counts from the call that asks for the pod to the one that finds it
	// gone, so a little more, and on a busy machine some seconds.
	const most = 15
	if over := billed - bill[0].Seconds; over < -1 || over > most {
		t.Errorf("the report bills %.2f s, the server %.2f s", billed, bill[0].Seconds)
	}
	if rep.CostPerHour != bill[0].USDPerHour || math.Abs(*rep.PodCostUSD-billed*rep.CostPerHour/3600) > 1e-4 {
		t.Errorf("the report says $%.4f at $%.2f/h, the server $%.4f at $%.2f/h", *rep.PodCostUSD, rep.CostPerHour, bill[0].USD, bill[0].USDPerHour)
	}

	var ours []string
	for name := range srv.Pods()[0].Env {
		ours = append(ours, name)
	}
	slices.Sort(ours)
	if want := []string{"DAIL_MARKER", "HW_INSTANCE", "HW_PROVIDER", "PUBLIC_KEY"}; !slices.Equal(ours, want) {
		t.Errorf("the pod's environment holds %v, want %v", ours, want)
	}
	found = append(found, secrets.in("stdout", tn.stdout.String())...)
	found = append(found, secrets.in("stderr", tn.stderr.String())...)
	found = append(found, secrets.files(t, tn.results)...)
	found = append(found, secrets.files(t, tn.state)...)
	srv.Close()
	found = append(found, secrets.files(t, srv.Pods()[0].Root)...)
	if len(found) > 0 {
		t.Errorf("secrets were found in %q", found)
	}
}

// The search for secrets finds what is planted: a test that cannot fail is none.
func TestPlantedSecretsAreFound(t *testing.T) {
	s := seeker{[]string{"planted-secret-of-this-test"}}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "b", "log"), []byte("key=planted-secret-of-this-test\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if found := s.files(t, dir); len(found) != 1 {
		t.Errorf("in files: %q", found)
	}
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: argument lists are read from /proc: needs Linux")
	}
	cmd := exec.Command("sh", "-c", "read wait # planted-secret-of-this-test")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if found := s.commands(t.Context()); len(found) == 0 {
		t.Error("not found in an argument list")
	}
}

// Each refusal has words of its own, exits with 2, and nothing was created.
func TestRentalRefusals(t *testing.T) {
	good, locked := sshKey(t, ""), sshKey(t, "sesame")
	tests := []struct {
		name   string
		faults []podtest.Fault
		key    string // of the account; empty: the right one
		ssh    string
		args   []string
		want   []string
	}{
		{name: "price above the hourly ceiling", ssh: good, args: []string{"-max-usd-per-hour", "0.5"}, want: []string{"$0.99/h", "$0.50/h", "-max-usd-per-hour"}},
		{name: "price above the run's ceiling", ssh: good, args: []string{"-max-usd", "0.05"}, want: []string{"$0.99/h", "$0.05", "-max-usd"}},
		{name: "no capacity anywhere", ssh: good, faults: []podtest.Fault{podtest.NoCapacity}, want: []string{"no longer any instances available"}},
		{name: "a wrong key", ssh: good, key: "rpa_wrong", want: []string{"RUNPOD_API_KEY", "the key is not accepted"}},
		{name: "no key", ssh: good, key: "-", want: []string{"RUNPOD_API_KEY", ".env"}},
		{name: "no credit", ssh: good, faults: []podtest.Fault{podtest.NoCredit}, want: []string{"credit"}},
		{name: "no SSH key is named", want: []string{"SSH_KEY_PATH", "ssh-keygen"}},
		{name: "the SSH key is missing", ssh: "/nowhere/id", want: []string{"/nowhere/id", "ssh-keygen"}},
		{name: "the SSH key has a passphrase", ssh: locked, want: []string{"passphrase", "ssh-keygen"}},
		{name: "the wall in front of the API", ssh: good, faults: []podtest.Fault{podtest.Cloudflare}, want: []string{"1010"}},
		{name: "an old base URL", ssh: good, faults: []podtest.Fault{podtest.Gone}, want: []string{"no longer served", "https://api.runpod.io/v2"}},
		{name: "a body that is refused", ssh: good, faults: []podtest.Fault{podtest.Unprocessable}, want: []string{"additional properties"}},
		{name: "commands of a real model, unprotected", ssh: good, args: []string{"-allow-host-exec=false"}, want: []string{"-allow-host-exec"}},
		{name: "a price for a pod that has one", ssh: good, args: []string{"-usd-per-hour", "1"}, want: []string{"-usd-per-hour"}},
		{name: "a limit that is no number", ssh: good, args: []string{"MAX_RUN=soon"}, want: []string{"MAX_RUN", "soon"}},
	}
	bin := program(t, "dev-load")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := landlord(t, dail.Config{}, func(c *podtest.Config) { c.NoMachines = true })
			for _, f := range tt.faults {
				srv.Inject(f, -1)
			}
			key := tt.key
			switch key {
			case "":
				key = srv.Key
			case "-":
				key = ""
			}
			env := []string{"RUNPOD_API_KEY=" + key, "SSH_KEY_PATH=" + tt.ssh}
			args := []string{"-provider", "runpod", "-runpod-url", srv.URL, "-runner", "local", "-allow-host-exec"}
			for _, a := range tt.args {
				if strings.HasPrefix(a, "MAX_RUN") {
					env = append(env, a)
				} else {
					args = append(args, a)
				}
			}
			tn := newTenant(t, env...)
			code := tn.run(t.Context(), t, bin, args...)
			if code != 2 {
				t.Errorf("exit status %d, want 2", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(tn.stderr.String(), want) {
					t.Errorf("stderr does not say %q:\n%s", want, tn.stderr.String())
				}
			}
			if key != "" && strings.Contains(tn.stderr.String(), key) {
				t.Errorf("stderr shows the key:\n%s", tn.stderr.String())
			}
			if pods := srv.Pods(); len(pods) > 0 {
				t.Errorf("created: %v", pods)
			}
		})
	}
}

// The same through OpenSSH's own sshd, unprivileged, on a free port.
func TestRealSshd(t *testing.T) {
	if os.Getenv("DAIL_REAL") == "" {
		t.Skip("SKIP: needs OpenSSH's sshd; make test-real installs it")
	}
	needToolchain(t)
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			t.Fatalf("make test-real should have installed openssh-server: %v", err)
		}
	}
	rentSmoke(t, func(c *podtest.Config) { c.Sshd = sshd })
}
