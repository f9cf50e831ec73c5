package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/x/dail/internal/linkfarm"
)

// Local runs agents as processes of this machine: the plainest runner, and no
// sandbox. What an agent runs may read and write what its user may. It gets an
// environment made from nothing, and so none of the keys that this program's
// own may hold; but it can read files. A program should run only the simulated
// model this way, or ask its user first ([Local.Isolated]).
//
// When a command of an agent ends, whatever it started is ended too, also what
// put itself into a session of its own or became a daemon. On systems other
// than Linux a process that becomes a daemon within a second can be missed.
//
// The zero value is ready to use. A Local is also what gates need to run their
// commands, see [Local.Exec].
type Local struct {
	// Path holds folders that come before this machine's PATH, the toolchain's
	// programs for one.
	Path []string
	// NodeModules is a folder of installed packages that each workspace starts
	// with: its own node_modules folder holds a link to each, so that npx
	// works without a network, and what an agent installs stays its own.
	NodeModules string
	// Scratch is where home folders and temporary files of the agents are
	// made. They are removed when a place is closed. Empty: the system's folder
	// for temporary files.
	Scratch string
	// Grace is the time between asking a process to end and forcing it.
	// 0: 2 seconds.
	Grace time.Duration
}

// Isolated implements [Runner]: a local process is not.
func (l Local) Isolated() bool { return false }

func (l Local) grace() time.Duration {
	if l.Grace > 0 {
		return l.Grace
	}
	return 2 * time.Second
}

// Open implements [Runner].
func (l Local) Open(ctx context.Context, spec PlaceSpec) (Place, error) {
	if err := os.MkdirAll(spec.Workspace, 0o755); err != nil {
		return nil, fmt.Errorf("agents: workspace: %w", err)
	}
	if entries, err := os.ReadDir(spec.Workspace); err != nil {
		return nil, fmt.Errorf("agents: workspace: %w", err)
	} else if len(entries) > 0 {
		return nil, fmt.Errorf("agents: the workspace %s is not empty: an agent needs a fresh one", spec.Workspace)
	}
	if spec.Seed != nil {
		if err := os.CopyFS(spec.Workspace, spec.Seed); err != nil {
			return nil, fmt.Errorf("agents: copying the seed into %s: %w", spec.Workspace, err)
		}
	}
	if l.NodeModules != "" {
		if err := linkfarm.Make(filepath.Join(spec.Workspace, "node_modules"), l.NodeModules); err != nil {
			return nil, fmt.Errorf("agents: workspace %s: %w", spec.Workspace, err)
		}
	}
	own, err := l.scratch()
	if err != nil {
		return nil, err
	}
	return &localPlace{local: l, dir: own, view: View{
		Workspace: spec.Workspace,
		Home:      filepath.Join(own, "home"),
		Config:    filepath.Join(own, "config"),
		Temp:      filepath.Join(own, "tmp"),
		Gateway:   spec.Gateway,
	}}, nil
}

// scratch makes the folders that one agent, or one command, has for itself.
func (l Local) scratch() (string, error) {
	dir, err := os.MkdirTemp(l.Scratch, "dail-")
	if err != nil {
		return "", fmt.Errorf("agents: a folder for temporary files: %w", err)
	}
	for _, d := range []string{"home", "config", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			os.RemoveAll(dir)
			return "", fmt.Errorf("agents: a folder for temporary files: %w", err)
		}
	}
	return dir, nil
}

// environ is all that a process gets from us, before its own. It is built from
// nothing: of this program's environment only PATH comes through.
func (l Local) environ(own string) map[string]string {
	lang := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		lang = "en_US.UTF-8"
	}
	env := map[string]string{
		"PATH":   strings.Join(append(slices.Clone(l.Path), os.Getenv("PATH")), string(os.PathListSeparator)),
		"HOME":   filepath.Join(own, "home"),
		"TMPDIR": filepath.Join(own, "tmp"),
		"LANG":   lang,
		"TERM":   "dumb",
		// npm asks its registry for a newer npm otherwise.
		"npm_config_update_notifier": "false",
	}
	if executable("/bin/bash") == nil {
		env["SHELL"] = "/bin/bash"
	}
	return env
}

type localPlace struct {
	local Local
	dir   string
	view  View
}

// View implements [Place].
func (p *localPlace) View() View { return p.view }

// Run implements [Place].
func (p *localPlace) Run(ctx context.Context, cmd Command) (Exit, error) {
	env := p.local.environ(p.dir)
	maps.Copy(env, cmd.Env)
	maps.Copy(env, cmd.Secret)
	return p.local.run(ctx, process{dir: p.view.Workspace, stdin: cmd.Stdin, stdout: cmd.Stdout, stderr: cmd.Stderr}, cmd.Argv, env)
}

// Close implements [Place]. Nothing is left to end: Run saw to that.
func (p *localPlace) Close(context.Context) error {
	if err := removeAll(p.dir); err != nil {
		return fmt.Errorf("agents: removing an agent's temporary files: %w", err)
	}
	return nil
}

// run fills in a process, of which argv and env are still to be made, and runs
// it.
func (l Local) run(ctx context.Context, p process, argv []string, env map[string]string) (Exit, error) {
	if len(argv) == 0 {
		return Exit{Code: -1}, errors.New("agents: there is no command to run")
	}
	path, err := lookPath(argv[0], env["PATH"], p.dir)
	if err != nil {
		return Exit{Code: -1}, err
	}
	p.argv = append([]string{path}, argv[1:]...)
	p.grace = l.grace()
	for _, k := range slices.Sorted(maps.Keys(env)) {
		p.env = append(p.env, k+"="+env[k])
	}
	return p.run(ctx)
}

// Exec runs one command in a folder, and returns when it and all that it
// started have ended: it makes a Local the Execer that package gates asks for.
// The command gets Local's own small environment, an empty home folder, and env
// over that. A command that a signal ended has exit code 128 + its number, as
// in a shell. When ctx is done the command is ended, and the error is ctx's
// cause; any other error says that it could not be run.
func (l Local) Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (exitCode int, err error) {
	own, err := l.scratch()
	if err != nil {
		return -1, err
	}
	defer func() {
		if rm := removeAll(own); rm != nil && err == nil {
			err = fmt.Errorf("agents: removing a command's temporary files: %w", rm)
		}
	}()
	all := l.environ(own)
	for _, kv := range env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return -1, fmt.Errorf("agents: %q is not of the form NAME=value", kv)
		}
		all[k] = v
	}
	// One pipe for both, so that they come out in the order they were written.
	exit, err := l.run(ctx, process{dir: dir, stdout: out, stderr: out}, argv, all)
	if err != nil {
		return -1, err
	}
	if exit.Stopped {
		return -1, context.Cause(ctx)
	}
	return exit.status(), nil
}

// removeAll removes a folder, also one that holds folders without the right to
// write, as the module cache of Go does.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(name string, e os.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
