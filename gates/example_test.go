package gates_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/x/dail/gates"
)

// An agent was asked for hello.txt. The hidden file says what must be in it.
func ExampleScore() {
	workspace, err := os.MkdirTemp("", "workspace-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(workspace)
	if err := os.WriteFile(filepath.Join(workspace, "hello.txt"), []byte("PONG\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	verdict, err := gates.Score(context.Background(), gates.Place{
		Execer:    here{}, // in a program: agents.Local{…}
		Workspace: workspace,
		Files:     fstest.MapFS{"expected.txt": {Data: []byte("PONG\n")}},
	}, []gates.Gate{
		{ID: "exists", Cmd: "test -f hello.txt"},
		{ID: "acceptance", Cmd: "cmp hello.txt expected.txt"},
		{ID: "tidy", Cmd: "echo there is no README; test -f README.md"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range verdict.Results {
		fmt.Printf("%s: %v, exit status %d %q\n", r.ID, r.Passed, r.ExitCode, r.Output)
	}
	fmt.Println("passed:", verdict.Passed)
	// Output:
	// exists: true, exit status 0 ""
	// acceptance: true, exit status 0 ""
	// tidy: false, exit status 1 "there is no README\n"
	// passed: false
}
