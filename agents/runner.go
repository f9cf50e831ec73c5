package agents

import (
	"context"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Runner makes places for agents to work in: processes of this machine
// ([Local]), containers, pods of a cluster.
//
// Nothing here assumes that a place shares a disk or a loopback address with
// this program. What an agent sees of its place it is told by [Place.View];
// the workspace is handed in as a file system and is handed back, as a folder
// on this machine, when the place closes.
type Runner interface {
	// Open makes the place of one agent.
	Open(ctx context.Context, spec PlaceSpec) (Place, error)
	// Isolated reports whether what runs in a place is kept from this machine's
	// files and processes. A program that lets a real model loose where it is not
	// should ask its user first. What a place reaches over a network is another
	// question, which the runner's own settings answer.
	Isolated() bool
}

// PlaceSpec says what a place is for.
type PlaceSpec struct {
	// Name names the place in messages and labels, e.g. "n4-agent2".
	Name string
	// Workspace is the folder on this machine where the agent's work must lie
	// once the place is closed. It may be the workspace itself.
	Workspace string
	// Seed holds the files that the workspace starts with; nil for none.
	Seed fs.FS
	// Gateway is the base URL of the model's gateway as this machine reaches it.
	Gateway string
}

// Place is where one agent works, phase after phase.
type Place interface {
	// View says what is where, as seen from inside the place.
	View() View
	// Run runs one command in the workspace until it has ended, or until ctx is
	// done and it was made to. When Run returns, nothing that the command
	// started is alive: it is asked to end first, and forced to then. A command
	// that could be started gives no error, whatever its exit; an error says
	// that it could not be, or that something of it could not be ended.
	Run(ctx context.Context, cmd Command) (Exit, error)
	// Close ends what is left, brings the workspace home, and gives the place
	// back. It must be called, and works also after ctx of Open is done.
	Close(ctx context.Context) error
}

// View is a place as seen from inside: paths and addresses that mean something
// to a command there, and maybe nothing here.
type View struct {
	Workspace string // the working directory of every command
	Home      string // an empty home folder, the agent's own
	Config    string // an empty folder for the agent program's own files
	Temp      string // the folder for temporary files
	Gateway   string // the base URL of the model's gateway
}

// Command is one program to run in a place.
type Command struct {
	// Argv is the program and its arguments. A program without a slash is
	// looked up in the place's PATH.
	Argv []string
	// Env is added to the place's own small environment (PATH, HOME, TMPDIR,
	// LANG and the like). Nothing else is inherited.
	Env map[string]string
	// Secret is added too, and is never written down: not into results, not
	// into transcripts, not into errors.
	Secret map[string]string
	// Stdin is what the program reads.
	Stdin string
	// Stdout and Stderr take what it prints, as it prints it. Nil discards. If
	// both are the same writer, it is used by one goroutine at a time.
	Stdout, Stderr io.Writer
}

// Exit is how a command ended.
type Exit struct {
	Code   int    // the exit status; -1 where a signal ended it
	Signal string // that signal's name, e.g. "SIGKILL"
	// Stopped says that the command did not end by itself: ctx was done.
	Stopped bool
	// Leftovers counts the processes, other than the command itself, that were
	// still alive when it had ended or had to end, and were ended too.
	Leftovers int
}

// status is the exit as a shell tells it.
func (e Exit) status() int {
	if e.Signal != "" {
		return 128 + int(unix.SignalNum(e.Signal))
	}
	return e.Code
}
