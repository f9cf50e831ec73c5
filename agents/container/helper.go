package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/x/dail/internal/airlock"
	"github.com/x/dail/internal/linkfarm"
)

// helperDir is where the program that serves a container's stdin and stdout stands
// in its module.
const helperDir = "infra/toolchain/inside"

// helperSource is a module of its own: all that the helper is built of, but for the
// go command and the modules that its go.sum names. The image's tag covers it, and
// the helper is built of it and not of a checkout, which may be another one's.
func (i Image) helperSource() (map[string][]byte, error) {
	inside, err := fs.Sub(i.Toolchain, "inside")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for dir, from := range map[string]fs.FS{helperDir: inside, "internal/airlock": airlock.Source(), "internal/linkfarm": linkfarm.Source()} {
		entries, err := fs.ReadDir(from, ".")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		for _, e := range entries {
			b, err := fs.ReadFile(from, e.Name())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", dir, err)
			}
			switch e.Name() {
			case "helper.mod":
				files["go.mod"] = b
			case "helper.sum":
				files["go.sum"] = b
			default:
				files[path.Join(dir, e.Name())] = b
			}
		}
	}
	return files, nil
}

// buildHelper builds the program in the image.
func buildHelper(ctx context.Context, source map[string][]byte, arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "dail-inside-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for name, b := range source {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return nil, err
		}
	}
	out := filepath.Join(dir, "helper")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./"+helperDir)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir, "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOWORK=off", "GOFLAGS=-mod=readonly")
	if said, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("the go command, which builds the helper in it, is not on the PATH")
	} else if err != nil {
		return nil, fmt.Errorf("go build of the helper: %s (%w)", bytes.TrimSpace(said), err)
	}
	return os.ReadFile(out)
}
