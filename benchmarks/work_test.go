package benchmarks_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/benchmarks/internal/play"
	"github.com/x/dail/gates"
	"github.com/x/dail/internal/linkfarm"
	"github.com/x/dail/sim"
)

// toolchain returns the folder of the installed packages, or skips the test.
func toolchain(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DAIL_TOOLCHAIN")
	if dir == "" {
		t.Skip("needs node, tsc and vitest: set DAIL_TOOLCHAIN to a folder whose node_modules holds the toolchain of infra/toolchain")
	}
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, ".bin", "tsc")); err != nil {
		t.Fatalf("DAIL_TOOLCHAIN: %v; run npm ci in %s", err, dir)
	}
	return modules
}

// turnRef names a turn of a cassette: its phase and its number from 0.
type turnRef struct {
	phase string
	turn  int
}

// build plays the cassette without the turns in without, and returns the
// workspace and the outcomes that were not as expected.
func build(t *testing.T, b loaded, modules string, without ...turnRef) (workspace string, surprises []string) {
	t.Helper()
	workspace = t.TempDir()
	if err := linkfarm.Make(filepath.Join(workspace, "node_modules"), modules); err != nil {
		t.Fatal(err)
	}
	player := play.Player{
		Dir: workspace,
		Env: append(os.Environ(), "PATH="+filepath.Join(modules, ".bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1"),
	}
	for _, ph := range b.cassette {
		var turns []sim.Turn
		for k, turn := range ph.Turns {
			skipped := false
			for _, ref := range without {
				skipped = skipped || ref == turnRef{ph.ID, k}
			}
			if !skipped {
				turns = append(turns, turn)
			}
		}
		outcomes, err := player.Session(t.Context(), turns)
		if err != nil {
			t.Fatalf("phase %s: %v", ph.ID, err)
		}
		for _, o := range outcomes {
			if o.Want != o.Got {
				surprises = append(surprises, ph.ID+": "+o.Tool+" ended with "+string(o.Got)+": "+o.Text)
			}
		}
	}
	return workspace, surprises
}

// score runs the benchmark's gates on a copy of the workspace, as a run does.
func score(t *testing.T, b loaded, modules, workspace string) gates.Verdict {
	t.Helper()
	place := gates.Place{Execer: agents.Local{}, Workspace: workspace, NodeModules: modules, Scratch: t.TempDir()}
	if b.Task.GateFiles != "" {
		files, err := fs.Sub(b.Dir, b.Task.GateFiles)
		if err != nil {
			t.Fatal(err)
		}
		place.Files = files
	}
	var list []gates.Gate
	for _, g := range b.Task.Gates {
		list = append(list, gates.Gate{ID: g.ID, Cmd: g.Cmd, ExpectExit: g.ExpectExit, Timeout: time.Duration(g.TimeoutS) * time.Second})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	v, err := gates.Score(ctx, place, list)
	if err != nil {
		t.Fatal(err)
	}
	if reason := v.EnvError(); reason != "" {
		t.Fatalf("the gates could not be judged: %s", reason)
	}
	return v
}

func TestCassettesPassTheirGates(t *testing.T) {
	modules := toolchain(t)
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			b := load(t, name)
			workspace, surprises := build(t, b, modules)
			for _, s := range surprises {
				t.Error(s)
			}
			if v := score(t, b, modules, workspace); !v.Passed {
				t.Errorf("gates: %+v", v.Results)
			}
		})
	}
}

// writes finds the turn that writes the file, and edits those that edit it.
func writes(b loaded, tool, file string) (refs []turnRef) {
	for _, ph := range b.cassette {
		for k, turn := range ph.Turns {
			for _, call := range turn.Calls {
				if call.Tool == tool && strings.Contains(string(call.Input), `"{{cwd}}/`+file+`"`) {
					refs = append(refs, turnRef{ph.ID, k})
				}
			}
		}
	}
	return refs
}

// Each turn that matters matters to the gates: the one that writes the module,
// and each that mends a fault in it.
func TestEveryStepCounts(t *testing.T) {
	modules := toolchain(t)
	for _, tt := range []struct{ benchmark, file string }{
		{"smoke", "hello.txt"},
		{"dev-load", "src/desk.ts"},
	} {
		b := load(t, tt.benchmark)
		refs := writes(b, "Write", tt.file)
		if len(refs) != 1 {
			t.Fatalf("%s: %d turns write %s, want 1", tt.benchmark, len(refs), tt.file)
		}
		refs = append(refs, writes(b, "Edit", tt.file)...)
		if tt.benchmark == "dev-load" && len(refs) < 3 {
			t.Errorf("dev-load: %d turns write or mend %s, want at least 3", len(refs), tt.file)
		}
		for _, ref := range refs {
			t.Run(tt.benchmark+"/"+ref.phase, func(t *testing.T) {
				t.Parallel()
				workspace, surprises := build(t, b, modules, ref)
				if v := score(t, b, modules, workspace); v.Passed {
					t.Errorf("the gates pass without turn %d of phase %s", ref.turn, ref.phase)
				}
				// The engine notices as well: a later command ends otherwise.
				if tt.benchmark == "dev-load" && len(surprises) == 0 {
					t.Errorf("every tool ended as the cassette expects without turn %d of phase %s", ref.turn, ref.phase)
				}
			})
		}
	}
}
