package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// litellmStart is how long LiteLLM may take until it answers; its imports
// alone take ten seconds.
const litellmStart = 3 * time.Minute

// clientModel is the model that the Claude requests name.
const clientModel = "claude-bench"

// startLiteLLM runs the LiteLLM of a venv in front of the server, with one
// worker, and waits until it is there.
func startLiteLLM(ctx context.Context, venv, upstream string) (st *stage, err error) {
	program, err := filepath.Abs(filepath.Join(venv, "bin", "litellm"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("-litellm %s: %w; make one with: python3 -m venv %s && %s/bin/pip install 'litellm[proxy]'", venv, err, venv, venv)
	}
	dir, err := os.MkdirTemp("", "benchproxy-litellm-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(litellmConfig(upstream)), 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	key := "sk-" + rand.Text()
	cmd := exec.CommandContext(ctx, program, "--config", config, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--num_workers", "1")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Env = []string{
		"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8",
		"LITELLM_MASTER_KEY=" + key,
		// Nothing is fetched from anywhere, and nothing logged per request.
		"LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True",
		"LITELLM_LOG=ERROR", "LITELLM_MODE=PRODUCTION", "NO_PROXY=127.0.0.1",
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start LiteLLM: %w", err), log.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it holds nothing
		<-ended
		log.Close()
		os.RemoveAll(dir)
	}
	st = &stage{url: "http://127.0.0.1:" + strconv.Itoa(port), tokens: []string{key}, stop: stop}
	st.stats = func(context.Context, bool) (stats, error) { return groupStats(cmd.Process.Pid), nil }
	if err := st.awaitLiteLLM(ctx, ended); err != nil {
		text, _ := os.ReadFile(log.Name())
		stop()
		return nil, fmt.Errorf("%w; the end of its log:\n%s", err, strings.ReplaceAll(string(text[max(0, len(text)-2000):]), key, "[key]"))
	}
	return st, nil
}

// litellmConfig sends every model to the server's chat completions.
func litellmConfig(upstream string) string {
	return fmt.Sprintf(`model_list:
  - model_name: %s
    litellm_params: {model: hosted_vllm/%s, api_base: "%s/v1", api_key: none, timeout: 1800, stream_timeout: 1800}
litellm_settings:
  drop_params: true
  request_timeout: 1800
  num_retries: 0
  use_chat_completions_url_for_anthropic_messages: true
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
`, clientModel, modelName, upstream)
}

// awaitLiteLLM returns when it answers its liveness probe. ended gets back
// what was read from it.
func (st *stage) awaitLiteLLM(ctx context.Context, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, litellmStart)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", st.url+"/health/liveliness", nil)
		if err != nil {
			return err
		}
		req.Close = true
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("LiteLLM ended while it started: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("LiteLLM did not answer /health/liveliness: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// freePort asks the system for a port; another program could take it before
// LiteLLM does, which then says so.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// groupStats sums the figures of a process group from Linux's proc_pid_stat(5)
// and proc_pid_status(5); zero elsewhere.
func groupStats(group int) stats {
	const ticks = 100 // USER_HZ, fixed on every architecture of today
	var st stats
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(f) < 15 || string(f[2]) != strconv.Itoa(group) {
			continue
		}
		// Its own time, and that of the children it has waited for.
		for _, v := range f[11:15] {
			n, _ := strconv.ParseFloat(string(v), 64)
			st.CPUS += n / ticks
		}
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "status"))
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if f := strings.Fields(rest); len(f) > 0 {
			kb, _ := strconv.ParseInt(f[0], 10, 64)
			st.MaxRSS += kb << 10
		}
	}
	return st
}
