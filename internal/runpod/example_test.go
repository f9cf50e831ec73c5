package runpod_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/x/dail/internal/runpod"
)

func ExampleClient_Create() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"title":"Bad Request","status":400,"detail":"There are no instances currently available"}`)
	}))
	defer srv.Close()

	c := &runpod.Client{Key: "rpa_EXAMPLE", URL: srv.URL + "/v2", HTTP: srv.Client()}
	_, err := c.Create(context.Background(), runpod.CreateRequest{
		Name: "dail-1790000000-0011223344556677", Image: "runpod/base:1.0.2-cuda1281-ubuntu2404",
		GPU: runpod.CreateGPU{ID: "NVIDIA L40S", Count: 1}, Disk: 20, Ports: []string{"22/tcp"},
	})
	fmt.Println(runpod.KindOf(err) == runpod.Capacity)
	fmt.Println(err)
	// Output:
	// true
	// create pod: POST /v2/pods: 400 Bad Request: There are no instances currently available
}
