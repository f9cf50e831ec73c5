package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FlagFile is the File of a fault, or of an Origin, that lies in the request
// rather than in a file.
const FlagFile = "flag"

// Error is one fault of a configuration or of a request, where it is, and what
// to do about it. Merge reports every fault that it finds: errors.As reaches
// the first, Faults lists them all.
type Error struct {
	File   string // as it is shown; FlagFile for a fault of the request
	Line   int    // 1-based; 0 where File is not a file, or the fault is the file itself
	Column int    // 1-based, in characters
	Key    string // dotted, "task.phases[1].prompt"; for FlagFile the flag's name
	Msg    string // what is wrong
	Hint   string // what to do; may be empty
}

// Error renders "file:line:column: key: message; hint", or "-flag: message;
// hint".
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.File == FlagFile && e.Key != "":
		fmt.Fprintf(&b, "-%s: ", e.Key)
	default:
		if e.File != "" {
			b.WriteString(position(e.File, e.Line))
			if e.Line > 0 && e.Column > 0 {
				fmt.Fprintf(&b, ":%d", e.Column)
			}
			b.WriteString(": ")
		}
		if e.Key != "" {
			fmt.Fprintf(&b, "%s: ", e.Key)
		}
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Faults returns every *Error in err's tree, in the order in which they were
// found.
func Faults(err error) []*Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return []*Error{e}
	}
	switch u := err.(type) {
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, e := range u.Unwrap() {
			all = append(all, Faults(e)...)
		}
		return all
	case interface{ Unwrap() error }:
		return Faults(u.Unwrap())
	}
	return nil
}

// faults collects what is wrong while a request is composed.
type faults struct{ list []*Error }

func (f *faults) add(e *Error) {
	if e != nil && !slices.ContainsFunc(f.list, func(x *Error) bool { return *x == *e }) {
		f.list = append(f.list, e)
	}
}

func (f *faults) flag(name, hint, format string, args ...any) {
	f.add(&Error{File: FlagFile, Key: name, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func (f *faults) any() bool { return len(f.list) > 0 }

func (f *faults) err() error {
	errs := make([]error, len(f.list))
	for i, e := range f.list {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// position renders file:line, or the file alone where there is no line.
func position(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}
