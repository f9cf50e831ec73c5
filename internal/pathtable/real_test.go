package pathtable

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/proxy"
)

// TestRealLiteLLM probes the litellm path, with the LiteLLM that a run takes.
func TestRealLiteLLM(t *testing.T) {
	if os.Getenv("DAIL_REAL") == "" {
		t.Skip("DAIL_REAL is unset: make test-real sets it, and this installs LiteLLM")
	}
	s := stand(t, func(c proxy.Config) http.Handler { return proxy.NewDestream(c) }, headerWait)
	var version string
	s.URL, version = startLiteLLM(t, s.URL)
	settle(t, litellmFile, Findings{
		Programs: "LiteLLM " + version + " between dail's proxy.Front and proxy.Destream", Date: time.Now().Format(time.DateOnly), Cells: Probe(t.Context(), s),
	})
}

// TestRealStraight probes the Messages endpoint of the vLLM server that
// DAIL_VLLM_URL names.
func TestRealStraight(t *testing.T) {
	at := strings.TrimSuffix(os.Getenv("DAIL_VLLM_URL"), "/")
	if at == "" {
		t.Skip("DAIL_VLLM_URL is unset: set it to the root of a vLLM server to probe its own /v1/messages")
	}
	var version struct{ Version string }
	var models struct{ Data []struct{ ID string } }
	get(t, at+"/version", &version)
	get(t, at+"/v1/models", &models)
	if len(models.Data) == 0 || strings.HasPrefix(version.Version, "dail-sim") {
		t.Fatalf("%s is no vLLM that serves a model: version %q, models %v", at, version.Version, models)
	}
	settle(t, straightFile, Findings{
		Programs: "vLLM " + version.Version, Date: time.Now().Format(time.DateOnly),
		Cells: Probe(t.Context(), &Stand{URL: at, Metrics: at + "/metrics", Token: "any", Model: models.Data[0].ID}),
	})
}

func get(t *testing.T, url string, v any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// TestPage is the last test of the last file, so that one -update does it all.
func TestPage(t *testing.T) {
	paths := []Path{
		{Name: "native", Route: "client → dail's Messages gateway → vLLM"},
		{Name: "litellm", Route: "client → dail's Front gateway → LiteLLM → dail's Destream gateway → vLLM"},
		{Name: "straight", Route: "client → vLLM's own `/v1/messages`"},
	}
	for i, file := range []string{nativeFile, litellmFile, straightFile} {
		f, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		paths[i].Findings = f
	}
	page := Page(paths)
	if *update {
		if err := os.MkdirAll(filepath.Dir(pageFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pageFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatalf("%v; run with -update to write it", err)
	}
	if d := cmp.Diff(string(want), page); d != "" {
		t.Errorf("docs/paths.md differs from what was found; run with -update (-file +found):\n%s", d)
	}
}
