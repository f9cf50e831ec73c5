package play_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/benchmarks/internal/play"
	"github.com/x/dail/sim"
)

func call(tool, input string) sim.Call {
	return sim.Call{Tool: tool, Input: json.RawMessage(input), Expect: sim.OK}
}

// What Claude Code refuses, the player refuses.
func TestSession(t *testing.T) {
	const file = `"file_path": "{{cwd}}/a.txt"`
	read := call("Read", `{`+file+`}`)
	tests := []struct {
		name  string
		calls []sim.Call
		want  sim.Status // of the last call
		text  string     // part of its answer
	}{
		{"read", []sim.Call{read}, sim.OK, "one one two"},
		{"read what is not there", []sim.Call{call("Read", `{"file_path": "{{cwd}}/b.txt"}`)}, sim.Error, "cannot read"},
		{"write a new file", []sim.Call{call("Write", `{"file_path": "{{cwd}}/x/y.txt", "content": "z"}`)}, sim.OK, ""},
		{"overwrite unread", []sim.Call{call("Write", `{`+file+`, "content": "z"}`)}, sim.Error, "not been read"},
		{"overwrite after a read", []sim.Call{read, call("Write", `{`+file+`, "content": "z"}`)}, sim.OK, ""},
		{"edit unread", []sim.Call{call("Edit", `{`+file+`, "old_string": "two", "new_string": "z"}`)}, sim.Error, "not been read"},
		{"edit", []sim.Call{read, call("Edit", `{`+file+`, "old_string": "two", "new_string": "z"}`)}, sim.OK, ""},
		{"edit what occurs twice", []sim.Call{read, call("Edit", `{`+file+`, "old_string": "one", "new_string": "z"}`)}, sim.Error, "2 times"},
		{"edit all that occurs", []sim.Call{read, call("Edit", `{`+file+`, "old_string": "one", "new_string": "z", "replace_all": true}`)}, sim.OK, ""},
		{"edit what is not there", []sim.Call{read, call("Edit", `{`+file+`, "old_string": "six", "new_string": "z"}`)}, sim.Error, "does not occur"},
		{"edit to the same", []sim.Call{read, call("Edit", `{`+file+`, "old_string": "two", "new_string": "two"}`)}, sim.Error, "equal"},
		{"edit after a command changed it", []sim.Call{read, call("Bash", `{"command": "echo two > a.txt"}`), call("Edit", `{`+file+`, "old_string": "two", "new_string": "z"}`)}, sim.Error, "changed"},
		{"glob", []sim.Call{call("Glob", `{"pattern": "*", "path": "{{cwd}}"}`)}, sim.OK, ""},
		{"grep", []sim.Call{call("Grep", `{"pattern": "^one", "path": "{{cwd}}", "output_mode": "content"}`)}, sim.OK, "one one two"},
		{"grep with a bad pattern", []sim.Call{call("Grep", `{"pattern": "(", "path": "{{cwd}}"}`)}, sim.Error, "bad pattern"},
		{"a command", []sim.Call{call("Bash", `{"command": "cat a.txt", "description": "look"}`)}, sim.OK, "one one two"},
		{"a command that fails", []sim.Call{call("Bash", `{"command": "echo why >&2; exit 3"}`)}, sim.Error, "Exit code 3\nwhy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := workspace(t)
			var turns []sim.Turn
			for _, c := range tt.calls {
				turns = append(turns, sim.Turn{Calls: []sim.Call{c}})
			}
			outcomes, err := p.Session(t.Context(), turns)
			if err != nil || len(outcomes) != len(tt.calls) {
				t.Fatalf("%d outcomes, %v", len(outcomes), err)
			}
			last := outcomes[len(outcomes)-1]
			if last.Got != tt.want || !strings.Contains(last.Text, tt.text) {
				t.Errorf("%s: %q; want %s with %q", last.Got, last.Text, tt.want, tt.text)
			}
			if last.Got == sim.Error && sim.StatusOf("Error: "+last.Text) != sim.Error {
				t.Error("the engine would take this for a success")
			}
		})
	}
}

// What is read in one session is not known in the next.
func TestSessionsForget(t *testing.T) {
	p := workspace(t)
	if _, err := p.Session(t.Context(), []sim.Turn{{Calls: []sim.Call{call("Read", `{"file_path": "{{cwd}}/a.txt"}`)}}}); err != nil {
		t.Fatal(err)
	}
	got, err := p.Session(t.Context(), []sim.Turn{{Calls: []sim.Call{call("Edit", `{"file_path": "{{cwd}}/a.txt", "old_string": "two", "new_string": "z"}`)}}})
	if err != nil || got[0].Got != sim.Error {
		t.Errorf("%+v, %v", got, err)
	}
}

// A cassette that asks for something which no client could do is an error.
func TestUnplayable(t *testing.T) {
	for _, tt := range []struct{ tool, input, want string }{
		{"Teleport", `{}`, "does not know the tool"},
		{"Read", `{}`, `"file_path" is missing`},
		{"Read", `{"file_path": "/etc/passwd"}`, "not inside"},
		{"Read", `{"file_path": "{{cwd}}/../a"}`, "not inside"},
		{"Write", `{"file_path": "{{cwd}}/a", "content": "x", "mode": 7}`, `"mode" is not known`},
		{"Bash", `{"cmd": "ls"}`, `"command" is missing`},
	} {
		_, err := workspace(t).Session(t.Context(), []sim.Turn{{Calls: []sim.Call{call(tt.tool, tt.input)}}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v; want %q", tt.tool, tt.input, err, tt.want)
		}
	}
}

func workspace(t *testing.T) play.Player {
	t.Helper()
	p := play.Player{Dir: t.TempDir(), Env: os.Environ()}
	if err := os.WriteFile(filepath.Join(p.Dir, "a.txt"), []byte("one one two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}
