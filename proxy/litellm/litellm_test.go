package litellm_test

import (
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/proxy/litellm"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain plays the Python that runs LiteLLM, where it is started as that.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "-m" && os.Args[2] == "litellm.proxy.proxy_cli" {
		os.Exit(pretend())
	}
	goleak.VerifyTestMain(m)
}

// pretend is LiteLLM as far as its life goes: the mode is what the configured
// base's path says.
func pretend() int {
	set := flag.NewFlagSet("litellm", flag.ExitOnError)
	config := set.String("config", "", "")
	host := set.String("host", "", "")
	port := set.String("port", "", "")
	set.String("num_workers", "", "")
	set.String("telemetry", "", "")
	set.Parse(os.Args[3:])
	text, err := os.ReadFile(*config)
	if err != nil {
		return 3
	}
	has := func(mode string) bool { return strings.Contains(string(text), "127.0.0.1:1/"+mode+"/") }
	key := os.Getenv("LITELLM_MASTER_KEY")
	switch {
	case has("crash"):
		os.Stderr.WriteString("ModuleNotFoundError: no module named uvloop; key " + key + "\n")
		return 1
	case has("port"):
		// Taken the first time only.
		once := filepath.Join(filepath.Dir(*config), "once")
		if _, err := os.Stat(once); err != nil {
			os.WriteFile(once, nil, 0o600)
			os.Stderr.WriteString("[Errno 98] error while attempting to bind on address: address already in use\n")
			return 1
		}
	case has("stubborn"):
		signal.Ignore(syscall.SIGTERM)
	case has("silent"):
		select {}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health/liveliness", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("/die", func(http.ResponseWriter, *http.Request) {
		os.Stderr.WriteString("out of memory\n")
		os.Exit(7)
	})
	// Where a neighbour has taken the port, this is how Start learns of it.
	os.Stderr.WriteString(http.ListenAndServe(*host+":"+*port, mux).Error() + "\n")
	return 1
}

func config(t *testing.T, mode string) litellm.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return litellm.Config{
		Program: litellm.Program{Python: self, Version: "1.100.0"},
		Base:    "http://127.0.0.1:1/" + mode + "/v1",
		Key:     "sk-the-upstream-key",
		Model:   "hosted_vllm/qwen3-coder",
		Dir:     filepath.Join(t.TempDir(), "gateway"),
	}
}

func get(t *testing.T, l *litellm.LiteLLM, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", l.URL.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = l.Header()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestStartAndClose(t *testing.T) {
	t.Setenv("ANTHROPIC_API_KEY", "sk-ours")
	t.Setenv("RUNPOD_API_KEY", "rpa-ours")
	cfg := config(t, "works")
	l, err := litellm.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	status, env := get(t, l, "/env")
	for _, want := range []string{"DAIL_UPSTREAM_KEY=sk-the-upstream-key", "LITELLM_MASTER_KEY=sk-", "HOME=" + cfg.Dir, "LITELLM_LOCAL_MODEL_COST_MAP=True"} {
		if status != 200 || !strings.Contains(env, want) {
			t.Errorf("status %d, the environment lacks %s:\n%s", status, want, env)
		}
	}
	if strings.Contains(env, "ours") {
		t.Error("keys of ours reached LiteLLM")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if status, _ := get(t, l, "/env"); status == 200 { // only ours knows the key
		t.Error("it answers after Close")
	}
	select {
	case <-l.Done():
	default:
		t.Error("Done is open after Close")
	}
	key := strings.TrimPrefix(l.Header().Get("Authorization"), "Bearer ")
	err = filepath.WalkDir(cfg.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range []string{key, cfg.Key} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(cfg.Dir, "litellm.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("litellm.yaml: %v, %v", info, err)
	}
}

func TestConfiguration(t *testing.T) {
	cfg := config(t, "works")
	l, err := litellm.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, err := os.ReadFile(filepath.Join(cfg.Dir, "litellm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/litellm.yaml"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
	}
}

func TestAPortThatIsTakenIsNoFault(t *testing.T) {
	l, err := litellm.Start(t.Context(), config(t, "port"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestStubbornOneIsEnded(t *testing.T) {
	l, err := litellm.Start(t.Context(), config(t, "stubborn"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	select {
	case <-l.Done():
	default:
		t.Error("it runs on")
	}
}

func TestEndInTheMiddle(t *testing.T) {
	l, err := litellm.Start(t.Context(), config(t, "works"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	get(t, l, "/die")
	<-l.Done()
	if err := l.Err(); !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "out of memory") || !strings.Contains(err.Error(), "litellm.log") {
		t.Error(err)
	}
}

func TestFaultsOfTheStart(t *testing.T) {
	bad := litellm.Config{Program: litellm.Program{Version: "1.82.8"}, Base: "localhost:8000"}
	_, err := litellm.Start(t.Context(), bad)
	for _, want := range []string{"Install returns one", "malicious", "VLLM_BASE", "LITELLM_UPSTREAM_MODEL", "Config.Dir"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to name %s", err, want)
		}
	}
	_, err = litellm.Start(t.Context(), config(t, "crash"))
	if err == nil || !strings.Contains(err.Error(), "ModuleNotFoundError") || !strings.Contains(err.Error(), "[key]") {
		t.Errorf("%v; want the log's end, without the key", err)
	}
	late := config(t, "silent")
	late.Start = 300 * time.Millisecond
	if _, err = litellm.Start(t.Context(), late); err == nil || !strings.Contains(err.Error(), "within 300ms") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = litellm.Start(ctx, config(t, "silent")); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Error(err)
	}
}

func TestInstallRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "pin no litellm",
		"litellm>=1.80\n":      "pin no litellm",
		"litellm==1.82.7 \\\n": "malicious",
		"litellm[proxy]==1.82.8 ; python_version > '3' \\\n": "malicious",
	} {
		if _, err := litellm.Install(t.Context(), []byte(text), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A requirement without a hash is refused by pip itself, and a failed
// installation leaves nothing that looks like one.
func TestInstallTellsWhatPipSaid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIP: needs a shell")
	}
	bin, dir := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in *venv*) mkdir -p \"$3/bin\" && cp \"$0\" \"$3/bin/python\";; *pip*) echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES'; exit 1;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "python3"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	var said strings.Builder
	_, err := litellm.Install(t.Context(), []byte("litellm==1.100.0 \\\n"), dir, &said)
	if err == nil || !strings.Contains(err.Error(), "DO NOT MATCH THE HASHES") {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 1 || !strings.HasSuffix(left[0], ".lock") || !strings.Contains(said.String(), "installing LiteLLM 1.100.0") {
		t.Errorf("left %v, said %q", left, said.String())
	}
	t.Setenv("PATH", "/nonexistent")
	if _, err := litellm.Install(t.Context(), []byte("litellm==1.100.0 \\\n"), dir, nil); err == nil || !strings.Contains(err.Error(), "python3 is not on PATH") {
		t.Error(err)
	}
}
