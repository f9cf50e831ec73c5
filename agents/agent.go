package agents

import "time"

// Agent is a headless coding agent: how one phase of it is started, and how
// what it prints is read. [ClaudeCode] is the first. An Agent holds no state of
// a run, so that one value serves all agents of a fleet at once.
type Agent interface {
	// Command returns the command that runs one phase.
	Command(Job) (Command, error)
	// Reader returns a new reader for one phase's stdout.
	Reader() Reader
}

// Job is one phase as one agent has to do it.
type Job struct {
	Phase Phase
	View  View   // the place, as seen from inside
	Model string // the model's name, as the gateway knows it
	Token string // the gateway's token for this agent and phase; a secret
}

// Reader reads one phase's stdout, line by line, and judges it at the end. Its
// methods are called from one goroutine at a time. It must take any line:
// agents print what they like.
type Reader interface {
	// Line takes one line without its newline, seen at t, and returns what
	// there is to tell of it. Only Kind, Detail and Requests of the events are
	// looked at.
	Line(t time.Time, line []byte) []Event
	// Done reports whether the agent has given its result, so that what is left
	// for it to do is to exit.
	Done() bool
	// Result returns what was read, judged with how the process ended. Fatal
	// says that later phases would not be worth running.
	Result(End) (r PhaseResult, fatal bool)
}

// End is how a phase's process ended, as far as judging it goes.
type End struct {
	Exit Exit
	// Stopped says that it was ended by us: it lingered after its result, ran
	// out of time, or the fleet was cancelled. Nil: it ended by itself.
	Stopped error
}
