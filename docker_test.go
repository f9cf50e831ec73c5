package dail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/x/dail"
	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/pod"
	"github.com/x/dail/report"
)

// needEngine skips where no container engine answers, but not where one was
// promised.
func needEngine(t *testing.T) {
	t.Helper()
	if err := (container.Engine{}).Check(t.Context()); err != nil {
		if os.Getenv("DAIL_REAL") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIP: needs a Docker engine, which make test-real installs and starts: %v", err)
	}
}

// contained is a plan whose agents work in containers of this engine.
func contained(t *testing.T, engine container.Engine, cfg dail.Config) (*dail.Plan, *container.Runner) {
	t.Helper()
	cfg.Results, cfg.Hardware, cfg.Runner = t.TempDir(), "b200", "docker"
	plan, err := cfg.Plan()
	if err != nil {
		t.Fatal(err)
	}
	r := plan.Runner.(*container.Runner)
	r.Engine, r.Owner = engine, dockerOwner
	var progress bytes.Buffer
	if err := r.Provision(t.Context(), &progress); err != nil {
		if os.Getenv("DAIL_REAL") != "" {
			t.Fatalf("%v\n%s", err, progress.String())
		}
		t.Skipf("SKIP: needs the agents' image: %v", err)
	}
	return plan, r
}

// dockerOwner is this run of the tests: another one may use the same engine.
var dockerOwner = fmt.Sprintf("docker-test-%d", os.Getpid())

func noContainers(t *testing.T, engine container.Engine) {
	t.Helper()
	left, err := container.Reap(t.Context(), engine, container.ReapOptions{Owner: dockerOwner, DryRun: true})
	if err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// The pre-flight with the real Claude Code in a container.
func TestSmokeInAContainer(t *testing.T) {
	needEngine(t)
	plan, r := contained(t, container.Engine{}, dail.Config{Benchmark: "smoke"})
	rep, err := dail.Run(t.Context(), plan)
	if err != nil || dail.ExitStatus(rep, err) != 0 {
		text, _ := json.MarshalIndent(rep, "", " ")
		t.Fatalf("%v\n%s", err, text)
	}
	if rep.Runner != "docker" || rep.AgentVersion != "2.1.330" || rep.ByDevs[0].AgentsOK != 1 {
		t.Errorf("runner %q, version %q, %d agents ok", rep.Runner, rep.AgentVersion, rep.ByDevs[0].AgentsOK)
	}
	noContainers(t, r.Engine)
}

// An auto runner takes the containers for a real model, and leaves a simulated one
// to this machine's processes; without an engine it refuses, and says why.
func TestAutoRunner(t *testing.T) {
	plan := func(command string, real bool) *dail.Plan {
		t.Helper()
		p, err := dail.Config{Benchmark: "smoke", Results: t.TempDir()}.Plan()
		if err != nil {
			t.Fatal(err)
		}
		p.Container.Engine.Command = command
		p.Container.Image = "none"
		p.Provider = claims{p.Provider, real}
		return p
	}
	_, err := dail.Run(t.Context(), plan("no-such-docker", true))
	if dail.ExitStatus(nil, err) != 2 || !strings.Contains(err.Error(), "no-such-docker is not on the PATH") || !strings.Contains(err.Error(), "-allow-host-exec") {
		t.Errorf("a real model without an engine: %v", err)
	}
	answers := filepath.Join(t.TempDir(), "docker")
	if err := os.WriteFile(answers, []byte("#!/bin/sh\n[ \"$1\" = ps ] || { echo \"it was asked to $1\" >&2; exit 1; }\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := plan(answers, true)
	rep, err := dail.Run(t.Context(), p)
	if rep == nil || rep.Runner != "docker" || rep.ByDevs[0].AgentsOK != 0 || !strings.Contains(rep.ByDevs[0].Agents[0].Unfinished, "it was asked to run") {
		t.Errorf("a real model with an engine: %v", err)
	}
	p = plan(answers, true)
	p.Claude = "/bin/true"
	if _, err := dail.Run(t.Context(), p); dail.ExitStatus(nil, err) != 2 || !strings.Contains(err.Error(), "-claude /bin/true is a program of this machine") {
		t.Errorf("an agent program of this machine: %v", err)
	}
}

// claims is a provider that says whether its model is real.
type claims struct {
	pod.Provider
	real bool
}

func (c claims) About() pod.About {
	a := c.Provider.About()
	a.RealModel = c.real
	return a
}

// The whole of dev-load in containers, through the program: four agents, and
// nothing left behind.
func TestRealDevLoadInContainers(t *testing.T) {
	needEngine(t)
	contained(t, container.Engine{}, dail.Config{}) // the image, or why it cannot be had
	t.Setenv("DAIL_OWNER", dockerOwner)
	rep, dir := devLoad(t, "-devs", "4", "-runner", "docker")
	if rep.Runner != "docker" {
		t.Errorf("runner %q", rep.Runner)
	}
	for i := range 4 {
		if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("artifacts/n4/agent%d/workspace/src", i))); err != nil {
			t.Errorf("the work did not come home: %v", err)
		}
	}
	noContainers(t, container.Engine{})
}

// daemon starts a second Docker daemon, which shares no folder with this program
// but the socket by which it is reached, and gives it the agents' image.
func daemon(t *testing.T, image string) (container.Engine, *os.Process) {
	t.Helper()
	_, err := exec.LookPath("dockerd")
	_, alone := exec.LookPath("unshare")
	if err != nil || alone != nil || os.Getuid() != 0 {
		t.Skip("SKIP: needs dockerd, unshare and root for a daemon of its own")
	}
	dir := t.TempDir()
	host := "unix://" + filepath.Join(dir, "d.sock")
	var log bytes.Buffer
	// In a network of its own: a daemon without a bridge removes docker0, which is
	// another daemon's.
	cmd := exec.Command("unshare", "--net", "dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"--host", host, "--bridge", "none", "--iptables=false", "--ip6tables=false")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
		exec.Command("umount", "--recursive", "--lazy", dir).Run()
	})
	engine := container.Engine{Host: host}
	for deadline := time.Now().Add(time.Minute); engine.Check(t.Context()) != nil; time.Sleep(200 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("dockerd ended:\n%s", log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("dockerd does not answer:\n%s", log.String())
		}
	}
	save := exec.Command("docker", "save", image)
	load := exec.Command("docker", "--host", host, "load", "--quiet")
	pipe, err := save.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	load.Stdin = pipe
	if err := save.Start(); err != nil {
		t.Fatal(err)
	}
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker load: %v\n%s", err, out)
	}
	if err := save.Wait(); err != nil {
		t.Fatal(err)
	}
	return engine, cmd.Process
}

