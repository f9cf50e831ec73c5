package gates_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/x/dail/gates"
)

// here runs commands plainly on this machine.
type here struct{}

func (here) Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append([]string{"PATH=/usr/bin:/bin"}, env...), out, out
	cmd.WaitDelay = time.Minute // a machine may be busy
	err := cmd.Run()
	if ctx.Err() != nil {
		return -1, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			return 137, nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// late is here, but for a command that runs out of time: it is ended when it has
// said something, however long that takes on a busy machine.
type late struct{}

func (late) Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (int, error) {
	kill, end := context.WithCancel(context.Background())
	defer end()
	said := writer(func() { context.AfterFunc(ctx, end) })
	return here{}.Exec(kill, dir, argv, env, io.MultiWriter(out, said))
}

// writer is called at each write.
type writer func()

func (w writer) Write(b []byte) (int, error) { w(); return len(b), nil }

// workspace makes a folder with these files.
func workspace(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tree is every name below dir, with what it holds, points to, and its mode.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			text, _ = os.Readlink(name)
		case d.Type().IsRegular():
			b, _ := os.ReadFile(name)
			text = string(b)
		}
		found[rel] = info.Mode().String() + " " + info.ModTime().String() + " " + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestGates(t *testing.T) {
	tests := []struct {
		name string
		gate gates.Gate
		want gates.Result // Seconds is not compared
	}{
		{"passes", gates.Gate{Cmd: "grep -q PONG hello.txt"}, gates.Result{Passed: true}},
		{"fails", gates.Gate{Cmd: "echo so; echo it is >&2; exit 3"}, gates.Result{ExitCode: 3, Output: "so\nit is\n"}},
		{"another status is wanted", gates.Gate{Cmd: "exit 3", ExpectExit: 3}, gates.Result{Passed: true, ExitCode: 3}},
		{"another status is wanted, and missed", gates.Gate{Cmd: "true", ExpectExit: 3}, gates.Result{}},
		{"127 is wanted", gates.Gate{Cmd: "exit 127", ExpectExit: 127}, gates.Result{Passed: true, ExitCode: 127}},
		{"out of time", gates.Gate{Cmd: "echo begun; exec sleep 60", Timeout: 10 * time.Millisecond}, gates.Result{ExitCode: -1, Output: "begun\n", TimedOut: true}},
		{"no such program", gates.Gate{Cmd: "no-such-program 2>/dev/null"}, gates.Result{ExitCode: 127, EnvError: "exit status 127: a program of the gate is missing or cannot be run"}},
		{"no node", gates.Gate{Cmd: "echo \"env: 'node': No such file or directory\"; exit 127"}, gates.Result{ExitCode: 127, Output: "env: 'node': No such file or directory\n",
			EnvError: "exit status 127: a program of the gate is missing or cannot be run (env: 'node': No such file or directory)"}},
		{"not executable", gates.Gate{Cmd: "./hello.txt 2>/dev/null"}, gates.Result{ExitCode: 126, EnvError: "exit status 126: a program of the gate is missing or cannot be run"}},
		{"killed", gates.Gate{Cmd: "kill -9 $$"}, gates.Result{ExitCode: 137, EnvError: "the gate was killed (SIGKILL), as the system does when memory runs out: score again with fewer at once"}},
		{"the disk is full", gates.Gate{Cmd: "echo 'Error: ENOSPC: no space left on device, write'; exit 1"}, gates.Result{ExitCode: 1,
			Output: "Error: ENOSPC: no space left on device, write\n", EnvError: "the disk is full: free some space and score again"}},
		{"a full disk does not undo a pass", gates.Gate{Cmd: "echo ENOSPC"}, gates.Result{Passed: true, Output: "ENOSPC\n"}},
		{"output that would write to a terminal", gates.Gate{Cmd: `printf '\033[31mred\033[0m \033]52;c;eA==\007end\r\n'; exit 1`}, gates.Result{ExitCode: 1, Output: "red end\n"}},
		{"npx without the package", gates.Gate{Cmd: "echo 'npm error code ENOTCACHED'; exit 1"}, gates.Result{ExitCode: 1, Output: "npm error code ENOTCACHED\n",
			EnvError: "npx looked for a package that the toolchain does not have: install the toolchain, or add the package to it"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.gate.ID, tt.want.ID = "g", "g"
			var runs gates.Execer = here{}
			if tt.want.TimedOut {
				runs = late{}
			}
			v, err := gates.Score(t.Context(), gates.Place{Execer: runs, Workspace: workspace(t, map[string]string{"hello.txt": "PONG\n"}), Scratch: t.TempDir()}, []gates.Gate{tt.gate})
			if err != nil {
				t.Fatal(err)
			}
			got := v.Results[0]
			if got.Seconds <= 0 || v.Passed != tt.want.Passed || v.EnvError() != tt.want.EnvError {
				t.Errorf("%+v", v)
			}
			got.Seconds = 0
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// sealed is a place with bounds of its own.
type sealed struct{ here }

func (s sealed) Seal(context.Context, string) (gates.Sealed, error) { return s, nil }
func (sealed) Close(context.Context) error                          { return nil }

// What is used up in a place that has its own bounds was used up by the work: the
// gate has failed, and nobody else's agents are excused by it.
func TestASealedPlaceIsTheWorksOwn(t *testing.T) {
	for cmd, env := range map[string]bool{
		"kill -9 $$": false, "echo ENOSPC; exit 1": false, "echo 'Cannot allocate memory'; exit 1": false, "echo EMFILE; exit 1": false,
		"no-such-program": true, "echo 'npm error code ENOTCACHED'; exit 1": true,
	} {
		v, err := gates.Score(t.Context(), gates.Place{Execer: sealed{}, Workspace: t.TempDir()}, []gates.Gate{{ID: "g", Cmd: cmd}})
		if err != nil || v.Passed || (v.EnvError() != "") != env {
			t.Errorf("%s: %+v, %v; the machine's fault: want %v", cmd, v, err, env)
		}
	}
}

func TestJudge(t *testing.T) {
	pass, fail, env := gates.Result{Passed: true}, gates.Result{}, gates.Result{EnvError: "x"}
	for _, tt := range []struct {
		results []gates.Result
		want    bool
	}{
		{nil, false}, // no gate: nothing was shown
		{[]gates.Result{pass}, true},
		{[]gates.Result{pass, pass}, true},
		{[]gates.Result{pass, fail}, false},
		{[]gates.Result{env, pass}, false},
	} {
		if v := gates.Judge(tt.results); v.Passed != tt.want {
			t.Errorf("%+v: %v", tt.results, v.Passed)
		}
	}
}

func TestOutputTail(t *testing.T) {
	cmd := `i=0; while test $i -lt 500; do echo "line $i äöü"; i=$((i+1)); done; exit 1`
	v, err := gates.Score(t.Context(), gates.Place{Execer: here{}, Workspace: t.TempDir()}, []gates.Gate{{ID: "g", Cmd: cmd}})
	if err != nil {
		t.Fatal(err)
	}
	if out := v.Results[0].Output; len(out) > gates.OutputTail || len(out) < gates.OutputTail-4 || !strings.HasSuffix(out, "line 499 äöü\n") {
		t.Errorf("%d bytes: %q", len(out), out)
	}
}

// TestTheWorkspaceIsNeverChanged lets gates do their worst, and looks whether
// the hidden files stay hidden.
func TestTheWorkspaceIsNeverChanged(t *testing.T) {
	outside := workspace(t, map[string]string{"key": "secret"})
	dir := workspace(t, map[string]string{
		"src/board.ts": "export {}", "acceptance.test.ts": "// the agent's own", "node_modules/vitest/x": "the agent's own",
		"sub/node_modules/y": "", "hidden/in-the-way": "",
	})
	for link, to := range map[string]string{
		"out": outside, "out-file": filepath.Join(outside, "key"), "up": "../..", "in": "src/board.ts", "sub/in-abs": filepath.Join(dir, "src"),
		"nowhere": "no-such-file", "test": "/etc",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	before, outsideBefore := tree(t, dir), tree(t, outside)
	shared := workspace(t, map[string]string{"typescript/package.json": "{}", ".bin/tsc": "", "@types/node/index.d.ts": ""})
	sharedBefore := tree(t, shared)

	scratch := t.TempDir()
	hidden := fstest.MapFS{
		"acceptance.test.ts": {Data: []byte("// ours")}, "test/deep/a.ts": {Data: []byte("a")}, "in": {Data: []byte("over a link")}, "hidden": {Data: []byte("over a folder")},
	}
	var out bytes.Buffer
	place := gates.Place{Execer: tee{&out}, Workspace: dir, Files: hidden, NodeModules: shared, Scratch: scratch, Env: []string{"MINE=1"}}
	v, err := gates.Score(t.Context(), place, []gates.Gate{
		{ID: "look", Cmd: `pwd; find . | LC_ALL=C sort; cat acceptance.test.ts src/board.ts in hidden; readlink sub/in-abs; echo $MINE $npm_config_offline`},
		{ID: "spoil", Cmd: `echo spoilt > src/board.ts; echo spoilt > acceptance.test.ts; mkdir node_modules/.vite; rm -r node_modules/typescript; touch node_modules/.bin/x; rm -r src; chmod 000 sub`},
	})
	if err != nil || !v.Passed {
		t.Fatalf("%+v, %v", v, err)
	}
	first, rest, _ := strings.Cut(out.String(), "\n")
	if !strings.HasPrefix(first, scratch) {
		t.Errorf("the gates ran in %s", first)
	}
	want := `.
./acceptance.test.ts
./hidden
./in
./node_modules
./node_modules/.bin
./node_modules/.bin/tsc
./node_modules/@types
./node_modules/@types/node
./node_modules/typescript
./src
./src/board.ts
./sub
./sub/in-abs
./test
./test/deep
./test/deep/a.ts
// oursexport {}over a linkover a folder../src
1 true
`
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("the copy (-want +got)\n%s", diff)
	}
	for name, pair := range map[string][2]map[string]string{
		"workspace": {before, tree(t, dir)}, "folder outside": {outsideBefore, tree(t, outside)}, "shared packages": {sharedBefore, tree(t, shared)},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("the %s was changed (-before +after)\n%s", name, diff)
		}
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("left in the scratch folder: %v", left)
	}
}

// tee keeps what gates print.
type tee struct{ to io.Writer }

func (e tee) Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (int, error) {
	return here{}.Exec(ctx, dir, argv, env, io.MultiWriter(out, e.to))
}

// broken cannot run anything.
type broken struct{}

func (broken) Exec(context.Context, string, []string, []string, io.Writer) (int, error) {
	return -1, errors.New("the daemon is gone")
}

func TestTheMachinesFaults(t *testing.T) {
	list := []gates.Gate{{ID: "a", Cmd: "true"}, {ID: "b", Cmd: "true"}}
	file := filepath.Join(workspace(t, map[string]string{"f": ""}), "f")
	for name, tt := range map[string]struct {
		place gates.Place
		want  string
	}{
		"the place":    {gates.Place{Execer: broken{}}, "the daemon is gone"},
		"the packages": {gates.Place{Execer: here{}, NodeModules: "/no/such/node_modules"}, "/no/such/node_modules"},
		"the scratch":  {gates.Place{Execer: here{}, Scratch: filepath.Join(file, "x")}, "not a directory"},
	} {
		tt.place.Workspace = t.TempDir()
		v, err := gates.Score(t.Context(), tt.place, list)
		if err != nil || v.Passed || len(v.Results) != 2 {
			t.Errorf("%s: %+v, %v", name, v, err)
			continue
		}
		for _, r := range v.Results {
			if !strings.Contains(r.EnvError, tt.want) || r.ExitCode != -1 {
				t.Errorf("%s: %+v, want %q", name, r, tt.want)
			}
		}
	}
}

func TestScoreThatMakesNoSense(t *testing.T) {
	for name, tt := range map[string]struct {
		place gates.Place
		gate  gates.Gate
		want  string
	}{
		"no execer":    {gates.Place{Workspace: t.TempDir()}, gates.Gate{ID: "g", Cmd: "true"}, "Execer must be set"},
		"no workspace": {gates.Place{Execer: here{}, Workspace: "/no/such/workspace"}, gates.Gate{ID: "g", Cmd: "true"}, "/no/such/workspace"},
		"no command":   {gates.Place{Execer: here{}, Workspace: t.TempDir()}, gates.Gate{ID: "g"}, `"g" needs an id and a cmd`},
	} {
		if v, err := gates.Score(t.Context(), tt.place, []gates.Gate{tt.gate}); err == nil || !strings.Contains(err.Error(), tt.want) || v.Passed {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestScoreCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := stopper(func() { cancel(errors.New("interrupted")) })
	v, err := gates.Score(ctx, gates.Place{Execer: stop, Workspace: t.TempDir()}, []gates.Gate{{ID: "a", Cmd: "true"}, {ID: "b", Cmd: "stop"}, {ID: "c", Cmd: "true"}})
	if err == nil || !strings.Contains(err.Error(), "gate b: interrupted") || v.Passed || len(v.Results) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

// stopper calls itself when a gate says "stop".
type stopper func()

func (s stopper) Exec(ctx context.Context, dir string, argv, env []string, out io.Writer) (int, error) {
	if argv[2] == "stop" {
		s()
		return -1, context.Cause(ctx)
	}
	return here{}.Exec(ctx, dir, argv, env, out)
}
