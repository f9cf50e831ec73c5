package pod_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/x/dail/compose"
	"github.com/x/dail/pod"
)

// server is a vLLM's face, as far as Up looks at it.
func server(t *testing.T, model, version string, healthyAfter int32) *httptest.Server {
	t.Helper()
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= healthyAfter {
			http.Error(w, "loading", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"object":"list","data":[{"id":"` + model + `","max_model_len":4096}]}`))
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"version":"` + version + `"}`))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func runOf(model string) *compose.Run {
	return &compose.Run{Serving: compose.Serving{ServedModelName: model}}
}

func TestUpWaitsUntilHealthy(t *testing.T) {
	srv := server(t, "m", "0.11.0", 1)
	p, err := pod.Up(t.Context(), pod.Endpoint{URL: srv.URL + "/v1"}, runOf("m"), pod.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Simulated || p.Version != "0.11.0" || p.MaxModelLen != 4096 || p.Provider != "endpoint" {
		t.Errorf("pod = %+v", p)
	}
	if err := p.Down(context.Background()); err != nil {
		t.Error(err)
	}
}

// Decision 2: the server says what it is, the provider's name does not.
func TestSourceComesFromTheServer(t *testing.T) {
	srv := server(t, "m", "dail-sim/0.1.0", 0)
	p, err := pod.Up(t.Context(), pod.Endpoint{URL: srv.URL}, runOf("m"), pod.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Simulated {
		t.Error("dail's engine behind -provider endpoint is not marked simulated")
	}
}

func TestUpRefusesAnotherModelAtOnce(t *testing.T) {
	srv := server(t, "other", "0.11.0", 0)
	_, err := pod.Up(t.Context(), pod.Endpoint{URL: srv.URL}, runOf("m"), pod.Options{})
	if err == nil || !strings.Contains(err.Error(), "other") || !strings.Contains(err.Error(), "--served-model-name m") {
		t.Errorf("err = %v; want both names and what to do", err)
	}
}

func TestEndpointRefusesWhatIsNoAddress(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:8000", "ftp://x", "http://", "://"} {
		if err := (pod.Endpoint{URL: bad}).Check(); err == nil {
			t.Errorf("%q was taken for an address", bad)
		}
	}
}
