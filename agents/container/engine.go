package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Engine is a container engine behind its command. The zero value is the one that
// the docker command talks to, or podman where there is no docker.
type Engine struct {
	// Command is the program. Empty: docker, or podman where only that is there.
	Command string
	// Host is the engine's address, in place of what DOCKER_HOST, CONTAINER_HOST and
	// the command's context say. Empty: those.
	Host string

	patience time.Duration // bounds what has no other bound; 0: a minute
}

func (e Engine) command() string {
	if e.Command != "" {
		return e.Command
	}
	const usual, other = "docker", "podman"
	if _, err := exec.LookPath(usual); err != nil {
		if _, err := exec.LookPath(other); err == nil {
			return other
		}
	}
	return usual
}

// ErrNoEngine is a command that is not installed, or whose engine does not answer.
var ErrNoEngine = errors.New("no container engine answers")

// answerTime bounds the question whether an engine is there.
const answerTime = 20 * time.Second

// Check asks whether the engine is there. Its error wraps [ErrNoEngine], with the
// command's own words.
func (e Engine) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	// Docker and podman both know these words, and without an engine both fail.
	_, err := e.output(ctx, "ps", "--quiet", "--filter", "label="+labelRun+"=none")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	return nil
}

// bounded bounds one question to the engine, or one order.
func (e Engine) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.patience <= 0 {
		e.patience = time.Minute
	}
	return context.WithTimeoutCause(ctx, e.patience, fmt.Errorf("the engine did not answer within %v", e.patience))
}

// output runs the command to its end, and returns what it printed.
func (e Engine) output(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := e.run(ctx, nil, &out, args...)
	return strings.TrimSpace(out.String()), err
}

// run runs the command to its end. Its error holds the end of what the command
// said of it.
func (e Engine) run(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	cmd := e.prepare(ctx, args...)
	said := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, said
	return e.explain(cmd.Run(), ctx, args[0], said)
}

// prepare makes a call of the command. It stands in a process group of its own, so
// that Ctrl-C in a terminal reaches this program only, which then takes its leave
// of the container in order.
func (e Engine) prepare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.command(), args...)
	cmd.Env = environ(os.Environ())
	if e.Host != "" {
		// Docker's command reads the one and podman's the other; a flag that both
		// know there is not. The last of a name counts, and no context besides.
		cmd.Env = slices.DeleteFunc(cmd.Env, func(kv string) bool { return strings.HasPrefix(kv, "DOCKER_CONTEXT=") })
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+e.Host, "CONTAINER_HOST="+e.Host)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// explain makes an error of how the command ended, in its own words.
func (e Engine) explain(err error, ctx context.Context, verb string, said *tail) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not on the PATH: install Docker or podman", e.command())
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	if text := said.text(); text != "" {
		return fmt.Errorf("%s %s: %s (%w)", e.command(), verb, text, err)
	}
	return fmt.Errorf("%s %s: %w", e.command(), verb, err)
}

// environ takes from an environment what the command needs to find its engine and
// to log in to it. It holds no key of ours.
func environ(all []string) []string {
	var env []string
	for _, kv := range all {
		name, _, _ := strings.Cut(kv, "=")
		switch upper := strings.ToUpper(name); {
		case upper == "PATH", upper == "HOME", upper == "USER", upper == "TMPDIR", upper == "SSH_AUTH_SOCK",
			upper == "HTTP_PROXY", upper == "HTTPS_PROXY", upper == "NO_PROXY",
			strings.HasPrefix(upper, "DOCKER_"), strings.HasPrefix(upper, "CONTAINER_"), strings.HasPrefix(upper, "XDG_"):
			env = append(env, kv)
		}
	}
	return env
}

// tailBytes is how much of what a command says of an error is kept.
const tailBytes = 2048

// tail keeps the end of what is written to it.
type tail struct{ buf []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

// text is the tail as valid UTF-8 on one line.
func (t *tail) text() string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(t.buf), "")), " ")
}
