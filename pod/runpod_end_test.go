package pod_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/x/dail/pod"
)

// landlord is RunPod as the pod that ends itself sees it.
type landlord struct {
	mu      sync.Mutex
	v2      int // status of the DELETE
	graphQL string
	heard   []string // "METHOD path: body"
	wrong   []string
}

func (l *landlord) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, r.Method+" "+r.URL.Path+": "+string(body))
	if got := r.Header.Get("Authorization"); got != "Bearer "+runPodKey {
		l.wrong = append(l.wrong, "Authorization is "+got)
	}
	if !strings.HasPrefix(r.UserAgent(), "dail-switch/") {
		l.wrong = append(l.wrong, "User-Agent is "+r.UserAgent())
	}
	l.wrong = append(l.wrong, argumentsWith(runPodKey)...)
	if r.URL.Path == "/graphql" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, l.graphQL)
		return
	}
	w.WriteHeader(l.v2)
	if l.v2 != http.StatusNoContent {
		_, _ = io.WriteString(w, `{"title":"T","status":0,"detail":"x"}`)
	}
}

// argumentsWith finds processes whose arguments hold a text, where /proc is.
func argumentsWith(text string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if raw, err := os.ReadFile(f); err == nil && strings.Contains(string(raw), text) {
			found = append(found, f+" holds the key: "+strings.ReplaceAll(string(raw), "\x00", " "))
		}
	}
	return found
}

// tools is a folder with the programs that a machine has, and no others.
func tools(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{"sh", "sed", "tr", "head", "tail"}, names...) {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("SKIP: needs %s: %v", name, err)
		}
		if name == "python3" { // which may be a script that chooses one
			out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
			if err != nil {
				t.Skipf("SKIP: needs %s: %v", name, err)
			}
			path = strings.TrimSpace(string(out))
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	script(t, dir, "sleep", "exit 0")
	return dir
}

func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// endSelf runs the ending as the switch does.
func endSelf(t *testing.T, url, path string, env ...string) (output string, status int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(path, "sh"), "-c", `eval "$DAIL_ENDING"`)
	cmd.Env = append([]string{"PATH=" + path, "DAIL_ENDING=" + (&pod.RunPod{URL: url}).About().EndSelf, "DAIL_RP_ENVIRONMENT=/nonexistent"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), runPodKey) {
		t.Errorf("the key is printed:\n%s", out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

const taken = `{"data":{"podTerminate":null}}`

func TestAPodEndsItself(t *testing.T) {
	mutation := `POST /graphql: {"query":"mutation { podTerminate(input: {podId: \"p1\"}) }"}`
	for _, client := range []string{"curl", "python3"} {
		for _, tc := range []struct {
			name    string
			v2      int
			graphQL string
			status  int
			says    []string
		}{
			{"by v2", 204, taken, 0, []string{"v2 DELETE: 204", "podTerminate: 200"}},
			{"by GraphQL", 403, taken, 0, []string{"v2 DELETE: 403 (" + client + ")", "podTerminate: 200"}},
			{"by nothing", 500, `{"errors":[{"message":"Unauthorized"}]}`, 1, []string{"v2 DELETE: 500", "podTerminate: 200, and errors", "runpodctl: there is none"}},
		} {
			t.Run(client+" "+tc.name, func(t *testing.T) {
				path := tools(t, client)
				l := &landlord{v2: tc.v2, graphQL: tc.graphQL}
				srv := httptest.NewServer(l)
				defer srv.Close()
				out, status := endSelf(t, srv.URL+"/v2", path, "RUNPOD_POD_ID=p1", "RUNPOD_API_KEY="+runPodKey)
				if status != tc.status {
					t.Errorf("status %d, want %d", status, tc.status)
				}
				for _, s := range tc.says {
					if !strings.Contains(out, s) {
						t.Errorf("it does not say %q", s)
					}
				}
				if got := strings.Join(l.heard, "\n"); got != "DELETE /v2/pods/p1: \n"+mutation {
					t.Errorf("it was asked:\n%s", got)
				}
				if len(l.wrong) > 0 || t.Failed() {
					t.Errorf("%q\n%s", l.wrong, out)
				}
			})
		}
	}
}

func TestAPodEndsItselfByRunpodctl(t *testing.T) {
	path := tools(t)
	seen := filepath.Join(t.TempDir(), "seen")
	// The old verb fails, as with a newer version.
	script(t, path, "runpodctl", `echo "$RUNPOD_API_KEY $*" >>`+seen+`; [ "$1" = pod ]`)
	out, status := endSelf(t, "http://127.0.0.1:1/v2", path, "RUNPOD_POD_ID=p1", "RUNPOD_API_KEY="+runPodKey)
	raw, err := os.ReadFile(seen)
	if err != nil || status != 0 || string(raw) != runPodKey+" remove pod p1\n"+runPodKey+" pod delete p1\n" {
		t.Errorf("status %d, %q, %v\n%s", status, raw, err, out)
	}
	if !strings.Contains(out, "neither curl nor python3") {
		t.Errorf("it does not say what is missing:\n%s", out)
	}
}

// A login over SSH does not have the container's environment.
func TestAPodFindsWhoItIs(t *testing.T) {
	path := tools(t)
	script(t, path, "runpodctl", `[ "$3 $RUNPOD_API_KEY" = "p1 `+runPodKey+`" ]`)
	written := filepath.Join(t.TempDir(), "rp_environment")
	for _, tc := range []struct {
		name, text string
		env        []string
		status     int
		says       string
	}{
		{"written down by the image", "export RUNPOD_POD_ID=\"p1\"\nexport RUNPOD_API_KEY=\"" + runPodKey + "\"\n", nil, 0, "runpodctl remove pod: 0"},
		{"nowhere", "export OTHER=\"x\"\n", nil, 1, "RUNPOD_POD_ID is not to be found"},
		{"an id that is none", "", []string{"RUNPOD_POD_ID=../x y"}, 1, "RUNPOD_POD_ID is not to be found"},
		{"a key that is none", "", []string{"RUNPOD_POD_ID=p1", "RUNPOD_API_KEY=a\"b"}, 1, "RUNPOD_API_KEY is not to be found"},
	} {
		if err := os.WriteFile(written, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, status := endSelf(t, "http://127.0.0.1:1/v2", path, append(tc.env, "DAIL_RP_ENVIRONMENT="+written)...)
		if status != tc.status || !strings.Contains(out, tc.says) {
			t.Errorf("%s: status %d\n%s", tc.name, status, out)
		}
	}
}
