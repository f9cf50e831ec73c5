package container

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Image is what containers are made of: the toolchain's, and over it a
// benchmark's own, where it has one.
type Image struct {
	// Toolchain holds Dockerfile, package.json and package-lock.json, and under
	// inside/ the helper's program: infra/toolchain's FS.
	Toolchain fs.FS
	// Base replaces the Dockerfile's ARG BASE. Empty: what stands there.
	Base string
	// Overlay is a Dockerfile that begins with "ARG BASE" and "FROM ${BASE}": what
	// a benchmark needs besides. It is built without any file of the benchmark, so
	// that nothing hidden gets into it. Empty: none.
	Overlay []byte
	// Benchmark names the overlay's image.
	Benchmark string
}

// Tag is the name of the image of exactly this content.
func (i Image) Tag() (string, error) {
	_, tag, err := i.tags()
	return tag, err
}

// tags are the names of the toolchain's image and of the overlay's, which are the
// same where there is none.
func (i Image) tags() (base, tag string, err error) {
	all, err := i.made()
	if err != nil {
		return "", "", fmt.Errorf("container: the toolchain's image: %w", err)
	}
	h := digest(i.Base, all)
	base = "dail-toolchain:" + hex.EncodeToString(h.Sum(nil))[:12]
	if len(i.Overlay) == 0 {
		return base, base, nil
	}
	h.Write(i.Overlay)
	// An engine takes no capitals in an image's name; the hash tells two benchmarks apart.
	fmt.Fprintf(h, "benchmark %s", i.Benchmark)
	return base, fmt.Sprintf("dail-%s:%s", strings.ToLower(i.Benchmark), hex.EncodeToString(h.Sum(nil))[:12]), nil
}

// made is all that the toolchain's image is made of.
func (i Image) made() (map[string][]byte, error) {
	all, err := i.files()
	if err != nil {
		return nil, err
	}
	source, err := i.helperSource()
	if err != nil {
		return nil, fmt.Errorf("the helper in it: %w", err)
	}
	maps.Copy(all, source) // whose names are others
	return all, nil
}

func digest(base string, files map[string][]byte) hash.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "base %s\n", base)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %d\n%s", name, len(files[name]), files[name])
	}
	return h
}

// files are those of the toolchain that go into the image's making as they are.
func (i Image) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range []string{"Dockerfile", "package.json", "package-lock.json"} {
		b, err := fs.ReadFile(i.Toolchain, name)
		if err != nil {
			return nil, err
		}
		files[name] = b
	}
	return files, nil
}

// Ensure builds the image where the engine does not have it, and returns its name.
// What goes on is told to progress (nil: nobody), a line at a time.
//
// Building needs the go command, for the helper in the image, a way to the base
// image's registry, and npm's. Using an image that is there needs none of them.
func (i Image) Ensure(ctx context.Context, e Engine, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	base, tag, err := i.tags()
	if err != nil {
		return "", err
	}
	if e.has(ctx, tag) {
		return tag, nil
	}
	if !e.has(ctx, base) {
		files, err := i.context(ctx)
		if err != nil {
			return "", fmt.Errorf("container: the image %s is missing and cannot be built here: %w; build it elsewhere with make toolchain and bring it with docker save and docker load", base, err)
		}
		if err := e.build(ctx, base, i.Base, files, progress); err != nil {
			return "", fmt.Errorf("container: the image %s: %w; where its base cannot be reached, DAIL_BASE_IMAGE names another one (infra/toolchain/base-image makes one)", base, err)
		}
	}
	if tag == base {
		return tag, nil
	}
	files, err := archive(map[string][]byte{"Dockerfile": i.Overlay})
	if err == nil {
		err = e.build(ctx, tag, base, files, progress)
	}
	if err != nil {
		return "", fmt.Errorf("container: the image %s of benchmark %s: %w", tag, i.Benchmark, err)
	}
	return tag, nil
}

func (e Engine) has(ctx context.Context, tag string) bool {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	_, err := e.output(ctx, "image", "inspect", "--format", "{{.Id}}", tag)
	return err == nil
}

// context is what the toolchain's image is built from.
func (i Image) context(ctx context.Context) ([]byte, error) {
	files, err := i.files()
	if err != nil {
		return nil, err
	}
	source, err := i.helperSource()
	if err != nil {
		return nil, err
	}
	// Which of them it will be is known to the machine on which it is built.
	for _, arch := range []string{"amd64", "arm64"} {
		b, err := buildHelper(ctx, source, arch)
		if err != nil {
			return nil, err
		}
		files["inside-"+arch] = b
	}
	return archive(files)
}

// build builds an image from a context.
func (e Engine) build(ctx context.Context, tag, base string, files []byte, progress io.Writer) error {
	args := []string{"build", "--tag", tag, "--label", labelImage + "=" + tag}
	if base != "" {
		args = append(args, "--build-arg", "BASE="+base)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if os.Getenv(name) != "" {
			args = append(args, "--build-arg", name) // its value goes through the environment
		}
	}
	fmt.Fprintf(progress, "building the image %s (some minutes, once)\n", tag)
	start := time.Now()
	cmd := e.prepare(ctx, append(args, "-")...)
	said := &tail{}
	cmd.Stdin = bytes.NewReader(files)
	steps := &steps{to: progress, said: said}
	cmd.Stdout, cmd.Stderr = steps, steps // one writer, so that they come in order
	if err := e.explain(cmd.Run(), ctx, "build", said); err != nil {
		return err
	}
	fmt.Fprintf(progress, "built %s in %.0f s\n", tag, time.Since(start).Seconds())
	return nil
}

// steps passes the names of a build's steps on, and keeps the end of all.
type steps struct {
	to   io.Writer
	said *tail
	line []byte
}

// Write implements io.Writer.
func (s *steps) Write(p []byte) (int, error) {
	s.said.Write(p)
	for _, b := range p {
		if b != '\n' {
			s.line = append(s.line, b)
			continue
		}
		// "Step 3/9 : RUN …" of the classic builder, "#7 [3/9] RUN …" of BuildKit.
		line := string(s.line)
		if strings.HasPrefix(line, "Step ") || strings.HasPrefix(line, "STEP ") || strings.HasPrefix(line, "#") && strings.Contains(line, " [") {
			fmt.Fprintf(s.to, "  %.100s\n", line)
		}
		s.line = s.line[:0]
	}
	return len(p), nil
}

// archive makes a build's context. Times are left out, so that what is the same is
// the same for the engine's cache.
func archive(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}
