package litellm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// LiteLLM is one that runs.
type LiteLLM struct {
	// URL is its address, on loopback.
	URL *url.URL
	// Version is what was started.
	Version string

	key    string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait; read it after exited
}

// errPort says that somebody took the port between our looking and its
// listening.
var errPort = errors.New("the port was taken")

// Start starts LiteLLM and waits until it answers. The caller must Close what
// is returned. Where it ends by itself, or does not answer in time, the error
// ends with the last lines of its log.
//
// On Linux it ends with this program, however that ends; on macOS a SIGKILL of
// this program leaves it running.
func Start(ctx context.Context, cfg Config) (*LiteLLM, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("litellm: %w", err)
	}
	home := filepath.Join(cfg.Dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("litellm: %w", err)
	}
	text, err := cfg.yaml()
	if err == nil {
		err = os.WriteFile(filepath.Join(cfg.Dir, "litellm.yaml"), text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("litellm: its configuration: %w", err)
	}
	for try := 0; ; try++ {
		l, err := start(ctx, cfg, home)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errPort) || try == 2 {
			return nil, fmt.Errorf("litellm: %w", err)
		}
	}
}

func start(ctx context.Context, cfg Config, home string) (*LiteLLM, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(cfg.Dir, "litellm.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	l := &LiteLLM{
		URL:     &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", port)},
		Version: cfg.Program.Version,
		key:     "sk-" + rand.Text(),
		log:     log.Name(),
		exited:  make(chan struct{}),
	}
	l.cmd = exec.Command(cfg.Program.Python, "-m", "litellm.proxy.proxy_cli",
		"--config", filepath.Join(cfg.Dir, "litellm.yaml"), "--host", "127.0.0.1", "--port", port, "--num_workers", "1", "--telemetry", "False")
	l.cmd.Dir = home
	l.cmd.Stdout, l.cmd.Stderr = log, log
	l.cmd.SysProcAttr = withUs()
	l.cmd.Env = append(environment(os.Environ()),
		"HOME="+home,
		masterKeyVar+"="+l.key,
		upstreamKeyVar+"="+cfg.Key,
		// Nothing is fetched from the network, no .env is read, no tokens or
		// prompts are logged.
		"LITELLM_LOCAL_MODEL_COST_MAP=True",
		"LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True",
		"LITELLM_MODE=PRODUCTION",
		"LITELLM_LOG=ERROR",
		"PYTHONUNBUFFERED=1",
	)
	begun := make(chan error)
	go func() {
		// The kernel ends a child with the thread that started it, so this one
		// stays for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := l.cmd.Start()
		begun <- err
		if err == nil {
			l.err = l.cmd.Wait()
			close(l.exited)
		}
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	if err := l.wait(ctx, cfg.Start); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// wait polls until LiteLLM answers.
func (l *LiteLLM) wait(ctx context.Context, limit time.Duration) error {
	late, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it did not answer within %s", limit))
	defer cancel()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(late, http.MethodGet, l.URL.String()+"/health/liveliness", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-l.exited:
			return l.Err()
		case <-late.Done():
			return fmt.Errorf("%w; its log %s ends with:\n%s", context.Cause(late), l.log, l.tail())
		case <-tick.C:
		}
	}
}

// Header is what a request to it must carry. It is a secret.
func (l *LiteLLM) Header() http.Header {
	return http.Header{"Authorization": {"Bearer " + l.key}}
}

// Pid is its process id, which is its process group's too.
func (l *LiteLLM) Pid() int { return l.cmd.Process.Pid }

// Done is closed when LiteLLM has ended, by itself or by Close.
func (l *LiteLLM) Done() <-chan struct{} { return l.exited }

// Err says how LiteLLM ended; call it when Done is closed.
func (l *LiteLLM) Err() error {
	tail := l.tail()
	if strings.Contains(tail, "address already in use") {
		return fmt.Errorf("%w: %s", errPort, l.URL.Host)
	}
	how := "exit status 0"
	if l.err != nil {
		how = l.err.Error()
	}
	return fmt.Errorf("LiteLLM %s ended (%s); its log %s ends with:\n%s", l.Version, how, l.log, tail)
}

func (l *LiteLLM) tail() string {
	text, err := os.ReadFile(l.log)
	if err != nil {
		return err.Error()
	}
	s := strings.ReplaceAll(lastLines(string(text), 12), l.key, "[key]")
	return s
}

// closeGrace is how long LiteLLM has to end by itself.
const closeGrace = 3 * time.Second

// Close ends LiteLLM and all that it started, and returns when it has ended.
func (l *LiteLLM) Close() error {
	group := -l.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-l.exited:
	case <-time.After(closeGrace):
	}
	syscall.Kill(group, syscall.SIGKILL)
	<-l.exited
	return nil
}

// freePort returns a port that nobody listened on a moment ago.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, errors.Join(err, ln.Close())
}
