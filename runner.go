package dail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/compose"
	"github.com/x/dail/gates"
	"github.com/x/dail/infra/toolchain"
	"github.com/x/dail/pod"
)

// The runners, as the flag names them.
const (
	runnerAuto   = "auto"
	runnerLocal  = "local"
	runnerDocker = "docker"
)

// Runner is where agents work, and where gates are run.
type Runner interface {
	agents.Runner
	gates.Execer
}

// Provisioner is a Runner that brings the agents' and the gates' programs itself.
// Provision makes sure of them before anything is paid for.
type Provisioner interface {
	Runner
	Provision(ctx context.Context, progress io.Writer) error
}

// Containers is the runner that keeps what a model wrote in containers, for a
// benchmark that was composed; nil is one without a Dockerfile of its own.
// DAIL_BASE_IMAGE names another base for its image.
func Containers(env Env, run *compose.Run) (*container.Runner, error) {
	r := &container.Runner{
		Source: container.Image{Toolchain: toolchain.FS(), Base: env.Get("DAIL_BASE_IMAGE")},
		Owner:  pod.Owner(),
		Run:    time.Now().Format("20060102-150405"),
	}
	if run == nil {
		return r, nil
	}
	r.Network = run.Benchmark.Agent.Network
	overlay, err := fs.ReadFile(run.Benchmark.Dir, "Dockerfile")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the Dockerfile of benchmark %s: %w", run.Benchmark.Name, err)
	}
	r.Source.Overlay, r.Source.Benchmark = overlay, run.Benchmark.Name
	return r, nil
}

// runner fills in where the flags want agents to work.
func (c Config) runner(p *Plan, env Env) error {
	if c.Runner == runnerLocal {
		return nil
	}
	if c.Runner != runnerAuto && c.Runner != runnerDocker {
		return fmt.Errorf("-runner %q: want auto, local or docker", c.Runner)
	}
	if p.Run == nil {
		return nil // told already
	}
	r, err := Containers(env, p.Run)
	if err != nil {
		return err
	}
	if c.Runner == runnerAuto {
		p.Container = r
		return nil
	}
	p.Runner, p.RunnerName = r, runnerDocker
	return nil
}

// contain takes the containers for a model that is real, where their engine
// answers. Without one it says why, for whoever refuses to go on without.
func (p *Plan) contain(ctx context.Context, real bool) (why error) {
	if !real || p.Runner != nil || p.Container == nil {
		return nil
	}
	if err := p.Container.Engine.Check(ctx); err != nil {
		return err
	}
	p.Runner, p.RunnerName = p.Container, runnerDocker
	return nil
}

// mayRunAnything reports whether commands of unknown content may run.
func (p *Plan) mayRunAnything() bool {
	return p.AllowHostExec || p.Runner != nil && p.Runner.Isolated()
}

// refuseHostExec refuses to let a real model's commands run here. engine is why
// there is no container for them; nil where none was asked for.
func (p *Plan) refuseHostExec(who string, engine error) error {
	hint := "say -runner docker, or -allow-host-exec if this machine is one that you can throw away"
	if engine != nil {
		hint = fmt.Sprintf("start Docker or podman (%v), or say -allow-host-exec if this machine is one that you can throw away", engine)
	}
	return refuse("%s serves a real model, and the local runner would let its commands run on this machine with your rights, beside your keys and files; %s", who, hint)
}

// useRunner makes the runner of the plan ready, with the programs that its agents
// and gates need.
func (r *runner) useRunner(ctx context.Context) error {
	p := &r.plan
	if own, ok := p.Runner.(Provisioner); ok {
		if p.Claude != "" && p.Agent == nil {
			return refuse("-claude %s is a program of this machine, and no container has it: build it into the image with a Dockerfile beside the scenario, or say -runner local", p.Claude)
		}
		if c, ok := own.(*container.Runner); ok {
			mine := *c // which gets this run's label
			own = &mine
			if id := r.place.RunID; id != "" {
				mine.Run = id
			}
		}
		if err := own.Provision(ctx, p.Progress); err != nil {
			return &InputError{fmt.Errorf("-runner %s: %w", p.RunnerName, err)}
		}
		r.local = own
		return nil
	}
	if p.Toolchain != nil {
		r.toolchain = *p.Toolchain
	} else {
		tc, err := Toolchain(ctx, p.Progress)
		if err != nil {
			return err
		}
		r.toolchain = tc
	}
	r.local = p.Runner
	if r.local == nil {
		r.local = agents.Local{Path: []string{r.toolchain.Bin()}, NodeModules: r.toolchain.NodeModules()}
	}
	return nil
}
