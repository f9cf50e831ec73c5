package vllm

import (
	"fmt"
	"strings"
)

// StartError is a vLLM that did not start, or has ended.
type StartError struct {
	// Phase is how far it came.
	Phase Phase
	// Exited reports whether it has ended; else it still ran when it was given up.
	Exited bool
	// Status is its exit status; -1 where it has none: it still ran, or something
	// killed it and everything around it.
	Status int
	// Cause is the known failure that its log shows; nil where there is none.
	Cause *Cause
	// Advice says what to change.
	Advice string
	// Lines are the last lines of its log that matter, at most 30, without secrets.
	Lines []string
	// Err is why it was given up while it ran; nil where it ended by itself.
	Err error
}

func (e *StartError) Error() string {
	var b strings.Builder
	switch {
	case e.Exited && e.Status >= 0:
		fmt.Fprintf(&b, "vLLM ended with status %d while %s", e.Status, e.Phase.doing())
	case e.Exited:
		fmt.Fprintf(&b, "vLLM was killed while %s", e.Phase.doing())
	default:
		fmt.Fprintf(&b, "vLLM was given up while %s", e.Phase.doing())
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %s", strings.TrimRight(e.Cause.Text, ". "))
	}
	if e.Advice != "" {
		fmt.Fprintf(&b, "; %s", e.Advice)
	}
	if len(e.Lines) > 0 {
		b.WriteString("\n  vllm.log ends with:")
		for _, line := range e.Lines {
			b.WriteString("\n    " + line)
		}
	}
	return b.String()
}

// Unwrap returns why it was given up.
func (e *StartError) Unwrap() error { return e.Err }

// advise is what to do about an end of no known cause.
func advise(p Phase, exited bool, status int) string {
	switch {
	case exited && (status == 137 || status < 0):
		return "something killed it, most often the kernel because the machine's memory (RAM) was full: take a machine with more"
	case p == PhaseInstall:
		return "check vllm_version, pip_constraints and pip_extra_index_url in the model file, and that the machine reaches the package index"
	case status == 127:
		return "a program was not found: choose an image with Python or with the pinned vLLM"
	}
	return "this is none of the failures that are known here: look at the log"
}
