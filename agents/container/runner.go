package container

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/gates"
	"github.com/x/dail/internal/airlock"
)

// Limits bound one container. A zero is its default.
type Limits struct {
	CPUs     float64 // cores; default 2
	MemoryMB int     // MiB, of processes and files together; default 4096
	DiskMB   int     // MiB of files in the workspace and home; default 1024
	Pids     int     // processes and threads; default 512
	// Lifetime ends a container from within, whatever holds its stdin open: far
	// longer than any level takes. Default 24 h.
	Lifetime time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.CPUs <= 0 {
		l.CPUs = 2
	}
	if l.MemoryMB <= 0 {
		l.MemoryMB = 4096
	}
	if l.DiskMB <= 0 {
		l.DiskMB = 1024
	}
	if l.Pids <= 0 {
		l.Pids = 512
	}
	if l.Lifetime <= 0 {
		l.Lifetime = 24 * time.Hour
	}
	return l
}

// Runner makes containers for agents to work in, and for gates to be run in.
// Image must be set: its name, or what [Runner.Provision] makes it of.
type Runner struct {
	Engine Engine
	// Image is what every container is made of. Name is its name; empty until
	// Provision has found or built it from Source.
	Image  string
	Source Image
	// Owner and Run are labels by which Reap finds what was left.
	Owner, Run string
	// Network gives the agents, not the gates, the engine's default network. They
	// can then reach whatever this machine can, and what listens on it, but for its
	// loopback. [Runner.Isolated] says yes all the same: whoever sets this has decided.
	Network bool
	Limits  Limits
	// Grace is the time between asking a command to end and forcing it.
	// 0: 2 seconds.
	Grace time.Duration
}

// What stands where in the image.
const (
	helperPath  = "/opt/dail/inside"
	nodeModules = "/opt/dail/toolchain/node_modules"
	work        = "/work"
	user        = "10001:10001"
)

// Provision makes sure that the image is there. progress (nil: nobody) is told
// what goes on.
func (r *Runner) Provision(ctx context.Context, progress io.Writer) error {
	if err := r.Engine.Check(ctx); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if r.Image != "" {
		return nil
	}
	tag, err := r.Source.Ensure(ctx, r.Engine, progress)
	if err != nil {
		return err
	}
	r.Image = tag
	return nil
}

// Isolated implements [agents.Runner]: this machine's files and processes are out
// of reach. With Network, what listens on one of its addresses other than its
// loopback's is not.
func (r *Runner) Isolated() bool { return true }

// arguments are those of the command that starts a container.
func (r *Runner) arguments(name string, network bool) []string {
	l := r.Limits.withDefaults()
	args := []string{
		"run", "--rm", "--interactive", "--pull", "never",
		"--name", name,
		"--label", labelRun + "=" + r.Run, "--label", labelOwner + "=" + r.Owner,
		"--user", user, "--read-only",
		"--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--pids-limit", fmt.Sprint(l.Pids),
		// Without more swap than memory, that is without any.
		"--memory", fmt.Sprintf("%dm", l.MemoryMB), "--memory-swap", fmt.Sprintf("%dm", l.MemoryMB),
		// As a quota, since --cpus refuses more than the machine has.
		"--cpu-period", "100000", "--cpu-quota", fmt.Sprint(int(l.CPUs * 100000)),
		"--ulimit", "core=0",
		"--tmpfs", fmt.Sprintf("%s:rw,exec,nosuid,nodev,mode=1777,size=%dm", work, l.DiskMB),
		"--tmpfs", fmt.Sprintf("/tmp:rw,exec,nosuid,nodev,mode=1777,size=%dm", l.DiskMB),
		"--hostname", "dail", "--workdir", work,
		// Its output is a stream for us, and no log for a disk.
		"--log-driver", "none",
	}
	if !network {
		args = append(args, "--network", "none")
	}
	// The command would hand in the proxies of the user's own settings, with the
	// passwords in them.
	for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"} {
		args = append(args, "--env", proxy+"=", "--env", strings.ToLower(proxy)+"=")
	}
	return append(args, r.Image, l.Lifetime.String())
}

