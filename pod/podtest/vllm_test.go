package podtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/pod/podtest"
)

func smoke(t testing.TB) *compose.Run {
	t.Helper()
	run, err := compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark:  "smoke", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// vllmCommand is the command line of a vllm that serves the run on the
// machine's own port.
func vllmCommand(args []string, change ...string) string {
	quoted := []string{"exec vllm serve"}
	for _, a := range append(args, change...) {
		quoted = append(quoted, "'"+a+"'")
	}
	return strings.Join(quoted, " ") + ` --port "$DAIL_PORT" 2>&1`
}

// start starts a command and returns its output, and how it ends.
func start(t testing.TB, c *ssh.Client, command string) (*bufio.Reader, *ssh.Session) {
	t.Helper()
	s := session(t, c)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(command); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(out), s
}

// readUntil reads lines until one holds the text.
func readUntil(t testing.TB, r *bufio.Reader, text string) string {
	t.Helper()
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		all.WriteString(line)
		if strings.Contains(line, text) {
			return all.String()
		}
		if err != nil {
			t.Fatalf("%v before %q:\n%s", err, text, all.String())
		}
	}
}

// through is an HTTP client whose connections go through SSH to the port.
func through(t testing.TB, c *ssh.Client, port int) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return c.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func fetch(t testing.TB, client *http.Client, path, body string) string {
	t.Helper()
	method := "GET"
	if body != "" {
		method = "POST"
	}
	req, err := http.NewRequest(method, "http://pod"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %v: %s", path, resp.Status, err, text)
	}
	return string(text)
}

// The composed server starts as vLLM does and answers through the tunnel, and
// says by itself that it is simulated.
func TestVLLM(t *testing.T) {
	t.Parallel()
	composed := smoke(t)
	_, a := serve(t, podtest.Config{Run: composed})
	_, c := a.shellPod("")
	if got := strings.TrimSpace(run(t, c, "vllm --version")); got != composed.Serving.VLLMVersion {
		t.Errorf("vllm --version: %q, composed %q", got, composed.Serving.VLLMVersion)
	}
	if got := run(t, c, "nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits"); got != "NVIDIA L40S, 46068, 580.95.05\n" {
		t.Errorf("nvidia-smi: %q", got)
	}
	port := number(t, run(t, c, "echo $DAIL_PORT"))
	out, s := start(t, c, vllmCommand(composed.VLLMArgs()))
	log := readUntil(t, out, "Application startup complete.")
	at := 0
	for _, phase := range []string{
		"vLLM API server version " + composed.Serving.VLLMVersion, "Initializing a V1 LLM engine", "Starting to load model", "Time spent downloading weights",
		"Loading safetensors checkpoint shards:  25% Completed | 1/4", "Loading weights took", "Model loading took",
		"torch.compile takes", "Available KV cache memory", "GPU KV cache size", "Capturing CUDA graphs", "Graph capturing finished",
		"init engine", "Starting vLLM API server", "Started server process",
	} {
		i := strings.Index(log[at:], phase)
		if i < 0 {
			t.Errorf("the log has no %q after the phase before:\n%s", phase, log)
			continue
		}
		at += i
	}

	client := through(t, c, port)
	if v := fetch(t, client, "/version", ""); !strings.Contains(v, "dail-sim/") {
		t.Errorf("version: %s", v)
	}
	if m := fetch(t, client, "/metrics", ""); !strings.Contains(m, "dail_simulated 1") {
		t.Error("the metrics do not say that they are simulated")
	}
	var models struct {
		Data []struct {
			ID          string
			MaxModelLen int `json:"max_model_len"`
		}
	}
	if err := json.Unmarshal([]byte(fetch(t, client, "/v1/models", "")), &models); err != nil || len(models.Data) != 1 ||
		models.Data[0].ID != composed.Serving.ServedModelName || models.Data[0].MaxModelLen != composed.Serving.MaxModelLen {
		t.Errorf("models: %+v %v", models, err)
	}
	answer := fetch(t, client, "/v1/chat/completions", `{"model":"`+composed.Serving.ServedModelName+`","max_tokens":8,"messages":[{"role":"user","content":"hello"}]}`)
	if !strings.Contains(answer, `"completion_tokens"`) {
		t.Errorf("answer: %s", answer)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	readUntil(t, out, "Shutting down")
	if err := s.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// Two machines serve at the same time on one host.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	_, a := serve(t, podtest.Config{Startup: time.Millisecond})
	for range 2 {
		_, c := a.shellPod("")
		port := number(t, run(t, c, "echo $DAIL_PORT"))
		out, _ := start(t, c, vllmCommand([]string{"any/model", "--served-model-name", "m"}))
		readUntil(t, out, "Application startup complete.")
		if got := fetch(t, through(t, c, port), "/v1/models", ""); !strings.Contains(got, `"m"`) {
			t.Error(got)
		}
	}
}

func TestVLLMRefuses(t *testing.T) {
	t.Parallel()
	composed := smoke(t)
	_, a := serve(t, podtest.Config{Run: composed, Startup: time.Millisecond})
	_, c := a.shellPod("")
	for name, tc := range map[string]struct {
		change []string
		status int
		says   string
	}{
		"an unknown flag":         {[]string{"--max-modle-len", "5"}, 2, "unrecognized arguments: --max-modle-len"},
		"no number":               {[]string{"--max-num-seqs", "many"}, 2, "invalid int value: 'many'"},
		"an unknown parser":       {[]string{"--tool-call-parser", "qwen4"}, 2, "invalid choice: 'qwen4'"},
		"no value":                {[]string{"--max-model-len"}, 2, "expected one argument"},
		"more GPUs than there is": {[]string{"--tensor-parallel-size", "2"}, 1, "World size (2) is larger than the number of available GPUs (1)"},
		"more context than fits":  {[]string{"--max-model-len", "9000000"}, 1, "the estimated maximum model length is"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := session(t, c).Output(vllmCommand(composed.VLLMArgs(), tc.change...))
			if status(err) != tc.status || !strings.Contains(string(out), tc.says) {
				t.Errorf("status %v:\n%s\nwant %d and %q", err, out, tc.status, tc.says)
			}
		})
	}
	args := composed.VLLMArgs()
	args[0] = "another/model"
	if out, err := session(t, c).Output(vllmCommand(args)); status(err) != 1 || !strings.Contains(string(out), "not a valid model identifier") {
		t.Errorf("another model: %v\n%s", err, out)
	}
	if out, err := session(t, c).Output("vllm bench 2>&1"); status(err) != 2 {
		t.Errorf("vllm bench: %v\n%s", err, out)
	}
}

