package program

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every shipped model's command line is one that vllm takes.
func TestShippedModelsAreTaken(t *testing.T) {
	files, err := fs.Glob(configs.FS(), "models/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	layers := []compose.Layer{{Name: "configs", FS: configs.FS()}}
	tried := map[string]bool{}
	for _, f := range files {
		raw, err := fs.ReadFile(configs.FS(), f)
		if err != nil {
			t.Fatal(err)
		}
		family, quant := "", ""
		for line := range strings.Lines(string(raw)) {
			if v, ok := strings.CutPrefix(line, "family:"); ok {
				family = strings.Trim(v, " \"\n")
			}
			if v, ok := strings.CutPrefix(line, "quant:"); ok {
				quant = strings.Trim(v, " \"\n")
			}
		}
		for _, hardware := range []string{"l40s", "h100-sxm", "b200", "a100-80gb"} {
			for _, gpus := range []int{1, 2, 4, 8} {
				run, err := compose.Merge(compose.Request{
					Configs: layers, Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
					Benchmark: "smoke", Model: family, Quant: quant, Hardware: hardware, GPUs: gpus,
				})
				if err != nil {
					continue // it does not fit
				}
				tried[f] = true
				a, err := parseServe(run.VLLMArgs())
				if err != nil {
					t.Errorf("%s on %d×%s: %v", f, gpus, hardware, err)
				}
				if a.model != run.Serving.Model || a.integer("port", 0) != run.Serving.Port || a.text("served-model-name", "") != run.Serving.ServedModelName {
					t.Errorf("%s: %+v", f, a)
				}
			}
		}
	}
	if len(tried) < len(files)-1 {
		t.Errorf("of %d models only %v fit somewhere", len(files), tried)
	}
}

func TestParseServe(t *testing.T) {
	a, err := parseServe([]string{"--port=1234", "m", "--no-enable-prefix-caching", "--enable-expert-parallel", "--speculative-config", `{"method":"mtp"}`})
	if err != nil || a.model != "m" || a.integer("port", 0) != 1234 || a.values["enable-prefix-caching"] != "false" || a.values["enable-expert-parallel"] != "true" {
		t.Errorf("%+v %v", a, err)
	}
	for text, want := range map[string]string{
		"m extra":                 "unrecognized arguments: extra",
		"m --no-port 1":           "unrecognized arguments: --no-port 1",
		"m -x":                    "unrecognized arguments: -x",
		"m --rope-scaling {":      "cannot be converted",
		"m --enforce-eager=true":  "ignored explicit argument",
		"m --swap-space lots":     "invalid float value",
		"m --kv-cache-dtype fp99": "invalid choice",
		"m --host":                "expected one argument",
	} {
		if _, err := parseServe(strings.Fields(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseServe(f *testing.F) {
	f.Add("m\x00--port\x001")
	f.Add("--rope-scaling={}\x00m\x00--max-model-len")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\x00")
		a, err := parseServe(args)
		if err == nil && a.model != "" && !slices.Contains(args, a.model) {
			t.Fatalf("%q: model %q", args, a.model)
		}
	})
}

func TestNvidiaSMI(t *testing.T) {
	two := GPU{Name: "NVIDIA L40S", MemoryMiB: 46068, Count: 2}
	for args, want := range map[string]string{
		"--query-gpu=name,memory.total --format=csv,noheader,nounits": "NVIDIA L40S, 46068\nNVIDIA L40S, 46068\n",
		"--query-gpu index,memory.free --format csv":                  "index, memory.free\n0, 46067 MiB\n1, 46067 MiB\n",
		"--query-gpu=name --format=csv,noheader -i 1":                 "NVIDIA L40S\n",
		"-L":                                  "GPU 0: NVIDIA L40S (UUID: GPU-00000000-0000-4000-8000-000000000000)\nGPU 1: NVIDIA L40S (UUID: GPU-00000000-0000-4000-8000-000000000001)\n",
		"--query-gpu=name":                    "\"--format=\" switch is missing. Please specify at least csv format.\n",
		"--query-gpu=x --format=csv,noheader": "Field \"x\" is not a valid field to query.\n",
	} {
		var out bytes.Buffer
		nvidiaSMI(two, strings.Fields(args), &out, io.Discard)
		if out.String() != want {
			t.Errorf("nvidia-smi %s: %q, want %q", args, out.String(), want)
		}
	}
	var out bytes.Buffer
	if nvidiaSMI(two, nil, &out, io.Discard) != 0 || strings.Count(out.String(), "L40S") != 2 {
		t.Errorf("the table: %s", out.String())
	}
	if nvidiaSMI(two, []string{"--reset"}, io.Discard, io.Discard) != 2 {
		t.Error("an unknown option is taken")
	}
}

// seen is a request as the server saw it.
func curlServer(t *testing.T) (url string, seen func() string) {
	var last string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		last = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Content-Type") + " " + string(body)
		if strings.HasPrefix(r.URL.Path, "/404") {
			w.WriteHeader(404)
		}
		io.WriteString(w, "answer")
	}))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		srv.Close()
	})
	return srv.URL, func() string { return last }
}

