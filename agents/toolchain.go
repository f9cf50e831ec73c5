package agents

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/x/dail/internal/install"
)

// Toolchain is an installed set of the programs that agents and gates use.
type Toolchain struct {
	// Dir is the folder that holds it.
	Dir string
}

// NodeModules is the folder of the installed packages.
func (t Toolchain) NodeModules() string { return filepath.Join(t.Dir, "node_modules") }

// Bin is the folder of the installed programs, for PATH.
func (t Toolchain) Bin() string { return filepath.Join(t.NodeModules(), ".bin") }

// Claude is the Claude Code program.
func (t Toolchain) Claude() string { return filepath.Join(t.Bin(), "claude") }

// claudePackage is Claude Code's name in the lock file.
const claudePackage = "@anthropic-ai/claude-code"

// InstallToolchain installs what lock says, unless it is there already. Lock
// holds package.json and package-lock.json; the latter decides every byte. The
// toolchain goes into a folder of dir that is named by the lock's hash, so
// versions live side by side, and it appears there whole or not at all, also
// when several programs install at once. What goes on is told to progress (nil:
// nobody), a line at a time.
//
// It needs npm, Node 20 or newer, and npm's registry or a filled npm cache.
func InstallToolchain(ctx context.Context, lock fs.FS, dir string, progress io.Writer) (Toolchain, error) {
	in, err := newInstaller(lock, dir, progress)
	if err != nil {
		return Toolchain{}, fmt.Errorf("agents: toolchain: %w", err)
	}
	if err := in.install(ctx); err != nil {
		return Toolchain{}, fmt.Errorf("agents: toolchain: %w", err)
	}
	return Toolchain{Dir: in.target}, nil
}

type installer struct {
	files    map[string][]byte
	pinned   string // Claude Code's version in the lock; "" if it is not there
	dir      string
	target   string
	progress io.Writer
}

