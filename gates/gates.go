package gates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/x/dail/internal/linkfarm"
)

// Gate is one check.
type Gate struct {
	ID          string
	Description string
	// Cmd is given to sh -c, at the root of the copied workspace.
	Cmd string
	// ExpectExit is the exit status that passes.
	ExpectExit int
	// Timeout bounds the command. 0: 5 minutes.
	Timeout time.Duration
}

// DefaultTimeout bounds a gate whose Timeout is 0.
const DefaultTimeout = 5 * time.Minute

// OutputTail is how many bytes of a gate's output are kept: the last ones.
const OutputTail = 2048

// Execer runs one command in a folder and returns its exit status. When it
// returns, nothing that the command started may be alive, also when ctx ended
// it; then the error is not nil. A command that ran gives no error, whatever
// its exit status.
type Execer interface {
	Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (exitCode int, err error)
}

// Sealer is an Execer that does not see this machine's folders: it takes a folder
// in, and all gates of one workspace are run on what it took.
type Sealer interface {
	Execer
	// Seal takes dir in. What is done to it in there does not come back.
	Seal(ctx context.Context, dir string) (Sealed, error)
}

// Sealed runs the gates of one workspace. The folder that it is called with is the
// one that it was given.
type Sealed interface {
	Execer
	// Close gives it back. It must be called, and works also when the ctx of Seal
	// is done.
	Close(ctx context.Context) error
}

// Place is what gates are run on, and where.
type Place struct {
	// Execer runs the commands. It must see Scratch, unless it is a [Sealer].
	Execer
	// Workspace is the folder to judge. It is only read.
	Workspace string
	// Files are added to the copy, over whatever is there; nil for none.
	Files fs.FS
	// NodeModules is a folder of installed packages, linked into the copy in
	// place of the workspace's own node_modules. Empty: none. A Sealer has its own.
	NodeModules string
	// Scratch is the folder in which the copy is made. Empty: the system's
	// folder for temporary files.
	Scratch string
	// Env is added to the commands' environment, as NAME=value.
	Env []string
}

// Result is what one gate found.
type Result struct {
	ID       string `json:"id"`
	Passed   bool   `json:"passed"`
	ExitCode int    `json:"exit_code"` // -1 where the command did not end by itself
	// Output is the end of stdout and stderr, at most OutputTail bytes.
	Output   string  `json:"output,omitempty"`
	Seconds  float64 `json:"seconds"`
	TimedOut bool    `json:"timed_out,omitempty"`
	// EnvError says why the gate could not be judged. It is not the agent's
	// fault then, and not a pass either.
	EnvError string `json:"env_error,omitempty"`
}

// Verdict is all of an agent's gates.
type Verdict struct {
	// Passed says that there was a gate, and that all passed.
	Passed  bool     `json:"passed"`
	Results []Result `json:"results"`
}

// EnvError is the first reason why a gate could not be judged; "" if all could.
func (v Verdict) EnvError() string {
	for _, r := range v.Results {
		if r.EnvError != "" {
			return r.EnvError
		}
	}
	return ""
}

// Judge sums results up.
func Judge(results []Result) Verdict {
	v := Verdict{Passed: len(results) > 0, Results: results}
	for _, r := range results {
		v.Passed = v.Passed && r.Passed
	}
	return v
}

// env is set for every gate, before Place.Env: npx must use what is installed
// and fail where something is not, not ask a registry for it; and colours make
// no sense in a report.
func env() []string { return []string{"npm_config_offline=true", "NO_COLOR=1"} }

