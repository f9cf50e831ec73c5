package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/proxy"
)

// TestClaudeCode drives the real Claude Code through a session of three model
// requests: it writes a file, runs it, and says that it is done. The program
// is named by DAIL_CLAUDE.
func TestClaudeCode(t *testing.T) {
	claude := os.Getenv("DAIL_CLAUDE")
	if claude == "" {
		t.Skip("DAIL_CLAUDE is unset: set it to the path of a Claude Code program to test with the real one")
	}
	// A keep-alive at once and then often, before each answer: the client
	// must take a stream that opens with pings.
	for _, mode := range []struct {
		name string
		cfg  proxy.Config
		slow time.Duration
	}{
		{"quick", proxy.Config{}, 0},
		{"pings first", proxy.Config{HeaderWait: -1, KeepAlive: 5 * time.Millisecond}, 50 * time.Millisecond},
	} {
		t.Run(mode.name, func(t *testing.T) {
			work := t.TempDir()
			hello := filepath.Join(work, "hello.sh")
			script := []reply{
				called("I write the file.\n\n", "Write", quote(map[string]string{"file_path": hello, "content": "echo \"<hello> & 'goodbye'\" | tee out.txt\n"})),
				called("", "Bash", quote(map[string]string{"command": "sh hello.sh", "description": "run it"})),
				text("All done."),
			}
			u := newUpstream(t, func(n int, body string) reply {
				time.Sleep(mode.slow) // stands for the model's own time
				if n >= len(script) {
					return text("There is nothing left to do.")
				}
				return script[n]
			})
			var tokens proxy.Tokens
			rec := &records{}
			mode.cfg.Upstream, mode.cfg.Model = mustURL(t, u.URL), "m"
			mode.cfg.Identify, mode.cfg.Trace = tokens.Lookup, rec.add
			sent := &sentBodies{next: proxy.NewMessages(mode.cfg)}
			gateway := httptest.NewServer(sent)
			defer gateway.Close()

			token := tokens.Issue(proxy.Caller{Level: "n1", Agent: 0, Phase: "spec"})
			cmd := claudeCommand(t, claude, gateway.URL, token, work, "Write hello.sh, run it, and finish.")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("claude: %v\n%s\n%s", err, stderr.String(), tail(out))
			}
			if got := lastResult(out); got.Subtype != "success" || got.IsError || got.Result != "All done." {
				t.Errorf("result event: %+v\n%s", got, tail(out))
			}
			if b, err := os.ReadFile(filepath.Join(work, "out.txt")); err != nil || string(b) != "<hello> & 'goodbye'\n" {
				t.Errorf("out.txt = %q, %v", b, err)
			}
			checkClaudeRequests(t, u.seen(), rec)
			if *update && mode.slow == 0 {
				sent.write(t, work)
			}
		})
	}
}

// claudeCommand is a run of Claude Code in the folder work, without retries, with
// a home of its own and env on top.
func claudeCommand(t *testing.T, claude, gateway, token, work, prompt string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), claude, "-p", prompt,
		"--model", "any-name", "--output-format", "stream-json", "--verbose", "--max-turns", "10",
		"--permission-mode", "acceptEdits", "--setting-sources", "", "--strict-mcp-config",
		"--tools", "Bash,Read,Write,Edit,Glob,Grep", "--allowedTools", "Bash,Read,Write,Edit,Glob,Grep",
		"--exclude-dynamic-system-prompt-sections")
	cmd.Dir = work
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "CLAUDE_CONFIG_DIR=" + t.TempDir(),
		"ANTHROPIC_BASE_URL=" + gateway,
		"ANTHROPIC_AUTH_TOKEN=" + token,
		"ANTHROPIC_DEFAULT_HAIKU_MODEL=any-name",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS=1", "CLAUDE_CODE_DISABLE_AUTO_MEMORY=1",
		"CLAUDE_CODE_MAX_OUTPUT_TOKENS=8192", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1", "CLAUDE_CODE_MAX_RETRIES=0",
	}, env...)
	return cmd
}

func checkClaudeRequests(t *testing.T, bodies []string, rec *records) {
	t.Helper()
	if len(bodies) != 3 {
		t.Fatalf("%d model requests, want 3", len(bodies))
	}
	for i, b := range bodies {
		if strings.Contains(b, "x-anthropic-billing-header") {
			t.Errorf("request %d still holds the billing line", i)
		}
		if strings.Contains(b, `"cache_control"`) {
			t.Errorf("request %d still holds cache_control", i)
		}
		if i > 0 && !strings.HasPrefix(b, strings.TrimSuffix(bodies[i-1], "]}")) {
			t.Errorf("request %d does not begin with request %d:\n%s\n%s", i, i-1, bodies[i-1], b)
		}
	}
	for i, r := range rec.list() {
		if !r.OK() || r.Agent != 0 || r.Phase != "spec" || r.Session == "" || r.Retry || r.Dialect != "messages" || !r.Streamed {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	if n := len(rec.list()); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

type resultEvent struct {
	Type, Subtype, Result string
	IsError               bool `json:"is_error"`
}

func lastResult(out []byte) (last resultEvent) {
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var e resultEvent
		if json.Unmarshal(sc.Bytes(), &e) == nil && e.Type == "result" {
			last = e
		}
	}
	return last
}

func tail(b []byte) []byte { return b[max(0, len(b)-4000):] }