// The same level on another machine's engine has the same results.
func TestRealRemoteEngine(t *testing.T) {
	needEngine(t)
	nearPlan, here := contained(t, container.Engine{}, dail.Config{Devs: "2"})
	engine, _ := daemon(t, here.Image)
	farPlan, there := contained(t, engine, dail.Config{Devs: "2"})
	var near, far *report.Report
	var both errgroup.Group
	both.Go(func() (err error) { near, err = dail.Run(t.Context(), nearPlan); return err })
	both.Go(func() (err error) { far, err = dail.Run(t.Context(), farPlan); return err })
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	if here.Image != there.Image {
		t.Errorf("images %s and %s", here.Image, there.Image)
	}
	// What the agents did; how long it took is the machine's.
	results := func(rep *report.Report) string {
		type done struct {
			Agent, Turns, Output int
			OK                   bool
			Gates                string
		}
		var all []done
		l := rep.ByDevs[0]
		for _, a := range l.Agents {
			d := done{Agent: a.Agent, OK: a.OK, Output: int(a.Tokens.Completion)}
			for _, p := range a.Phases {
				d.Turns += p.Turns
			}
			for _, g := range a.Gates {
				d.Gates += fmt.Sprint(g.ID, g.Passed, " ")
			}
			all = append(all, d)
		}
		return fmt.Sprintf("valid %v holds %v %d ok %+v", *l.Valid, l.HoldsSLO, l.AgentsOK, all)
	}
	if a, b := results(near), results(far); a != b || !strings.Contains(a, "valid true holds true 2 ok") {
		t.Errorf("on this machine's engine %s\non the other              %s", a, b)
	}
	noContainers(t, engine)
}

// two sends half of the agents to another engine, and tells of each that is there.
type two struct {
	*container.Runner
	other *container.Runner
	there func()
}

func (d two) Open(ctx context.Context, spec agents.PlaceSpec) (agents.Place, error) {
	if strings.HasSuffix(spec.Name, "0") || strings.HasSuffix(spec.Name, "1") {
		return d.Runner.Open(ctx, spec)
	}
	p, err := d.other.Open(ctx, spec)
	return &tells{Place: p, there: d.there}, err
}

func (d two) Provision(ctx context.Context, w io.Writer) error { return d.Runner.Provision(ctx, w) }

// tells says when the first command's output comes.
type tells struct {
	agents.Place
	there func()
	once  sync.Once
}

func (p *tells) Run(ctx context.Context, cmd agents.Command) (agents.Exit, error) {
	cmd.Stdout = &first{w: cmd.Stdout, then: func() { p.once.Do(p.there) }}
	return p.Place.Run(ctx, cmd)
}

type first struct {
	w    io.Writer
	then func()
}

func (f *first) Write(b []byte) (int, error) { f.then(); return f.w.Write(b) }

// A daemon that stops in the middle of a level fails its agents and no other; the
// report says so, and the pod is given back.
func TestRealEngineStopsMidLevel(t *testing.T) {
	needEngine(t)
	plan, here := contained(t, container.Engine{}, dail.Config{Devs: "4"})
	engine, process := daemon(t, here.Image)
	other := *here
	other.Engine = engine
	var up atomic.Int32
	plan.Runner = two{Runner: here, other: &other, there: func() {
		if up.Add(1) == 2 {
			process.Signal(syscall.SIGTERM)
		}
	}}
	given := &counted{Provider: plan.Provider}
	plan.Provider = given
	rep, err := dail.Run(t.Context(), plan)
	if rep == nil {
		t.Fatal(err)
	}
	l := rep.ByDevs[0]
	for i, a := range l.Agents {
		lost := i >= 2
		if why := a.Reason + a.Unfinished; a.OK == lost || lost && !strings.Contains(why, "the place is gone") {
			t.Errorf("agent %d: ok %v, %q", i, a.OK, why)
		}
	}
	if l.AgentsOK != 2 || l.Valid == nil {
		t.Errorf("%d agents ok, valid %v", l.AgentsOK, l.Valid)
	}
	if n := given.ended.Load(); n == 0 {
		t.Error("the pod was not given back")
	}
	t.Logf("agent 3: %s; %s", l.Agents[3].Reason, l.Agents[3].Unfinished)
}

// counted counts what is given back.
type counted struct {
	pod.Provider
	ended atomic.Int32
}

func (c *counted) Terminate(ctx context.Context, id string) error {
	c.ended.Add(1)
	return c.Provider.Terminate(ctx, id)
}
