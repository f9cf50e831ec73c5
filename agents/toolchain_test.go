package agents_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/x/dail/agents"
)

// lockFiles is a toolchain that pins Claude Code to 1.2.3.
var lockFiles = fstest.MapFS{
	"package.json":      {Data: []byte(`{"dependencies":{"@anthropic-ai/claude-code":"1.2.3"}}`)},
	"package-lock.json": {Data: []byte(`{"packages":{"node_modules/@anthropic-ai/claude-code":{"version":"1.2.3"}}}`)},
}

// fakeNpm puts an npm and a node on PATH that are shell scripts, and returns
// the file in which npm counts its runs.
func fakeNpm(t *testing.T, npm, node string) (runs string) {
	t.Helper()
	bin := t.TempDir()
	runs = filepath.Join(bin, "runs")
	for name, script := range map[string]string{"npm": "echo run >> " + runs + "\n" + npm, "node": node} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	return runs
}

const (
	program = `printf '#!/bin/sh\necho "1.2.3 (Claude Code)"\n'`
	stub    = `printf '#!/bin/sh\necho "native binary not installed" >&2\nexit 1\n'`
	// layout installs $1 as the wrapper's program and $2 as the native one.
	layout = `
		test "$1" = ci || exit 9
		a=node_modules/@anthropic-ai; mkdir -p node_modules/.bin $a/claude-code/bin $a/claude-code-test-x64
		ln -s ../@anthropic-ai/claude-code/bin/claude.exe node_modules/.bin/claude
		put() { cat > $1; chmod +x $1; }
	`
	works = layout + program + ` | put $a/claude-code/bin/claude.exe`
)

func TestInstallToolchain(t *testing.T) {
	runs := fakeNpm(t, works+"; echo DAIL_SECRET=$DAIL_SECRET >> "+t.TempDir()+"/env", "exit 1")
	dir := filepath.Join(t.TempDir(), "cache")
	var progress bytes.Buffer
	tc, err := agents.InstallToolchain(t.Context(), lockFiles, dir, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tc.Claude(), "--version").Output(); err != nil || !strings.HasPrefix(string(out), "1.2.3") {
		t.Errorf("%s, %v", out, err)
	}
	if filepath.Dir(tc.Dir) != dir || tc.Bin() != filepath.Join(tc.NodeModules(), ".bin") {
		t.Errorf("%+v", tc)
	}
	if !strings.Contains(progress.String(), "installing the toolchain into "+tc.Dir) {
		t.Errorf("progress %q", progress.String())
	}

	// A second time there is nothing to do, without npm too.
	t.Setenv("PATH", "")
	progress.Reset()
	again, err := agents.InstallToolchain(t.Context(), lockFiles, dir, &progress)
	if err != nil || again != tc || progress.Len() > 0 {
		t.Errorf("%v, %v, %q", again, err, progress.String())
	}
	if b, _ := os.ReadFile(runs); string(b) != "run\n" {
		t.Errorf("npm ran: %q", b)
	}

	// Another lock is another toolchain.
	other := fstest.MapFS{"package.json": lockFiles["package.json"], "package-lock.json": {Data: []byte(`{"packages":{}}`)}}
	if _, err := agents.InstallToolchain(t.Context(), other, dir, nil); err == nil || !strings.Contains(err.Error(), "npm is not on PATH") {
		t.Errorf("another lock: %v", err)
	}
}

func TestInstallToolchainOnceForMany(t *testing.T) {
	runs := fakeNpm(t, works, "exit 1")
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := agents.InstallToolchain(t.Context(), lockFiles, dir, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b, _ := os.ReadFile(runs); string(b) != "run\n" {
		t.Errorf("npm ran: %q", b)
	}
}

func TestInstallToolchainWithoutInstallScripts(t *testing.T) {
	stubbed := layout + stub + ` | put $a/claude-code/bin/claude.exe; `
	for name, tt := range map[string]struct{ npm, node string }{
		"the script helps": {stubbed, `test "$1" = install.cjs && ` + program + ` > bin/claude.exe`},
		"the native one":   {stubbed + program + ` | put $a/claude-code-test-x64/claude`, "exit 1"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeNpm(t, tt.npm, tt.node)
			tc, err := agents.InstallToolchain(t.Context(), lockFiles, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(tc.Claude(), "--version").Output(); err != nil || !strings.HasPrefix(string(out), "1.2.3") {
				t.Errorf("%s, %v", out, err)
			}
		})
	}
}

func TestInstallToolchainFailures(t *testing.T) {
	other := strings.ReplaceAll(works, "1.2.3", "3.2.1")
	for name, tt := range map[string]struct {
		npm  string
		want []string
	}{
		"npm fails": {"echo 'npm warn old'; echo 'npm error code E404'; echo 'npm error'; echo 'npm error not found' >&2; exit 3",
			[]string{"npm ci ended with exit status 3:\nnpm error code E404\nnpm error not found"}},
		"npm fails in silence":  {"echo hm; exit 4", []string{"exit status 4:\nhm"}},
		"claude does not run":   {layout + stub + ` | put $a/claude-code/bin/claude.exe`, []string{"Claude Code 1.2.3 was installed but does not run", "native binary not installed", "-claude PATH"}},
		"claude is another one": {other, []string{`says "3.2.1 (Claude Code)"`}},
		"claude is not there":   {"mkdir node_modules", []string{"does not run", "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			fakeNpm(t, tt.npm, "echo no; exit 1")
			dir := t.TempDir()
			_, err := agents.InstallToolchain(t.Context(), lockFiles, dir, nil)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*[^k]")); len(left) > 0 { // all but the .lock
				t.Errorf("left behind: %q", left)
			}
		})
	}
	if _, err := agents.InstallToolchain(t.Context(), fstest.MapFS{}, t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without files: %v", err)
	}
}

func TestInstallToolchainCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	mark := filepath.Join(t.TempDir(), "mark")
	fakeNpm(t, "setsid sleep 975 & touch "+mark+"; wait", "exit 1")
	dir := t.TempDir()
	go func() {
		waitFor(t, "npm", func() bool { _, err := os.Stat(mark); return err == nil })
		cancel()
	}()
	if _, err := agents.InstallToolchain(ctx, lockFiles, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	nothingLeft(t, "sleep 975")
	if left, _ := filepath.Glob(filepath.Join(dir, "*[^k]")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
