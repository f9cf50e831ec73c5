package vllmcontract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/compose"
	"github.com/x/dail/sim"
)

var update = flag.Bool("update", false, "write the golden files anew; with DAIL_VLLM_URL, the real scrape too")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a vLLM, or what plays one.
type server struct {
	url     string
	model   string
	version string
	context int // max_model_len
	client  *http.Client
}

// The sizes with which scripts/vllm-cpu starts the real server; its block size
// is the CPU's default.
const (
	servedModel   = "tiny"
	contextLength = 40960
	blockSize     = 128
)

// simulated starts the simulator as scripts/vllm-cpu starts vLLM.
func simulated(t *testing.T) *server {
	t.Helper()
	tape, err := sim.LoadCassette(fstest.MapFS{"tape.yaml": {Data: []byte(cassette)}}, "tape.yaml", []compose.Phase{{ID: "weather", Prompt: weatherPrompt}})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sim.NewServer(sim.Config{
		Model: servedModel, Step: quick{}, MaxModelLen: contextLength, BlockSize: blockSize, MaxNumBatchedTokens: 2048, MaxNumSeqs: 64,
	}, tape)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(engine)
	s := &server{url: listener.URL, model: servedModel, version: sim.Version, context: contextLength, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() { s.client.CloseIdleConnections(); listener.Close(); engine.Close() })
	return s
}

// quick is a card on which every step takes a millisecond.
type quick struct{}

func (quick) Step(sim.Batch) time.Duration { return time.Millisecond }

// weatherPrompt is what the simulator's cassette knows its phase by.
const weatherPrompt = "What is the weather in Paris? Ask get_weather."

// cassette has the simulator call the tool that a real server is forced to call.
const cassette = `phases:
- id: weather
  turns:
  - text: "I look.\n"
    calls:
    - tool: get_weather
      input: {city: Paris}
  - text: It rains.
`

// realServer is the server that DAIL_VLLM_URL names.
func realServer(t *testing.T) *server {
	t.Helper()
	at := strings.TrimSuffix(os.Getenv("DAIL_VLLM_URL"), "/")
	if at == "" {
		t.Skip("DAIL_VLLM_URL is unset: scripts/vllm-cpu starts a real vLLM and sets it")
	}
	s := &server{url: at, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(s.client.CloseIdleConnections)
	var version struct{ Version string }
	var models struct {
		Data []struct {
			ID          string
			MaxModelLen int `json:"max_model_len"`
		}
	}
	for path, v := range map[string]any{"/version": &version, "/v1/models": &models} {
		if r := s.do(t.Context(), "GET", path, "", nil); r.status != http.StatusOK || json.Unmarshal(r.body, v) != nil {
			t.Fatalf("%s%s: %v", at, path, r)
		}
	}
	if len(models.Data) != 1 || strings.HasPrefix(version.Version, "dail-sim") {
		t.Fatalf("%s is no vLLM with one model: version %q, models %v; use scripts/vllm-cpu", at, version.Version, models)
	}
	s.version, s.model, s.context = version.Version, models.Data[0].ID, models.Data[0].MaxModelLen
	if s.model != servedModel || s.context != contextLength {
		t.Fatalf("%s serves %s with a context of %d, the tests are made for %s with %d; use scripts/vllm-cpu", at, s.model, s.context, servedModel, contextLength)
	}
	return s
}

// A reply is an HTTP answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (r reply) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("%d %.600s", r.status, r.body)
}

func (s *server) do(ctx context.Context, method, path, body string, header http.Header) reply {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, b, err}
}

// post sends body with the model's name filled in.
func (s *server) post(ctx context.Context, path string, body object) reply {
	if _, ok := body["model"]; !ok {
		body = body.with("model", s.model)
	}
	return s.do(ctx, "POST", path, body.json(), nil)
}

func (s *server) chat(ctx context.Context, body object) reply {
	return s.post(ctx, "/v1/chat/completions", body)
}

// An object is a JSON object.
type object map[string]any

func (o object) json() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		return err.Error() // what no server accepts
	}
	return b.String()
}

// with returns o and more keys, or other values of them.
func (o object) with(keysAndValues ...any) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		out[keysAndValues[i].(string)] = keysAndValues[i+1]
	}
	return out
}

func user(text string) []object { return []object{{"role": "user", "content": text}} }
