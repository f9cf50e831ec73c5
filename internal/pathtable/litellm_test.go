package pathtable

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startLiteLLM runs LiteLLM in front of an OpenAI server until the test ends,
// and returns its URL and version. Package proxy/litellm replaces this file.
func startLiteLLM(t *testing.T, program, upstream, key string) (at, version string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v\n%s", program, err, out)
	}
	fields := strings.Fields(string(out))
	version = fields[len(fields)-1]

	dir := t.TempDir()
	config := filepath.Join(dir, "litellm.yaml")
	yaml := fmt.Sprintf(`model_list:
  - model_name: "claude-*"
    litellm_params: {model: hosted_vllm/m, api_base: %q, api_key: none, drop_params: true, timeout: 1800, stream_timeout: 1800}
litellm_settings:
  drop_params: true
  modify_params: true
  request_timeout: 1800
  num_retries: 0
  use_chat_completions_url_for_anthropic_messages: true
router_settings: {num_retries: 0, disable_cooldowns: true}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
`, upstream+"/v1")
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config", config, "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--num_workers", "1")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LITELLM_MASTER_KEY=" + key, "LITELLM_LOG=ERROR", "LITELLM_MODE=PRODUCTION",
		"LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True", "NO_PROXY=*",
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("LiteLLM's log:\n%s", b[max(0, len(b)-4000):])
		}
	})
	at = fmt.Sprintf("http://127.0.0.1:%d", port)
	for poll := time.NewTicker(200 * time.Millisecond); ; {
		if res, err := http.Get(at + "/health/liveliness"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				poll.Stop()
				return at, version
			}
		}
		select {
		case <-poll.C:
		case <-ended:
			t.Fatal("LiteLLM ended before it was ready")
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}
