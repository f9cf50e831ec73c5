package container

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/x/dail/agents"
	"github.com/x/dail/internal/airlock"
)

// box is one running container, and the folders in it.
type box struct {
	engine Engine
	name   string
	dir    string // holds workspace, home, config and tmp
	grace  time.Duration
	start  time.Duration // bounds its furnishing
	cmd    *exec.Cmd     // the engine's command, whose standard streams are the container's
	said   *tail         // what the engine said; to be read when cmd has ended
	inside *airlock.Client
}

func (b *box) at(name string) string { return path.Join(b.dir, name) }

// within does with a container what has no bound of its own. An engine can freeze
// at any time, also when it has greeted.
func (b *box) within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.start, fmt.Errorf("it was not ready within %v", b.start))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { b.inside.Close() })
	defer stop()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// furnish makes the folders, with files in the workspace, and links the
// toolchain's packages into it.
func (b *box) furnish(ctx context.Context, files fs.FS) error {
	empty := embed.FS{} // whose zero value is a folder without files
	if files == nil {
		files = empty
	}
	if err := b.inside.Put(b.at("workspace"), files); err != nil {
		return err
	}
	for _, name := range []string{"home", "config", "tmp"} {
		if err := b.inside.Put(b.at(name), empty); err != nil {
			return err
		}
	}
	said := &tail{}
	exit, err := b.inside.Run(ctx, airlock.Command{Argv: []string{helperPath, "link", b.at("workspace"), nodeModules}, Stderr: said}, nil)
	if err == nil && exit.Code != 0 {
		err = errors.New(said.text())
	}
	return err
}

// environ is all that a command gets from us, before its own.
func (b *box) environ() map[string]string {
	return map[string]string{
		"PATH":   nodeModules + "/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME":   b.at("home"),
		"TMPDIR": b.at("tmp"),
		"LANG":   "C.UTF-8",
		"TERM":   "dumb",
		"SHELL":  "/bin/bash",
		"USER":   "agent",
		// npm asks its registry for a newer npm otherwise.
		"npm_config_update_notifier": "false",
	}
}

// run runs one command in the workspace.
func (b *box) run(ctx context.Context, cmd airlock.Command) (airlock.Exit, error) {
	kill := make(chan struct{})
	ended := make(chan struct{})
	defer close(ended)
	stop := context.AfterFunc(ctx, func() {
		force := time.NewTimer(b.grace)
		defer force.Stop()
		select {
		case <-force.C:
			close(kill)
		case <-ended:
			return
		}
		// What cannot even be killed, or is a container taken over, ends with it.
		force.Reset(b.grace + 10*time.Second)
		select {
		case <-force.C:
			b.inside.Close()
		case <-ended:
		}
	})
	defer stop()
	cmd.Dir = b.at("workspace")
	return b.inside.Run(ctx, cmd, kill)
}

// gone bounds how long the engine's command may take to see that its container
// has ended, and appears how long after that an engine may take to make one all
// the same that it was asked for.
const (
	gone    = 15 * time.Second
	appears = 10 * time.Second
)

// remove ends the container, and makes sure that the engine has none of its name.
func (b *box) remove(ctx context.Context) error {
	if b.inside != nil {
		b.inside.Close() // its stdin ends, and so does it
	}
	ended := make(chan struct{})
	go func() {
		b.cmd.Wait()
		close(ended)
	}()
	late := time.NewTimer(gone)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		b.cmd.Process.Kill()
		<-ended
		return b.engine.removeLate(ctx, b.name, appears)
	}
	_, err := b.engine.remove(ctx, b.name)
	return err
}

// giveUp removes a container that cannot be used, and tells what it and the engine
// said: why it ended, or only a warning, so that the cause stays beside it.
func (b *box) giveUp(ctx context.Context, what string, err error) error {
	removed := b.remove(context.WithoutCancel(ctx))
	if text := b.said.text(); text != "" {
		err = fmt.Errorf("%s (%w)", text, err)
	} else if b.cmd.ProcessState != nil {
		err = fmt.Errorf("%w; the engine's command ended with %s", err, b.cmd.ProcessState)
	}
	return errors.Join(fmt.Errorf("container: %s%s: %w", b.name, what, err), removed)
}

