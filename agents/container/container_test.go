package container_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/gates"
	"github.com/x/dail/infra/toolchain"
)

// owner is this run of the tests: another one may use the same engine.
var owner = fmt.Sprintf("container-test-%d", os.Getpid())

// leaveVar makes this binary a program that is killed with a container open.
const leaveVar = "DAIL_TEST_LEAVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(leaveVar); dir != "" {
		r := &container.Runner{Image: os.Getenv("DAIL_TEST_IMAGE"), Owner: os.Getenv("DAIL_TEST_OWNER"), Run: os.Getenv("DAIL_TEST_RUN")}
		p, err := r.Open(context.Background(), agents.PlaceSpec{Name: "a", Workspace: dir, Gateway: "http://127.0.0.1:1"})
		if script := os.Getenv("DAIL_TEST_SCRIPT"); err == nil && script != "" {
			r := agents.Command{Argv: []string{"bash", "-c", script}, Stdout: os.Stdout, Stderr: os.Stderr}
			p.Run(context.Background(), r)
			fmt.Println("the place is gone")
		} else {
			fmt.Println("open:", err)
		}
		select {}
	}
	os.Exit(m.Run())
}

var image = sync.OnceValues(func() (string, error) {
	return container.Image{Toolchain: toolchain.FS(), Base: os.Getenv("DAIL_BASE_IMAGE")}.
		Ensure(context.Background(), container.Engine{}, os.Stderr)
})

// runner is a runner on this machine's engine. Where there is none the test is
// skipped, but not where one was promised.
func runner(t *testing.T) *container.Runner {
	t.Helper()
	miss := t.Skipf
	if os.Getenv("DAIL_REAL") != "" {
		miss = t.Fatalf
	}
	if err := (container.Engine{}).Check(t.Context()); err != nil {
		miss("SKIP: needs a Docker engine, which make test-real installs and starts: %v", err)
	}
	tag, err := image()
	if err != nil {
		miss("SKIP: needs the agents' image: %v", err)
	}
	return &container.Runner{Image: tag, Owner: owner, Run: t.Name(), Grace: time.Second}
}

