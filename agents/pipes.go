package agents

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// pipes connect a command with us. They are not os/exec's own, because its Wait
// would wait for whoever holds them, and so for a background process that is to
// be ended only after Wait.
type pipes struct {
	in, out, err, gate *os.File // our ends
	theirs             []*os.File
	copies             sync.WaitGroup

	stdin          string
	stdout, stderr io.Writer
}

// connect makes the pipes and gives the command its ends.
func (p *process) connect(cmd *exec.Cmd) (*pipes, error) {
	c := &pipes{stdin: p.stdin, stdout: p.stdout, stderr: p.stderr}
	var theirs [4]*os.File
	var errs [4]error
	theirs[0], c.in, errs[0] = os.Pipe()
	c.out, theirs[1], errs[1] = os.Pipe()
	c.err, theirs[2], errs[2] = os.Pipe()
	theirs[3], c.gate, errs[3] = os.Pipe()
	c.theirs = theirs[:]
	if err := errors.Join(errs[:]...); err != nil {
		c.started()
		c.close()
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = theirs[0], theirs[1], theirs[2], theirs[3:]
	if same(c.stdout, c.stderr) {
		cmd.Stderr, c.stderr = theirs[1], nil // the other pipe just ends
	}
	return c, nil
}

// started closes the command's ends, of which it has its own copies by now.
func (c *pipes) started() {
	for _, f := range c.theirs {
		f.Close() // a nil file gives an error, no more
	}
}

// close closes our ends.
func (c *pipes) close() {
	for _, f := range []*os.File{c.in, c.out, c.err, c.gate} {
		f.Close()
	}
}

// open lets the command begin, and begins to copy.
func (c *pipes) open() {
	_, _ = c.gate.WriteString("\n") // if nobody waits for it, Wait tells why
	c.copies.Go(func() {
		_, _ = io.WriteString(c.in, c.stdin) // a program need not read it all
		c.in.Close()
	})
	c.copies.Go(func() { copyAll(c.stdout, c.out) })
	c.copies.Go(func() { copyAll(c.stderr, c.err) })
}

// strayOutput is how long output is read on after a command's end. Where the disk
// is busy the last of it, and so the result, is read many seconds later.
const strayOutput = time.Minute

// drain waits for the last of the output. With the whole family dead, the pipes
// are at their end, unless one was handed to a process that is none of it: that
// one is not waited for long.
func (c *pipes) drain() {
	late := time.Now().Add(strayOutput)
	_ = c.in.SetWriteDeadline(time.Now())
	_ = c.out.SetReadDeadline(late)
	_ = c.err.SetReadDeadline(late)
	c.copies.Wait()
}

// copyAll copies to the end. If the writer fails, what comes is thrown away:
// the program must not stall on a full pipe.
func copyAll(w io.Writer, r *os.File) {
	if w != nil {
		if _, err := io.Copy(w, r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
	_, _ = io.Copy(io.Discard, r)
}

// same reports whether two writers are one. Some writers cannot be compared.
func same(a, b io.Writer) (yes bool) {
	defer func() { _ = recover() }()
	return a == b
}
