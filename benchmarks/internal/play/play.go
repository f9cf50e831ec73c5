// Package play carries out the tool calls of a cassette in a workspace, without
// a model and without Claude Code. It knows as much of Claude Code's tools as
// decides whether a call succeeds, so that the author of a cassette learns in a
// second what a real run would tell in a minute:
//
//	p := play.Player{Dir: workspace, Env: env}
//	for _, phase := range cassette.Phases() {
//		outcomes, err := p.Session(ctx, phase.Turns)
//		…
//	}
package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/x/dail/sim"
)

// Outcome is what became of one call.
type Outcome struct {
	Turn, Call int // from 0
	Tool       string
	Want, Got  sim.Status
	Text       string // what the tool answered
}

// Player plays turns in Dir.
type Player struct {
	Dir string   // the workspace, an absolute path
	Env []string // of the Bash calls, complete
}

// Session plays the turns of one session and returns an outcome for each call.
// It plays on after an unexpected status: whether that matters is the caller's
// to say. The error is for a cassette that cannot be played at all.
func (p Player) Session(ctx context.Context, turns []sim.Turn) ([]Outcome, error) {
	s := session{Player: p, seen: map[string]string{}}
	var outcomes []Outcome
	for i, turn := range turns {
		for j, call := range turn.Calls {
			text, err := s.call(ctx, call)
			var refused *toolError
			if err != nil && !errors.As(err, &refused) {
				return outcomes, fmt.Errorf("turn %d, call %d (%s): %w", i, j, call.Tool, err)
			}
			got := sim.OK
			if err != nil {
				got, text = sim.Error, err.Error()
			}
			outcomes = append(outcomes, Outcome{Turn: i, Call: j, Tool: call.Tool, Want: call.Expect, Got: got, Text: text})
		}
	}
	return outcomes, nil
}

// toolError is a tool's error result, which the model gets to see.
type toolError struct{ text string }

func (e *toolError) Error() string { return e.text }

func refuse(format string, args ...any) error {
	return &toolError{fmt.Sprintf(format, args...)}
}

// session is the state that Claude Code keeps between the calls of one session.
type session struct {
	Player
	seen map[string]string // path → content as the session last saw it
}

func (s *session) call(ctx context.Context, c sim.Call) (string, error) {
	in := input{dir: s.Dir}
	if err := json.Unmarshal([]byte(c.Arguments(s.Dir)), &in.values); err != nil {
		return "", err
	}
	var do func() (string, error)
	switch c.Tool {
	case "Read":
		path := in.path("file_path")
		do = func() (string, error) { return s.read(path) }
	case "Write":
		path, content := in.path("file_path"), in.text("content")
		do = func() (string, error) { return "", s.write(path, content) }
	case "Edit":
		path, old, replacement, all := in.path("file_path"), in.text("old_string"), in.text("new_string"), in.flag("replace_all")
		do = func() (string, error) { return "", s.edit(path, old, replacement, all) }
	case "Glob":
		in.text("pattern")
		path := in.path("path")
		do = func() (string, error) { return "", s.exists(path) }
	case "Grep":
		pattern, path := in.text("pattern"), in.path("path")
		in.optional("output_mode", "-n", "-i", "-A", "-B", "-C", "glob", "type", "head_limit", "multiline")
		do = func() (string, error) { return s.grep(path, pattern) }
	case "Bash":
		command := in.text("command")
		in.optional("description", "timeout")
		do = func() (string, error) { return s.bash(ctx, command) }
	default:
		return "", fmt.Errorf("the player does not know the tool %q; teach it in benchmarks/internal/play", c.Tool)
	}
	if err := in.finish(); err != nil {
		return "", err
	}
	return do()
}

func (s *session) read(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", refuse("cannot read: %v", err)
	}
	s.seen[path] = string(data)
	return string(data), nil
}

// unchanged refuses to touch a file that the session has not read, or that has
// changed since.
func (s *session) unchanged(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return refuse("cannot read: %v", err)
	}
	switch known, ok := s.seen[path]; {
	case !ok:
		return refuse("%s has not been read in this session", path)
	case known != string(data):
		return refuse("%s has changed since it was read", path)
	}
	return nil
}

func (s *session) write(path, content string) error {
	if _, err := os.Stat(path); err == nil {
		if err := s.unchanged(path); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	s.seen[path] = content
	return os.WriteFile(path, []byte(content), 0o644)
}

func (s *session) edit(path, old, replacement string, all bool) error {
	if err := s.unchanged(path); err != nil {
		return err
	}
	n := strings.Count(s.seen[path], old)
	switch {
	case old == replacement:
		return refuse("old_string and new_string are equal")
	case n == 0:
		return refuse("old_string does not occur in %s", path)
	case n > 1 && !all:
		return refuse("old_string occurs %d times in %s", n, path)
	}
	s.seen[path] = strings.ReplaceAll(s.seen[path], old, replacement)
	return os.WriteFile(path, []byte(s.seen[path]), 0o644)
}

func (s *session) exists(path string) error {
	if _, err := os.Stat(path); err != nil {
		return refuse("cannot search: %v", err)
	}
	return nil
}

// grep answers the lines of the file, or of the files under the folder, that
// match.
func (s *session) grep(path, pattern string) (string, error) {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return "", refuse("bad pattern: %v", err)
	}
	if err := s.exists(path); err != nil {
		return "", err
	}
	var found []string
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if re.MatchString(line) {
				found = append(found, line)
			}
		}
		return nil
	})
	return strings.Join(found, ""), err
}

func (s *session) bash(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit):
		return "", refuse("Exit code %d\n%s", exit.ExitCode(), out)
	}
	return string(out), err
}

// input reads a call's input strictly: a key that is missing, of a wrong type
// or not read at all is an error.
type input struct {
	dir    string
	values map[string]any
	known  []string
	errs   []error
}

func (in *input) text(key string) string {
	in.known = append(in.known, key)
	v, ok := in.values[key].(string)
	if !ok {
		in.errs = append(in.errs, fmt.Errorf("input %q is missing, or no text", key))
	}
	return v
}

func (in *input) flag(key string) bool {
	in.known = append(in.known, key)
	v, _ := in.values[key].(bool)
	return v
}

// path is a text that must name a place inside the workspace.
func (in *input) path(key string) string {
	path := in.text(key)
	if rel, err := filepath.Rel(in.dir, path); err != nil || !filepath.IsLocal(rel) {
		in.errs = append(in.errs, fmt.Errorf("input %q is %q, which is not inside {{cwd}}", key, path))
	}
	return path
}

func (in *input) optional(keys ...string) { in.known = append(in.known, keys...) }

func (in *input) finish() error {
	for key := range in.values {
		if !slices.Contains(in.known, key) {
			in.errs = append(in.errs, fmt.Errorf("input %q is not known to this tool", key))
		}
	}
	return errors.Join(in.errs...)
}