// open opens a place whose gateway answers "the gateway".
func open(t *testing.T, r agents.Runner, name string, seed fstest.MapFS) (agents.Place, string) {
	t.Helper()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the gateway") }))
	t.Cleanup(gateway.Close)
	dir := filepath.Join(t.TempDir(), "workspace")
	spec := agents.PlaceSpec{Name: name, Workspace: dir, Gateway: gateway.URL}
	if seed != nil {
		spec.Seed = seed
	}
	p, err := r.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

// bash runs a script as the agent's Bash would, and returns all that it printed.
func bash(t *testing.T, p agents.Place, script string) (string, agents.Exit) {
	t.Helper()
	var out bytes.Buffer
	exit, err := p.Run(t.Context(), agents.Command{Argv: []string{"bash", "-c", script}, Stdout: &out, Stderr: &out,
		Secret: map[string]string{"TOKEN": "token-of-this-agent"}})
	if err != nil {
		t.Fatalf("%q: %v\n%s", script, err, out.String())
	}
	return out.String(), exit
}

func TestAPlace(t *testing.T) {
	t.Parallel()
	r := runner(t)
	p, dir := open(t, r, "n4-agent2", fstest.MapFS{"seed.txt": {Data: []byte("seed")}})
	if v := p.View(); v.Workspace != "/work/n4-agent2/workspace" {
		t.Errorf("%+v: agents that share a folder's name share more of their prompts than developers do", v)
	}
	for _, tc := range []struct {
		name, script, want string
		exit               agents.Exit
	}{
		{"what is where", `pwd; cat seed.txt; echo " $HOME $TOKEN"; id -u; ls node_modules/.bin | grep -c vitest`,
			"/work/n4-agent2/workspace\nseed /work/n4-agent2/home token-of-this-agent\n10001\n1\n", agents.Exit{}},
		{"the programs", `claude --version; tsc --version; git --version | cut -d' ' -f1; npx --offline tsc --version`,
			"2.1.330 (Claude Code)\nVersion 7.0.2\ngit\nVersion 7.0.2\n", agents.Exit{}},
		{"a status", "exit 7", "", agents.Exit{Code: 7}},
		{"a signal", "kill -SEGV $$", "", agents.Exit{Code: -1, Signal: "SIGSEGV"}},
		{"work", "mkdir -p src && echo 'export {}' > src/a.ts && ln -s a.ts src/b.ts && ln -s /etc/passwd out", "", agents.Exit{}},
	} {
		if out, exit := bash(t, p, tc.script); out != tc.want || exit != tc.exit {
			t.Errorf("%s: %+v\n%s", tc.name, exit, out)
		}
	}
	inspect, err := exec.Command("docker", "ps", "-aq", "--filter", "label=dail.run="+r.Run).Output()
	if err != nil || len(strings.Fields(string(inspect))) != 1 {
		t.Fatalf("%q, %v", inspect, err)
	}
	told, err := exec.Command("docker", "inspect", strings.TrimSpace(string(inspect))).Output()
	if err != nil || strings.Contains(string(told), "token-of-this-agent") {
		t.Errorf("the engine knows the agent's token (%v)", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"seed.txt": "seed", "src/a.ts": "export {}\n", "src/b.ts": "export {}\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s came home as %q, %v", name, got, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "out")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link that leads out came home: %v", err)
	}
	nothingLeft(t, r.Run)
}

// nothingLeft checks that the engine has no container of this run.
func nothingLeft(t *testing.T, run string) {
	t.Helper()
	found, err := container.Reap(t.Context(), container.Engine{}, container.ReapOptions{Owner: owner, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Run == run {
			t.Errorf("left: %+v", f)
		}
	}
}

func TestACommandIsStopped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		trap  string
		grace time.Duration // never waited out by one that obeys
		want  agents.Exit
	}{
		"it obeys":   {"exit 3", time.Minute, agents.Exit{Code: 3, Stopped: true}},
		"it is deaf": {"", time.Second, agents.Exit{Code: -1, Signal: "SIGKILL", Stopped: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runner(t)
			r.Grace = tc.grace
			script := "trap '" + tc.trap + "' TERM; echo up; while :; do sleep 0.05; done"
			p, _ := open(t, r, "a", nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			exit, err := p.Run(ctx, agents.Command{Argv: []string{"bash", "-c", script}, Stdout: writer(func([]byte) { cancel() })})
			exit.Leftovers = 0 // a sleep, or none
			if err != nil || exit != tc.want {
				t.Errorf("%+v, %v; want %+v", exit, err, tc.want)
			}
			if exit, err := p.Run(canceled(t), agents.Command{Argv: []string{"true"}}); err == nil || !exit.Stopped {
				t.Errorf("a ctx that is done: %+v, %v", exit, err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			nothingLeft(t, r.Run)
		})
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A container that dies under its agent is that agent's failure, and says so.
func TestAContainerDies(t *testing.T) {
	t.Parallel()
	r := runner(t)
	p, _ := open(t, r, "a", nil)
	_, err := p.Run(t.Context(), agents.Command{Argv: []string{"bash", "-c", "echo up; sleep 1000"}, Stdout: writer(func([]byte) {
		id, _ := exec.Command("docker", "ps", "-q", "--filter", "label=dail.run="+r.Run).Output()
		exec.Command("docker", "kill", strings.TrimSpace(string(id))).Run()
	})})
	if err == nil || !strings.Contains(err.Error(), "the place is gone") {
		t.Errorf("its container was killed, and the command said %v", err)
	}
	if err := p.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "could not all be fetched") {
		t.Errorf("its work is lost, and nobody said so: %v", err)
	}
	nothingLeft(t, r.Run)
}

// Reap removes what carries our labels, and nothing else.
func TestReap(t *testing.T) {
	t.Parallel()
	r := runner(t)
	plant := func(args ...string) string {
		t.Helper()
		// It waits for its stdin, which stays open.
		out, err := exec.Command("docker", append(append([]string{"run", "-dit", "--network", "none"}, args...), "--entrypoint", "sleep", r.Image, "1000")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		id := strings.TrimSpace(string(out))
		t.Cleanup(func() { exec.Command("docker", "rm", "-f", id).Run() })
		return id
	}
	me := owner + "-reap"
	mine := plant("--label", "dail.run=old", "--label", "dail.owner="+me)
	other := plant("--label", "dail.run=old", "--label", "dail.owner=someone")
	foreign := plant("--label", "app=shop")
	options := container.ReapOptions{Owner: me, DryRun: true}
	for _, tc := range []struct {
		name string
		set  func()
		want bool // mine is gone afterwards
	}{
		{"a dry run", func() {}, false},
		{"too young", func() { options.DryRun, options.Age = false, time.Hour }, false},
		{"for good", func() { options.Age = 0 }, true},
	} {
		tc.set()
		found, err := container.Reap(t.Context(), container.Engine{}, options)
		if err != nil || len(found) != 1 || found[0].ID != mine || found[0].Removed != tc.want || found[0].Run != "old" || time.Since(found[0].Created) > time.Hour {
			t.Errorf("%s: %+v, %v", tc.name, found, err)
		}
	}
	for id, want := range map[string]bool{mine: false, other: true, foreign: true} {
		if err := exec.Command("docker", "inspect", id).Run(); (err == nil) != want {
			t.Errorf("container %s is there: %v, want %v", id, err == nil, want)
		}
	}
}

// Gates see the copy, the hidden files and each other's work, and have no network.
func TestGates(t *testing.T) {
	t.Parallel()
	r := runner(t)
	r.Network = true // is for agents only
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "work.txt"), []byte("work"), 0o644); err != nil {
		t.Fatal(err)
	}
	list := []gates.Gate{
		{ID: "sees", Cmd: "cat work.txt hidden/test.txt && touch built && ls node_modules/.bin/tsc"},
		{ID: "goes on", Cmd: "test -e built"},
		{ID: "fails", Cmd: "echo because; exit 3"},
		{ID: "alone", Cmd: `test "$(ls /sys/class/net)" = lo`},
		{ID: "ends", Cmd: "trap '' TERM; sleep 1000", Timeout: time.Second},
		{ID: "nothing is left", Cmd: "! pgrep sleep"},
		{ID: "no program", Cmd: "no-such-program"},
	}
	v, err := gates.Score(t.Context(), gates.Place{Execer: r, Workspace: dir, Files: fstest.MapFS{"hidden/test.txt": {Data: []byte("hidden")}}, NodeModules: "/nowhere"}, list)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range v.Results {
		got = append(got, fmt.Sprintf("%s %v %d %v %v", r.ID, r.Passed, r.ExitCode, r.TimedOut, r.EnvError != ""))
	}
	want := []string{
		"sees true 0 false false", "goes on true 0 false false", "fails false 3 false false", "alone true 0 false false",
		"ends false -1 true false", "nothing is left true 0 false false", "no program false 127 false true",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q\n%+v", got, want, v)
	}
	if out := v.Results[2].Output; out != "because\n" {
		t.Errorf("output %q", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "built")); err == nil {
		t.Error("the gates wrote into the workspace that they judge")
	}
	// A test that ends its own container fails, and so do those after it.
	v, err = gates.Score(t.Context(), gates.Place{Execer: r, Workspace: dir}, []gates.Gate{{ID: "kills", Cmd: "kill -9 -1; sleep 100"}, {ID: "after", Cmd: "true"}})
	if err != nil || v.EnvError() != "" || v.Results[0].ExitCode != 137 || v.Results[1].ExitCode != 137 || !strings.Contains(v.Results[0].Output, "died") {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := gates.Score(t.Context(), gates.Place{Execer: &container.Runner{Image: "no-such-image:none"}, Workspace: dir}, list[:1]); err != nil || v.EnvError() == "" {
		t.Errorf("without an image: %+v, %v", v, err)
	}
	var out bytes.Buffer
	if code, err := r.Exec(t.Context(), dir, []string{"cat", "work.txt"}, nil, &out); code != 0 || err != nil || out.String() != "work" {
		t.Errorf("one command: %d, %v, %q", code, err, out.String())
	}
	nothingLeft(t, r.Run)
}

// address is one of this machine's that is not its loopback's; empty: none.
func address() string {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return ""
}
