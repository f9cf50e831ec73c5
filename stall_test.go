package dail_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/pod"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
)

// A server that takes requests and never makes a token is given up, and what
// is written says why.
func TestALevelThatStandsStillIsGivenUp(t *testing.T) {
	plan := askPlan(t)
	engine, err := sim.NewServer(sim.Config{Step: sim.Fixed{TTFT: time.Second, ITL: time.Second}, Model: plan.Run.Serving.ServedModelName}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/chat/completions" {
			io.Copy(io.Discard, r.Body) // then the end of the client is seen
			<-r.Context().Done()
			return
		}
		engine.ServeHTTP(w, r)
	}))
	defer srv.Close()

	plan.Provider = pod.Endpoint{URL: srv.URL}
	plan.Pod.Limits.StallGeneration = 400 * time.Millisecond
	rep, err := dail.Run(t.Context(), plan)
	var stalled *dail.StallError
	if !errors.As(err, &stalled) || !strings.Contains(err.Error(), "STALL_GEN") {
		t.Fatalf("err = %v; want a StallError", err)
	}
	if rep == nil || rep.Truncated != report.TruncatedStall || dail.ExitStatus(rep, err) != 1 {
		t.Errorf("report %+v", rep)
	}
}
