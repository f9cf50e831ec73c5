package runpod_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/runpod"
)

const secret = "rpa_PLANTED1234567890"

// hasty is a clock on which waiting takes no time, and is remembered.
type hasty struct {
	clock.Wall
	mu    sync.Mutex
	ahead time.Duration
	slept []time.Duration
}

func (h *hasty) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Unix(1790000000, 0).Add(h.ahead)
}

func (h *hasty) Sleep(ctx context.Context, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += d
	h.slept = append(h.slept, d)
	return ctx.Err()
}

func (h *hasty) waits() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slept
}

// serve is a client of a server that answers every call with handler.
func serve(t testing.TB, handler http.HandlerFunc) (*runpod.Client, *hasty) {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	h := &hasty{}
	return &runpod.Client{Key: secret, URL: srv.URL + "/v2", HTTP: srv.Client(), Clock: h}, h
}

// answers is a handler that gives one answer after the other, the last of
// them again and again, and counts.
type answers struct {
	mu    sync.Mutex
	calls int
	list  []answer
}

type answer struct {
	status int
	body   string
	header http.Header // nil: that of a problem document, or of JSON
	cut    bool        // the connection ends without an answer
}

func (a *answers) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	now := a.list[min(a.calls, len(a.list)-1)]
	a.calls++
	a.mu.Unlock()
	if now.cut {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req-7")
	for k, v := range now.header {
		w.Header()[k] = v
	}
	w.WriteHeader(now.status)
	_, _ = w.Write([]byte(now.body))
}

func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

func say(list ...answer) *answers { return &answers{list: list} }

func problem(status int, text string, errors ...string) answer {
	body := `{"title":"T","status":0,"detail":"` + text + `"`
	for i, e := range errors {
		body += map[bool]string{true: `,"errors":["`, false: `","`}[i == 0] + e
	}
	if len(errors) > 0 {
		body += `"]`
	}
	return answer{status: status, body: body + "}"}
}

func create(c *runpod.Client) error {
	_, err := c.Create(context.Background(), full())
	return err
}

// full is a request with every field.
func full() runpod.CreateRequest {
	return runpod.CreateRequest{
		Name: "dail-1790000000-0011223344556677", Image: "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
		GPU:  runpod.CreateGPU{ID: "NVIDIA L40S", Count: 2, MinCUDAVersion: "12.8"},
		Disk: 60, Ports: []string{"22/tcp"}, Env: map[string]string{"HW_PROVIDER": "runpod"},
		Args: `{"cmd":["bash","-c","true"]}`, Cloud: runpod.CloudSecure, DataCenterIDs: []string{"US-KS-2"},
		Mounts:   &runpod.Mounts{Network: []runpod.NetworkMount{{VolumeID: "vol", Path: "/workspace"}}},
		StartSSH: true,
	}
}
