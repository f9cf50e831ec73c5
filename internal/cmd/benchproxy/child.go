package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// A stage is a running process behind which a path goes.
type stage struct {
	url string
	// tokens are its callers'; nil where it asks for none.
	tokens []string
	// stats reads its figures; with collect after a garbage collection.
	stats func(ctx context.Context, collect bool) (stats, error)
	// nextLevel revokes the tokens and gets new ones; nil without tokens.
	nextLevel func(ctx context.Context) error
	// profile starts the CPU profile, or ends and returns it; nil where it has
	// none.
	profile func(ctx context.Context, verb string) ([]byte, error)
	stop    func()
}

// childGrace is how long a child may take to start or to end.
const childGrace = 20 * time.Second

// startRole starts this program again as spec. The child ends with its stdin,
// with ctx, and, on Linux, with this process.
func startRole(ctx context.Context, spec roleSpec, stderr io.Writer) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	arg, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, roleFlag, string(arg))
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = time.Second
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s process: %w", spec.Role, err)
	}
	stop := func() {
		stdin.Close()
		kill := time.AfterFunc(childGrace, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait() // how it ends says nothing: it holds nothing
	}
	var h hello
	late := time.AfterFunc(childGrace, func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	late.Stop()
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("the %s process did not start: %w (its reason stands above)", spec.Role, err)
	}
	s := &stage{url: h.URL, stop: stop}
	s.stats = func(ctx context.Context, collect bool) (stats, error) {
		url := h.Control + "/stats"
		if collect {
			url += "?gc"
		}
		var st stats
		body, err := askControl(ctx, "GET", url)
		if err == nil {
			err = json.Unmarshal(body, &st)
		}
		if err != nil {
			err = fmt.Errorf("figures of the %s process: %w", spec.Role, err)
		}
		return st, err
	}
	s.profile = func(ctx context.Context, verb string) ([]byte, error) {
		return askControl(ctx, "POST", h.Control+"/profile/"+verb)
	}
	if spec.Role == "native" || spec.Role == "destream" {
		s.nextLevel = func(ctx context.Context) error {
			body, err := askControl(ctx, "POST", h.Control+"/level")
			if err != nil {
				return err
			}
			return json.Unmarshal(body, &s.tokens)
		}
		if err := s.nextLevel(ctx); err != nil {
			stop()
			return nil, fmt.Errorf("tokens of the %s process: %w", spec.Role, err)
		}
	}
	return s, nil
}