func newInstaller(lock fs.FS, dir string, progress io.Writer) (*installer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	in := &installer{files: map[string][]byte{}, dir: dir, progress: progress}
	if progress == nil {
		in.progress = io.Discard
	}
	// Two systems that share a home folder need two installs.
	h := sha256.New()
	fmt.Fprintf(h, "%s/%s\n", runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := fs.ReadFile(lock, name)
		if err != nil {
			return nil, err
		}
		in.files[name] = b
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	in.target = filepath.Join(dir, hex.EncodeToString(h.Sum(nil))[:12])

	var parsed struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(in.files["package-lock.json"], &parsed); err != nil {
		return nil, fmt.Errorf("package-lock.json: %w", err)
	}
	in.pinned = parsed.Packages["node_modules/"+claudePackage].Version
	return in, nil
}

func (in *installer) say(format string, args ...any) {
	fmt.Fprintf(in.progress, format+"\n", args...)
}

func (in *installer) install(ctx context.Context) error {
	var took time.Duration
	err := install.Once(ctx, in.target, in.say, func(tmp string) error {
		for name, b := range in.files {
			if err := os.WriteFile(filepath.Join(tmp, name), b, 0o644); err != nil {
				return err
			}
		}
		in.say("installing the toolchain into %s (npm ci, some 400 MB, once)", in.target)
		start := time.Now()
		if err := in.npm(ctx, tmp); err != nil {
			return err
		}
		took = time.Since(start)
		return in.verify(ctx, Toolchain{Dir: tmp})
	})
	if err == nil && took > 0 {
		in.say("installed the toolchain in %.0f s", took.Seconds())
	}
	return err
}

// npm runs npm ci in dir.
func (in *installer) npm(ctx context.Context, dir string) error {
	out, code, err := in.run(ctx, dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts=false", "--no-progress")
	if errors.Is(err, errNotFound) {
		return fmt.Errorf("npm is not on PATH: install Node 20 or newer (https://nodejs.org), which brings it (PATH is %s)", os.Getenv("PATH"))
	}
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("npm ci ended with exit status %d:\n%s", code, npmErrors(out))
	}
	return nil
}

// verify sees that the installed programs run. npm may have been told not to
// run the packages' install scripts, on which Claude Code's program depends.
func (in *installer) verify(ctx context.Context, t Toolchain) error {
	if in.pinned == "" {
		return nil
	}
	why := in.tryClaude(ctx, t.Claude())
	if why == nil {
		return nil
	}
	pkg := filepath.Join(t.NodeModules(), claudePackage)
	if out, code, err := in.run(ctx, pkg, "node", "install.cjs"); err == nil && code == 0 {
		if in.tryClaude(ctx, t.Claude()) == nil {
			return nil
		}
	} else {
		why = fmt.Errorf("%w; its install script did not help (exit status %d, %v): %s", why, code, err, lastLines(out, 5))
	}
	// The program itself is in a package for this platform.
	found, _ := filepath.Glob(pkg + "-*/claude")
	for _, native := range found {
		if in.tryClaude(ctx, native) != nil {
			continue
		}
		rel, err := filepath.Rel(t.Bin(), native)
		if err != nil {
			return err
		}
		if err := errors.Join(os.Remove(t.Claude()), os.Symlink(rel, t.Claude())); err != nil {
			return fmt.Errorf("linking Claude Code: %w", err)
		}
		return nil
	}
	return fmt.Errorf("Claude Code %s was installed but does not run: %w; run npm without ignore-scripts and omit settings (npm config get ignore-scripts), or give a program of your own with -claude PATH", in.pinned, why)
}

// tryClaude reports what keeps this program from being the pinned Claude Code.
func (in *installer) tryClaude(ctx context.Context, path string) error {
	out, code, err := in.run(ctx, in.dir, path, "--version")
	switch first, _, _ := strings.Cut(out, " "); {
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("%s --version ended with exit status %d: %s", path, code, lastLines(out, 5))
	case strings.TrimSpace(first) != in.pinned:
		return fmt.Errorf("%s --version says %q", path, strings.TrimSpace(out))
	}
	return nil
}

// run runs one program to its end, tells every ten seconds that it still does,
// and returns the end of what it printed.
func (in *installer) run(ctx context.Context, dir string, argv ...string) (string, int, error) {
	env := installEnv(os.Environ())
	path, err := lookPath(argv[0], os.Getenv("PATH"), dir)
	if err != nil {
		return "", -1, err
	}
	start := time.Now()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	done := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				in.say("still at it after %.0f s: %s", time.Since(start).Seconds(), strings.Join(argv, " "))
			}
		}
	}()
	out := &tail{max: 64 << 10}
	p := process{argv: append([]string{path}, argv[1:]...), env: env, dir: dir, stdout: out, stderr: out, grace: 2 * time.Second}
	exit, err := p.run(ctx)
	close(done)
	<-told
	if err == nil && exit.Stopped {
		err = context.Cause(ctx)
	}
	return out.text(), exit.status(), err
}

// installEnv takes from an environment what npm and Node need: where things
// are, how to reach the registry, npm's own settings. Install scripts see it,
// so the keys that this program may hold are not among it.
func installEnv(all []string) []string {
	names := map[string]bool{
		"PATH": true, "HOME": true, "USER": true, "LOGNAME": true, "SHELL": true, "LANG": true, "TMPDIR": true,
		"HTTP_PROXY": true, "HTTPS_PROXY": true, "NO_PROXY": true, "ALL_PROXY": true,
		"SSL_CERT_FILE": true, "SSL_CERT_DIR": true, "NODE_EXTRA_CA_CERTS": true, "NODE_OPTIONS": true,
	}
	var env []string
	for _, kv := range all {
		name, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		if names[upper] || strings.HasPrefix(upper, "NPM_") || strings.HasPrefix(upper, "XDG_") {
			env = append(env, kv)
		}
	}
	return env
}

// lastLines returns the last n lines of a text.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// npmErrors picks what npm says of an error: its first lines. The last ones
// are its usage, for some errors, and the name of a log.
func npmErrors(out string) string {
	var errs []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		text, ok := strings.CutPrefix(line, "npm error")
		if !ok {
			text, ok = strings.CutPrefix(line, "npm ERR!") // before npm 10
		}
		if ok && strings.TrimSpace(text) != "" && len(errs) < 12 {
			errs = append(errs, line)
		}
	}
	if len(errs) == 0 {
		return lastLines(out, 12)
	}
	return strings.Join(errs, "\n")
}