func TestVLLMFaults(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{Startup: 10 * time.Millisecond})
	command := vllmCommand([]string{"any/model"})

	srv.Inject(podtest.VLLMFails, 1)
	_, c := a.shellPod("")
	if out, err := session(t, c).Output(command); status(err) != 1 || !strings.Contains(string(out), "CUDA out of memory") || !strings.Contains(string(out), "Engine core initialization failed") {
		t.Errorf("it fails: %v\n%s", err, out)
	}
	srv.Inject(podtest.VLLMFails.With("OSError: You are trying to access a gated repo."), 1)
	_, c = a.shellPod("")
	if out, err := session(t, c).Output(command); status(err) != 1 || !strings.Contains(string(out), "gated repo") {
		t.Errorf("it fails with these words: %v\n%s", err, out)
	}

	srv.Inject(podtest.VLLMDies.With("10ms"), 1)
	_, c = a.shellPod("")
	out, s := start(t, c, command)
	readUntil(t, out, "Application startup complete.")
	readUntil(t, out, "EngineDeadError")
	if err := s.Wait(); status(err) != 1 {
		t.Errorf("it died: %v", err)
	}

	srv.Inject(podtest.VLLMStall, 1)
	_, c = a.shellPod("")
	out, s = start(t, c, command)
	readUntil(t, out, "Initializing a V1 LLM engine")
	ended := make(chan string, 1)
	go func() {
		rest, err := io.ReadAll(out)
		ended <- fmt.Sprint(string(rest), err)
	}()
	select {
	case rest := <-ended:
		t.Fatalf("it ended: %s", rest)
	case <-time.After(200 * time.Millisecond): // twenty times what it would take
	}
	if err := s.Signal(ssh.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if rest := <-ended; strings.Contains(rest, "startup complete") {
		t.Errorf("it went on: %s", rest)
	}
}