// remove removes a container by force, and reports whether it was there. That it
// is gone already, or that somebody else is at it, is no error.
func (e Engine) remove(ctx context.Context, name string) (was bool, err error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	// The command prints the name of what it removed; of what is not there it says
	// so, and some versions call that a success.
	out, err := e.output(ctx, "rm", "--force", "--volumes", name)
	if err == nil || isGone(err) {
		return err == nil && out != "", nil
	}
	return false, fmt.Errorf("container: %s may be left: %w; make reap finds it when the engine answers again", name, err)
}

// removeLate removes a container that the engine may only be about to make: that
// it has none yet means little.
func (e Engine) removeLate(ctx context.Context, name string, within time.Duration) error {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(within); ; {
		if was, err := e.remove(ctx, name); was || err != nil || time.Now().After(end) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("container: %s may be left: %w; make reap finds it", name, context.Cause(ctx))
		}
	}
}

func isGone(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no such container") || strings.Contains(text, "already in progress") || strings.Contains(text, "no container with name")
}

// place is one agent's container.
type place struct {
	*box
	home    string // the folder on this machine that the workspace comes home to
	gateway string // as seen from inside
}

// View implements [agents.Place].
func (p *place) View() agents.View {
	return agents.View{
		Workspace: p.at("workspace"), Home: p.at("home"), Config: p.at("config"), Temp: p.at("tmp"),
		Gateway: p.gateway,
	}
}

// Run implements [agents.Place].
func (p *place) Run(ctx context.Context, cmd agents.Command) (agents.Exit, error) {
	if err := ctx.Err(); err != nil {
		return agents.Exit{Code: -1, Stopped: true}, context.Cause(ctx)
	}
	env := p.environ()
	maps.Copy(env, cmd.Env)
	maps.Copy(env, cmd.Secret)
	exit, err := p.box.run(ctx, airlock.Command{
		Argv: cmd.Argv, Env: env, Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr,
		Together: same(cmd.Stdout, cmd.Stderr),
	})
	out := agents.Exit{Code: exit.Code, Stopped: exit.Stopped, Leftovers: exit.Leftovers}
	if exit.Signal != "" {
		out.Signal = "SIG" + exit.Signal
	}
	if err != nil {
		err = fmt.Errorf("container: %s: %w", p.name, err)
	}
	return out, err
}

// same reports whether two writers are one. Those that cannot be compared are not.
func same(a, b io.Writer) (yes bool) {
	defer func() { _ = recover() }()
	return a != nil && a == b
}

// carryHome bounds how long a workspace may take to come home.
const carryHome = 5 * time.Minute

// Close implements [agents.Place].
func (p *place) Close(ctx context.Context) error {
	// What is in there may have been taken over, and never end its answer.
	late := time.AfterFunc(carryHome, func() { p.inside.Close() })
	err := p.inside.Get(p.at("workspace"), p.home)
	late.Stop()
	if err != nil {
		err = fmt.Errorf("container: %s: its work could not all be fetched: %w", p.name, err)
	}
	return errors.Join(err, p.remove(ctx))
}

// sealed is the container in which the gates of one workspace are run.
type sealed struct{ *box }

// killed is the status of a command that was killed with its container.
const killed = 128 + int(unix.SIGKILL)

// Exec implements [gates.Execer]. dir is the folder that was sealed.
//
// What is judged can end its own container: a test that kills all it may reach, or
// that takes more memory than there is. That is a failure like any other, and says
// nothing of the other workspaces; an engine that is gone, too, is an error.
func (s *sealed) Exec(ctx context.Context, _ string, argv, env []string, out io.Writer) (int, error) {
	all := s.environ()
	for _, kv := range env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return -1, fmt.Errorf("container: %q is not of the form NAME=value", kv)
		}
		all[k] = v
	}
	exit, err := s.run(ctx, airlock.Command{Argv: argv, Env: all, Stdout: out, Together: true})
	switch {
	case err != nil && ctx.Err() != nil:
		return -1, context.Cause(ctx)
	case errors.Is(err, airlock.ErrGone) && s.engine.Check(ctx) == nil:
		fmt.Fprintf(out, "\n[the container %s died: what ran in it killed it, or used up its memory]\n", s.name)
		return killed, nil
	case err != nil:
		return -1, fmt.Errorf("container: %s: %w", s.name, err)
	case exit.Stopped:
		return -1, context.Cause(ctx)
	case exit.Signal != "":
		return 128 + int(unix.SignalNum("SIG"+exit.Signal)), nil
	}
	return exit.Code, nil
}

// Close implements [gates.Sealed].
func (s *sealed) Close(ctx context.Context) error { return s.remove(ctx) }
