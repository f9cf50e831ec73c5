package litellm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/x/dail/internal/install"
)

// A Program is an installed LiteLLM.
type Program struct {
	// Python is the interpreter of its virtual environment.
	Python string
	// Version is LiteLLM's, for example "1.100.0".
	Version string
}

// malicious are uploads that stole credentials (24 March 2026).
func malicious(version string) bool { return version == "1.82.7" || version == "1.82.8" }

var pinned = regexp.MustCompile(`(?m)^litellm(?:\[[a-z,]*\])?==([0-9][0-9A-Za-z.]*)`)

// Install installs what requirements, a pip requirements file with hashes,
// says, unless it is there already. It goes into a folder of dir that is named
// by the file's hash. What goes on is told to progress (nil: nobody), a line at
// a time.
//
// It needs Python 3.10 or newer with its venv module, as python3 on PATH, and
// PyPI or a filled pip cache.
func Install(ctx context.Context, requirements []byte, dir string, progress io.Writer) (Program, error) {
	p, err := installOnce(ctx, requirements, dir, progress)
	if err != nil {
		return Program{}, fmt.Errorf("litellm: %w", err)
	}
	return p, nil
}

func installOnce(ctx context.Context, requirements []byte, dir string, progress io.Writer) (Program, error) {
	m := pinned.FindSubmatch(requirements)
	if m == nil {
		return Program{}, errors.New("the requirements pin no litellm: want a line litellm==VERSION with its hashes")
	}
	version := string(m[1])
	if malicious(version) {
		return Program{}, fmt.Errorf("version %s was a malicious upload that steals credentials: pin another", version)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Program{}, err
	}
	if progress == nil {
		progress = io.Discard
	}
	say := func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	key := sha256.Sum256([]byte(runtime.GOOS + "/" + runtime.GOARCH + "\n" + string(requirements)))
	target := filepath.Join(dir, hex.EncodeToString(key[:])[:12])
	err = install.Once(ctx, target, say, func(tmp string) error {
		say("installing LiteLLM %s into %s (pip, some 700 MB, once)", version, target)
		start := time.Now()
		if err := pip(ctx, tmp, requirements); err != nil {
			return err
		}
		say("installed LiteLLM in %.0f s", time.Since(start).Seconds())
		return nil
	})
	if err != nil {
		return Program{}, err
	}
	return Program{Python: filepath.Join(target, "bin", "python"), Version: version}, nil
}

// pip makes a virtual environment in dir and fills it.
func pip(ctx context.Context, dir string, requirements []byte) error {
	python, err := exec.LookPath("python3")
	if err != nil {
		return fmt.Errorf("python3 is not on PATH: -gateway litellm needs Python 3.10 or newer (on Debian: apt-get install python3-venv); -gateway native needs none")
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return err
	}
	if err := runQuiet(ctx, python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"); err != nil {
		return fmt.Errorf("%s is older than 3.10, or does not run: %w", python, err)
	}
	if err := runQuiet(ctx, python, "-m", "venv", dir); err != nil {
		return fmt.Errorf("python3 -m venv failed (on Debian: apt-get install python3-venv): %w", err)
	}
	// Only files whose hash is known are taken, and built ones only: an
	// installation runs no code of a package.
	// The list is whole. Left to look for what its entries want, pip takes
	// "pydantic[email]" for a package that nobody pinned as soon as there is a
	// newer pydantic than the list's, and refuses.
	return runQuiet(ctx, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", list)
}

// runQuiet runs a program of the installation. Its error ends with the last of
// what the program said.
func runQuiet(ctx context.Context, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = environment(os.Environ(), "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "PIP_CERT", "PIP_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_TRUSTED_HOST", "XDG_CACHE_HOME")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w:\n%s", strings.Join(argv[:min(len(argv), 4)], " "), err, lastLines(string(out), 8))
}

// environment picks from all what a child needs and nothing that may be a
// secret.
func environment(all []string, more ...string) []string {
	keep := map[string]bool{"PATH": true, "HOME": true, "LANG": true, "TMPDIR": true}
	for _, k := range more {
		keep[k] = true
	}
	var env []string
	for _, kv := range all {
		if name, _, _ := strings.Cut(kv, "="); keep[strings.ToUpper(name)] {
			env = append(env, kv)
		}
	}
	return env
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
