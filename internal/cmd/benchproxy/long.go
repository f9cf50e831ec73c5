package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/x/dail/agents"
)

// longestSilence is how long a stream may be silent. Agents give up after
// minutes; the gateway sends a ping every 10 s.
const longestSilence = 20 * time.Second

// longResult is one very long answer.
type longResult struct {
	AskedS         float64 `json:"asked_s"`
	TookS          float64 `json:"took_s"`
	Pings          int     `json:"pings"`
	LongestSilence float64 `json:"longest_silence_s"`
	Error          string  `json:"error,omitempty"`
	// UpstreamRequests counts what the server was asked; more than there were
	// clients means that one gave up and asked again.
	UpstreamRequests int           `json:"upstream_requests"`
	Claude           *claudeResult `json:"claude,omitempty"`
}

type claudeResult struct {
	TookS float64 `json:"took_s"`
	Error string  `json:"error,omitempty"`
}

func (l *longResult) clients() int {
	if l.Claude != nil {
		return 2
	}
	return 1
}

// long asks for an answer that takes very long, as this program's own client
// and, where there is one, as Claude Code, both at the same time.
func long(ctx context.Context, o options, stderr io.Writer) (*longResult, error) {
	up, err := startRole(ctx, roleSpec{Role: "upstream", Delay: o.long, Answer: answerText}, stderr)
	if err != nil {
		return nil, err
	}
	defer up.stop()
	p, err := o.open(ctx, "native", up.url, &atomic.Uint64{}, stderr)
	if err != nil {
		return nil, err
	}
	defer p.close()
	res := &longResult{AskedS: o.long.Seconds()}
	var wg sync.WaitGroup
	if o.claude != "" {
		res.Claude = &claudeResult{}
		wg.Go(func() {
			began := time.Now()
			if err := askClaude(ctx, o.claude, p.stage); err != nil {
				res.Claude.Error = err.Error()
			}
			res.Claude.TookS = time.Since(began).Seconds()
		})
	}
	began := time.Now()
	if err := p.watch(ctx, res); err != nil {
		res.Error = err.Error()
	}
	res.TookS = time.Since(began).Seconds()
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	st, err := up.stats(ctx, false)
	res.UpstreamRequests = st.Requests
	return res, err
}

// watch reads one stream and notes its silences and pings.
func (p *path) watch(ctx context.Context, res *longResult) error {
	w := p.worker(1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(w.body))
	if err != nil {
		return err
	}
	req.Header = w.header
	heard := time.Now()
	note := func() {
		res.LongestSilence = max(res.LongestSilence, time.Since(heard).Seconds())
		heard = time.Now()
	}
	answer, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	whole := false
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch event, ok := strings.CutPrefix(lines.Text(), "event: "); {
		case ok && event == "ping":
			res.Pings++
			note()
		case ok:
			whole = whole || event == "message_stop"
			note()
		}
	}
	note()
	if err := lines.Err(); err != nil {
		return err
	}
	if !whole {
		return fmt.Errorf("%s: the stream ended without message_stop", answer.Status)
	}
	return nil
}

// askClaude runs Claude Code as package agents does, with a question that one
// answer settles.
func askClaude(ctx context.Context, program string, gateway *stage) error {
	dir, err := os.MkdirTemp("", "benchproxy-claude-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sub := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"work", "home", "config", "tmp"} {
		if err := os.Mkdir(sub(name), 0o700); err != nil {
			return err
		}
	}
	var job agents.Job
	job.Model, job.Token = clientModel, gateway.tokens[0]
	job.Phase.ID, job.Phase.Prompt, job.Phase.MaxTurns = "long", "Say what you would do next, and use no tool.", 2
	job.View.Gateway, job.View.Config, job.View.Temp = gateway.url, sub("config"), sub("tmp")
	command, err := agents.ClaudeCode{Path: program}.Command(job)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command.Argv[0], command.Argv[1:]...)
	cmd.Dir, cmd.Stdin = sub("work"), strings.NewReader(command.Stdin)
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + sub("home"), "TMPDIR=" + sub("tmp")}
	for _, vars := range []map[string]string{command.Env, command.Secret} {
		for k, v := range vars {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("claude: %w: %.500s", err, problems.String())
	}
	return claudeSucceeded(out)
}

// claudeSucceeded looks for the result event, the last line but for noise.
func claudeSucceeded(out []byte) error {
	for line := range bytes.Lines(out) {
		var e struct {
			Type, Subtype, Result string
			IsError               bool `json:"is_error"`
		}
		if json.Unmarshal(line, &e) != nil || e.Type != "result" {
			continue
		}
		if e.Subtype != "success" || e.IsError {
			return fmt.Errorf("claude: result %s: %.300s", e.Subtype, e.Result)
		}
		return nil
	}
	return errors.New("claude: no result event in its output")
}