func TestCurl(t *testing.T) {
	url, seen := curlServer(t)
	dir := t.TempDir()
	header := filepath.Join(dir, "header")
	if err := os.WriteFile(header, []byte("Authorization: Bearer k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	form := "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		args, stdin string
		status      int
		out, seen   string
	}{
		{"-sS URL/a", "", 0, "answer", "GET /a   "},
		{"-sSXDELETE URL/a -H @" + header, "", 0, "answer", "DELETE /a Bearer k  "},
		{"--silent --request DELETE --header Authorization:Bearer_k --url URL/a", "", 0, "answer", "DELETE /a Bearer_k  "},
		{"-K - -o /dev/null -w %{http_code} URL/a", "header = \"Authorization: Bearer k\"\n# a comment\nrequest = PATCH\n", 0, "200", "PATCH /a Bearer k  "},
		{"-s --config - ", "url = \"URL/a\"\nheader: X: y\nsilent\n", 0, "answer", "GET /a   "},
		{"-d a=1 -d b=2 URL/a", "", 0, "answer", "POST /a  " + form + " a=1&b=2"},
		{"-H Content-Type:application/json --data-binary @- URL/a", `{"q":1}`, 0, "answer", `POST /a  application/json {"q":1}`},
		{"-sf -m 5 URL/404", "", 22, "", "GET /404   "},
		{"-s --fail-with-body URL/404", "", 22, "answer", "GET /404   "},
		{"-s URL/404", "", 0, "answer", "GET /404   "},
		{"--nonsense URL/a", "", 2, "", ""},
		{"-s", "", 2, "", ""},
		{"-X", "", 2, "", ""},
		{"-s http://127.0.0.1:1/", "", 7, "", ""},
	} {
		args := strings.Fields(strings.ReplaceAll(tc.args, "URL", url))
		var out bytes.Buffer
		status := curl(args, strings.NewReader(strings.ReplaceAll(tc.stdin, "URL", url)), &out, io.Discard)
		if status != tc.status || out.String() != tc.out {
			t.Errorf("curl %s: %d %q, want %d %q", tc.args, status, out.String(), tc.status, tc.out)
		}
		if tc.seen != "" && seen() != tc.seen {
			t.Errorf("curl %s: the server saw %q, want %q", tc.args, seen(), tc.seen)
		}
	}
}

func TestRunpodctl(t *testing.T) {
	url, seen := curlServer(t)
	t.Setenv("RUNPOD_API_KEY", "k")
	for args, want := range map[string]string{
		"remove pod abc": "DELETE /pods/abc Bearer k  ", "pod delete abd": "DELETE /pods/abd Bearer k  ",
	} {
		if status := runpodctl(url, strings.Fields(args), io.Discard, io.Discard); status != 0 || seen() != want {
			t.Errorf("%s: %d, %q", args, status, seen())
		}
	}
	if runpodctl(url+"/404", []string{"remove", "pod", "x"}, io.Discard, io.Discard) == 0 {
		t.Error("a pod that is not there was removed")
	}
	if runpodctl(url, []string{"get", "pod"}, io.Discard, io.Discard) == 0 {
		t.Error("a command that it does not have")
	}
}

// Only in a machine's bin folder is a program one of ours.
func TestRunOnlyOnAMachine(t *testing.T) {
	if _, ok := Run("curl", nil); ok {
		t.Error("the host's own curl was taken for ours")
	}
}

func TestSaveRun(t *testing.T) {
	run, err := compose.Merge(compose.Request{
		Configs: []compose.Layer{{Name: "configs", FS: configs.FS()}}, Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark: "dev-load", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, err := SaveRun(run, dir)
	if err != nil {
		t.Fatal(err)
	}
	image := Image{GPU: GPU{Count: 1}, VLLM: VLLM{RunFile: file, Files: dir}}
	a, err := parseServe(run.VLLMArgs())
	if err != nil {
		t.Fatal(err)
	}
	engine, back, err := buildEngine(image, a)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if m1, _ := run.Memory(); back == nil {
		t.Error("no run came back")
	} else if m2, ok := back.Memory(); !ok || m1 != m2 {
		t.Errorf("memory %+v, %+v", m1, m2)
	}
	run.Benchmark.Dir = nil
	if _, err := SaveRun(run, t.TempDir()); err == nil {
		t.Error("a run without its benchmark's files was saved")
	}
}