// nameOf makes a container's name, which no other has.
func (r *Runner) nameOf(what string) string {
	safe := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
				return c
			}
			return '-'
		}, s)
	}
	return safe(strings.Trim("dail-"+r.Run, "-")+"-"+what) + "-" + strings.ToLower(rand.Text()[:8])
}

// Open implements [agents.Runner].
func (r *Runner) Open(ctx context.Context, spec agents.PlaceSpec) (agents.Place, error) {
	if err := emptyFolder(spec.Workspace); err != nil {
		return nil, err
	}
	gateway, err := url.Parse(spec.Gateway)
	if err != nil || gateway.Scheme != "http" || gateway.Port() == "" {
		return nil, fmt.Errorf("container: the gateway %q: want http://host:port, which is carried into the container", spec.Gateway)
	}
	// The folder has the agent's name in it, as on a developer's own machine:
	// were it the same for all, they would share a longer prefix of their prompts
	// than developers do.
	b, err := r.enter(ctx, spec.Name, work+"/"+spec.Name, r.Network)
	if err != nil {
		return nil, err
	}
	p := &place{box: b, home: spec.Workspace}
	err = b.within(ctx, func(ctx context.Context) error {
		if err := b.furnish(ctx, spec.Seed); err != nil {
			return err
		}
		gateway.Host, err = b.inside.Expose(gateway.Host)
		return err
	})
	if err != nil {
		return nil, b.giveUp(ctx, "", err)
	}
	p.gateway = gateway.String()
	return p, nil
}

// emptyFolder makes the folder into which a workspace comes home.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("container: workspace: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: an agent needs a fresh one", dir)
	}
	if err != nil {
		return fmt.Errorf("container: workspace: %w", err)
	}
	return nil
}

// Seal implements [gates.Sealer]: the gates of one workspace are run in a fresh
// container, without a network, whatever the agents had.
func (r *Runner) Seal(ctx context.Context, dir string) (gates.Sealed, error) {
	b, err := r.enter(ctx, "gates", work, false)
	if err != nil {
		return nil, err
	}
	if err := b.within(ctx, func(ctx context.Context) error { return b.furnish(ctx, os.DirFS(dir)) }); err != nil {
		return nil, b.giveUp(ctx, "", err)
	}
	return &sealed{b}, nil
}

// Exec implements [gates.Execer] for a single command, in a container of its own.
func (r *Runner) Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (exitCode int, err error) {
	s, err := r.Seal(ctx, dir)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	return s.Exec(ctx, dir, argv, env, out)
}

// enter starts a container and speaks to what is in there.
func (r *Runner) enter(ctx context.Context, what, dir string, network bool) (*box, error) {
	if r.Image == "" {
		return nil, errors.New("container: there is no image yet: call Provision first, or name one in Image")
	}
	b := &box{engine: r.Engine, name: r.nameOf(what), dir: dir, grace: r.Grace, start: startTime, said: &tail{}}
	if b.grace <= 0 {
		b.grace = 2 * time.Second
	}
	// It is not tied to ctx: it ends when its stdin does, in order.
	b.cmd = r.Engine.prepare(context.WithoutCancel(ctx), r.arguments(b.name, network)...)
	b.cmd.Stderr = b.said
	in, err := b.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("container: %w", r.Engine.explain(err, ctx, "run", b.said))
	}
	// A container that cannot start ends its output, and so the greeting. That it
	// hangs is bounded here.
	greet, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("it did not answer within %v", startTime))
	defer cancel()
	b.inside, err = airlock.Connect(greet, airlock.Stdio(out, in))
	if err != nil {
		return nil, b.giveUp(ctx, " did not start", err)
	}
	return b, nil
}

// startTime bounds the start of one container, and then its furnishing: many start
// at once.
const startTime = 2 * time.Minute
