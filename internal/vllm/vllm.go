// Package vllm starts vLLM on a machine that runs commands, and says how far
// the start is and what to change when it fails.
//
//	err := vllm.Launch(ctx, link, recipe) // returns as soon as it is detached
//	port, err := vllm.Watch(ctx, link, clk, func(e vllm.Event) { say(e.Text) })
//	// port listens on the machine's 127.0.0.1; reach it through a tunnel
//	defer vllm.Stop(ctx, link)
//
// Everything of ours on the machine lies in $DAIL_ROOT/.dail (DAIL_ROOT is
// /workspace where the machine does not set it): vllm.sh (what was started),
// vllm.log, vllm.pid (its process group) and vllm.born (when that process was
// started, so that nobody takes another one of that number for it), vllm.port,
// vllm.exit (the status, once it has ended), composed.yaml. The scripts need a
// POSIX shell and coreutils; where there is no /proc, ps.
//
// The image's vLLM is used where it is the pinned version; else a virtual
// environment $DAIL_ROOT/venv-<version> is made, and found again by a later
// start. Paths of the configuration under /workspace mean $DAIL_ROOT, and a
// $DAIL_PORT of the machine goes before the configured port.
//
// Secrets go over stdin into the environment of vLLM's process, and nowhere
// else: no argument list, no file, no message.
package vllm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Machine is where vLLM runs.
type Machine interface {
	// Run executes a shell command and returns its stdout; an error where its
	// status is not 0 or it is not known.
	Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error)
	// Upload writes a file at an absolute path, as a whole or not at all.
	Upload(ctx context.Context, path string, mode fs.FileMode, content []byte) error
}

// Recipe is what is started. Nothing in it but Secrets is secret.
type Recipe struct {
	// Args is what follows "vllm serve"; see compose.Run.VLLMArgs. The values of
	// --port and --download-dir are the machine's in the end.
	Args    []string
	Version string // pinned vLLM, e.g. "0.11.0"; empty: whatever the image has
	Env     map[string]string
	// PipConstraints are further requirements of the install, e.g. "transformers<5".
	PipConstraints   []string
	PipExtraIndexURL string
	Composed         []byte // composed.yaml, kept beside the log for people; may be nil
	// Secrets are variables such as HF_TOKEN.
	Secrets map[string]string
	Port    int // 0: the one in Args, else 8000
}

// Launch starts vLLM in the background of the machine, in the place of one
// that a former Launch started, and returns when it no longer needs us. An
// error means that nothing was started; what happens after that is [Watch]'s.
func Launch(ctx context.Context, m Machine, r Recipe) error {
	script, err := r.script()
	if err != nil {
		return err
	}
	exports, err := exports(r.Secrets)
	if err != nil {
		return err
	}
	dir, err := prepare(ctx, m)
	if err != nil {
		return err
	}
	if err := m.Upload(ctx, dir+"/composed.yaml", 0o600, r.Composed); err != nil {
		return fmt.Errorf("uploading composed.yaml: %w", err)
	}
	if err := m.Upload(ctx, dir+"/vllm.sh", 0o700, []byte(script)); err != nil {
		return fmt.Errorf("uploading vllm.sh: %w", err)
	}
	if _, err := run(ctx, m, exports+library+launchScript); err != nil {
		return fmt.Errorf("launching vllm.sh: %w", err)
	}
	return nil
}

// Stop ends vLLM, or its installation, and waits until it has ended: politely,
// and after 15 s not so. It succeeds where nothing runs.
func Stop(ctx context.Context, m Machine) error {
	if _, err := run(ctx, m, library+"stop\n"); err != nil {
		return fmt.Errorf("stopping vLLM: %w", err)
	}
	return nil
}

// prepare makes our folder and returns its absolute path.
func prepare(ctx context.Context, m Machine) (string, error) {
	out, err := run(ctx, m, library+`mkdir -p "$dir" && chmod 700 "$dir" && cd "$dir" && printf 'dail-dir %s\n' "$PWD"`+"\n")
	if err != nil {
		return "", fmt.Errorf("making the folder .dail under $DAIL_ROOT (/workspace where it is not set): %w", err)
	}
	// A login may print a greeting first.
	_, dir, ok := bytes.Cut(out, []byte("dail-dir "))
	path := strings.TrimSuffix(string(dir), "\n")
	if !ok || !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("the machine answered %q when asked for its folder", clip(string(out), 200))
	}
	return path, nil
}

// run executes a script that goes over stdin: no part of it is seen in the
// machine's list of processes.
func run(ctx context.Context, m Machine, script string, args ...string) ([]byte, error) {
	command := "exec sh -s"
	if len(args) > 0 {
		command += " -- " + strings.Join(quoteAll(args), " ")
	}
	return m.Run(ctx, command, strings.NewReader(script))
}

var errNUL = errors.New("holds a NUL, which no argument or variable can")