// Score copies the workspace and runs the gates on the copy, one after the
// other. A gate that fails, runs out of time or cannot be judged does not keep
// the next from running; the results say so. The error is for calls that make no
// sense and for a ctx that was done; then the verdict holds what there is.
func Score(ctx context.Context, place Place, list []Gate) (Verdict, error) {
	if err := check(place, list); err != nil {
		return Verdict{}, err
	}
	sealer, seals := place.Execer.(Sealer)
	if seals {
		place.NodeModules = ""
	}
	dir, cleanup, err := place.prepare()
	defer cleanup()
	if err == nil && seals {
		var sealed Sealed
		if sealed, err = sealer.Seal(ctx, dir); err == nil {
			place.Execer = sealed
			// What is left of it is no part of the verdict; it has its own reaper.
			defer sealed.Close(context.WithoutCancel(ctx))
		}
	}
	if err != nil && ctx.Err() != nil {
		return Verdict{}, fmt.Errorf("gates: %w", context.Cause(ctx))
	}
	if err != nil {
		var results []Result
		for _, g := range list {
			results = append(results, Result{ID: g.ID, ExitCode: -1, EnvError: err.Error()})
		}
		return Judge(results), nil
	}
	var results []Result
	for _, g := range list {
		r, err := place.run(ctx, dir, g)
		if err != nil {
			v := Judge(results)
			v.Passed = false
			return v, err
		}
		results = append(results, r)
	}
	return Judge(results), nil
}

func check(p Place, list []Gate) error {
	var errs []error
	if p.Execer == nil {
		errs = append(errs, errors.New("gates: Place.Execer must be set: what runs the commands"))
	}
	if info, err := os.Stat(p.Workspace); err != nil {
		errs = append(errs, fmt.Errorf("gates: workspace: %w", err))
	} else if !info.IsDir() {
		errs = append(errs, fmt.Errorf("gates: workspace %s is not a folder", p.Workspace))
	}
	seen := map[string]bool{}
	for _, g := range list {
		switch {
		case g.ID == "" || g.Cmd == "":
			errs = append(errs, fmt.Errorf("gates: gate %q needs an id and a cmd", g.ID))
		case seen[g.ID]:
			errs = append(errs, fmt.Errorf("gates: gate id %q is used twice", g.ID))
		}
		seen[g.ID] = true
	}
	return errors.Join(errs...)
}

// prepare makes the copy. cleanup removes it, and is never nil.
func (p Place) prepare() (dir string, cleanup func(), err error) {
	if p.Scratch != "" {
		if err := os.MkdirAll(p.Scratch, 0o755); err != nil {
			return "", func() {}, fmt.Errorf("gates: %w", err)
		}
	}
	base, err := os.MkdirTemp(p.Scratch, "dail-gates-")
	if err != nil {
		return "", func() {}, fmt.Errorf("gates: a folder for the copy: %w", err)
	}
	cleanup = func() { removeAll(base) }
	dir = filepath.Join(base, "workspace")
	if err := copyTree(dir, p.Workspace); err != nil {
		return "", cleanup, fmt.Errorf("gates: copying %s: %w", p.Workspace, err)
	}
	if p.Files != nil {
		if err := overlay(dir, p.Files); err != nil {
			return "", cleanup, fmt.Errorf("gates: adding the gates' files: %w", err)
		}
	}
	if p.NodeModules != "" {
		if err := linkfarm.Make(filepath.Join(dir, "node_modules"), p.NodeModules); err != nil {
			return "", cleanup, fmt.Errorf("gates: %w", err)
		}
	}
	return dir, cleanup, nil
}

// run runs one gate. Its error is ctx's.
func (p Place) run(ctx context.Context, dir string, g Gate) (Result, error) {
	timeout := g.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := &tail{max: OutputTail}
	start := time.Now()
	code, err := p.Exec(limited, dir, []string{"sh", "-c", g.Cmd}, append(env(), p.Env...), out)
	r := Result{ID: g.ID, ExitCode: code, Output: out.text(), Seconds: time.Since(start).Seconds()}
	switch {
	case err == nil:
		r.Passed = code == g.ExpectExit
		// A sealed place has memory of its own: who is killed there used that up, or
		// was killed by its own kind, and either way the machine could judge it.
		_, sealed := p.Execer.(Sealed)
		if !r.Passed && !(sealed && code == killed) {
			r.EnvError = envError(code, r.Output)
		}
	case ctx.Err() != nil:
		return r, fmt.Errorf("gates: gate %s: %w", g.ID, context.Cause(ctx))
	case limited.Err() != nil:
		r.ExitCode, r.TimedOut = -1, true
	default:
		r.ExitCode, r.EnvError = -1, err.Error()
	}
	return r, nil
}
