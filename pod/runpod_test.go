package pod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
	"github.com/x/dail/pod"
)

const runPodKey = "rpa_PLANTED1234567890"

// cloud is a RunPod that answers each call of its table, and keeps what it was
// asked.
type cloud struct {
	mu      sync.Mutex
	answers map[string][]reply // by "METHOD /path"; the last one stays
	calls   []string           // "METHOD /path?query"
	bodies  []string
}

type reply struct {
	status int
	body   string
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.calls = append(c.calls, r.Method+" "+r.URL.RequestURI())
	c.bodies = append(c.bodies, string(body))
	key := r.Method + " " + r.URL.Path
	if source := r.URL.Query().Get("source"); source != "" {
		key += "?source=" + source
	}
	list := c.answers[key]
	if len(list) > 1 {
		c.answers[key] = list[1:]
	}
	c.mu.Unlock()
	w.Header().Set("X-Request-Id", "req-7")
	if len(list) == 0 {
		list = []reply{{http.StatusNotFound, `{"title":"Not Found","status":404,"detail":"no such thing"}`}}
	}
	if strings.HasSuffix(r.URL.Path, "/logs") {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, list[0].body)
		return
	}
	w.WriteHeader(list[0].status)
	_, _ = io.WriteString(w, list[0].body)
}

func (c *cloud) called() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// runPod is a provider on a cloud of these answers, each a status and a body.
func runPod(t testing.TB, answers map[string][]reply) (*pod.RunPod, *cloud) {
	t.Helper()
	c := &cloud{answers: answers}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	return &pod.RunPod{Key: runPodKey, URL: srv.URL + "/v2", Client: srv.Client(), Clock: atOnce{}}, c
}

// atOnce is a clock that waits for nothing.
type atOnce struct{}

func (atOnce) Now() time.Time                                   { return time.Unix(1790000000, 0) }
func (atOnce) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
func (atOnce) Real(d time.Duration) time.Duration               { return d }
func (atOnce) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

func problem(status int, detail string) reply {
	return reply{status, fmt.Sprintf(`{"title":"T","status":%d,"detail":%q}`, status, detail)}
}

func l40s() *compose.Run {
	run := &compose.Run{
		GPUs:     2,
		Model:    compose.Model{Family: "f", Quant: "fp8", Image: "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404", ContainerDiskGB: 60},
		Hardware: compose.Hardware{Key: "l40s", GPUTypeIDs: []string{"NVIDIA L40S"}, Provider: "runpod", Instance: "l40s"},
	}
	return run
}

func spec() pod.Spec {
	return pod.Spec{
		Name: "dail-1790000000-0011223344556677", Run: l40s(),
		Offer:  pod.Offer{GPU: "NVIDIA L40S", GPUs: 2, Zone: "US-KS-2"},
		Marker: pod.Marker{Owner: "kim@box", Run: "r1", Deadline: time.Unix(1790003600, 0)}, PublicKey: "ssh-ed25519 AAAA kim", Boot: "echo 'a \"b\"'\n",
	}
}

const aPod = `{"id":"p1","name":"dail-1790000000-0011223344556677","status":"PROVISIONING","cost":2.18,"dataCenterId":"US-KS-2","createdAt":"2026-06-01T12:00:00Z"}`

func TestRunPodAbout(t *testing.T) {
	r, _ := runPod(t, nil)
	a := r.About()
	if a.Name != "runpod" || !a.RealModel || !a.Paid || !a.Outlives || a.Borrowed {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(a.EndSelf, r.URL) || strings.Contains(a.EndSelf, runPodKey) || strings.Contains(fmt.Sprintf("%+v %#v", r, r), runPodKey) {
		t.Error("the ending has not the provider's address, or the key is printed")
	}
}

func TestRunPodAsksForExactlyThis(t *testing.T) {
	r, c := runPod(t, map[string][]reply{"POST /v2/pods": {{201, aPod}}})
	s := spec()
	s.Run.Model.WeightsCached = true
	r.Volume = &pod.Volume{ID: "vol", DataCenter: "US-KS-2"}
	m, err := r.Create(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := pod.Machine{
		ID: "p1", Name: s.Name, State: pod.Pending, Status: "PROVISIONING", USDPerHour: 2.18, Zone: "US-KS-2",
		Created: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("machine (-want +got):\n%s", d)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(c.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{
		"name": s.Name, "image": s.Run.Model.Image, "disk": 60.0, "cloud": "SECURE", "startSsh": true,
		"gpu":           map[string]any{"id": "NVIDIA L40S", "count": 2.0, "minCudaVersion": "12.8"},
		"ports":         []any{"22/tcp"},
		"dataCenterIds": []any{"US-KS-2"},
		"mounts":        map[string]any{"network": []any{map[string]any{"volumeId": "vol", "path": "/workspace/volume"}}},
		"env": map[string]any{
			"HW_PROVIDER": "runpod", "HW_INSTANCE": "l40s", "PUBLIC_KEY": s.PublicKey, "DAIL_MARKER": s.Marker.String(),
		},
		"args": `{"cmd":["bash","-c","echo 'a \"b\"'\n"]}`,
	}, got); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}

	s = spec()
	s.Offer.Zone, s.Boot, s.PublicKey, s.Run.Model.ContainerDiskGB, s.Run.Model.Image = "", "", "", 10, "vllm/vllm-openai:v0.11.0"
	r.Cloud = "community"
	if _, err := r.Create(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	clear(got)
	if err := json.Unmarshal([]byte(c.bodies[1]), &got); err != nil {
		t.Fatal(err)
	}
	gpu := got["gpu"].(map[string]any)
	for _, name := range []string{"args", "dataCenterIds", "mounts"} {
		if got[name] != nil {
			t.Errorf("%s is %v, and was not asked for", name, got[name])
		}
	}
	if got["disk"] != 20.0 || got["cloud"] != "COMMUNITY" || gpu["minCudaVersion"] != nil || got["env"].(map[string]any)["PUBLIC_KEY"] != nil {
		t.Errorf("body %v", got)
	}
}

// What RunPod says becomes one of pod's kinds, with RunPod's words, its id of
// the request, and what to do; and a create is sent once.
func TestRunPodRefusals(t *testing.T) {
	for _, tc := range []struct {
		reply reply
		want  error
		words string
	}{
		{problem(400, "There are no longer any instances available with the requested specifications. Please refresh and try again."), pod.ErrNoCapacity, "Please refresh"},
		{problem(400, "globalNetworking is not supported"), pod.ErrInvalid, "globalNetworking"},
		{problem(401, "invalid bearer token"), pod.ErrUnauthorized, "RUNPOD_API_KEY"},
		{problem(402, "insufficient balance"), pod.ErrNoCredit, "load credit"},
		{problem(403, "access denied"), pod.ErrDenied, "access denied"},
		{reply{403, "error code: 1010"}, pod.ErrInvalid, "error code: 1010"},
		{problem(404, "network volume not found"), pod.ErrInvalid, "network volume not found"},
		{problem(410, "gone"), pod.ErrInvalid, "https://api.runpod.io/v2"},
		{reply{422, `{"title":"T","status":422,"detail":"Request validation failed.","errors":["$.disk: no"]}`}, pod.ErrInvalid, "$.disk: no"},
		{problem(429, "rate limit exceeded"), pod.ErrBusy, "rate limit"},
		{problem(500, "create pod: upstream"), pod.ErrUnclear, "create pod: upstream"},
		{reply{201, `{"id":"p1`}, pod.ErrUnclear, "cannot be used"},
	} {
		r, c := runPod(t, map[string][]reply{"POST /v2/pods": {tc.reply}})
		_, err := r.Create(context.Background(), spec())
		var e *pod.ProviderError
		if !errors.Is(err, tc.want) || !errors.As(err, &e) || e.Provider != "runpod" || e.Op != "create" || e.RequestID != "req-7" {
			t.Errorf("%d %s: %#v", tc.reply.status, tc.reply.body, err)
			continue
		}
		if !strings.Contains(err.Error(), tc.words) || len(c.called()) != 1 {
			t.Errorf("%v after %d calls, want the words %q", err, len(c.called()), tc.words)
		}
	}
}

func TestRunPodRefusesByItself(t *testing.T) {
	r, c := runPod(t, nil)
	r.Cloud = "ALL"
	_, err1 := r.Create(context.Background(), spec())
	_, err2 := r.Offers(context.Background(), l40s())
	r.Cloud = ""
	s := spec()
	s.Offer.GPU = ""
	_, err3 := r.Create(context.Background(), s)
	run := l40s()
	run.Hardware.GPUTypeIDs = nil
	_, err4 := r.Offers(context.Background(), run)
	s = spec()
	s.Boot = strings.Repeat("x", 102400)
	_, err5 := r.Create(context.Background(), s)
	nobody := &pod.RunPod{URL: r.URL}
	_, err6 := nobody.Offers(context.Background(), l40s())
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, pod.ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if !errors.Is(err6, pod.ErrUnauthorized) || len(c.called()) > 0 {
		t.Errorf("without a key: %v; calls %q", err6, c.called())
	}
}

func TestRunPodReadsPods(t *testing.T) {
	marker := spec().Marker
	env := func(text string) string { return `"env":{"DAIL_MARKER":` + fmt.Sprintf("%q", text) + `}` }
	list := `{"pods":[
		{"id":"a","name":"dail-1790000000-00","status":"RUNNING","cost":1.5,` + env(marker.String()) + `,"ssh":{"direct":{"host":"1.2.3.4","port":10341,"username":""}}},
		{"id":"b","name":"theirs","status":"STARTING",` + env(marker.String()) + `},
		{"id":"c","name":"dail-1790000000-01","status":"EXITED",` + env("dail/0;owner=x") + `},
		{"id":"d","name":"dail-1790000000-02","status":"ERROR","ssh":{"direct":{"host":"","port":0}}},
		{"id":"e","name":"","status":"TERMINATED"},
		{"id":"f","name":"n","status":"HIBERNATING"}]}`
	r, _ := runPod(t, map[string][]reply{"GET /v2/pods": {{200, list}}})
	got, err := r.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []pod.Machine{
		{ID: "a", Name: "dail-1790000000-00", State: pod.Running, Status: "RUNNING", USDPerHour: 1.5, Marker: &marker, SSH: &pod.Address{User: "root", Host: "1.2.3.4", Port: 10341}},
		{ID: "b", Name: "theirs", State: pod.Pending, Status: "STARTING"},
		{ID: "c", Name: "dail-1790000000-01", State: pod.Failed, Status: "EXITED"},
		{ID: "d", Name: "dail-1790000000-02", State: pod.Failed, Status: "ERROR"},
		{ID: "e", State: pod.Gone, Status: "TERMINATED"},
		{ID: "f", Name: "n", State: pod.Pending, Status: "HIBERNATING"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := r.Get(context.Background(), "p9"); !errors.Is(err, pod.ErrNotFound) || !strings.Contains(err.Error(), "p9") {
		t.Errorf("a pod that is not there: %v", err)
	}
}

func TestRunPodTerminates(t *testing.T) {
	gone := reply{204, ""}
	for _, tc := range []struct {
		name    string
		answers map[string][]reply
		want    error
		calls   int
	}{
		{"at once", map[string][]reply{"DELETE /v2/pods/p1": {gone}}, nil, 1},
		{"not there", nil, pod.ErrNotFound, 1},
		{"busy, then not", map[string][]reply{"DELETE /v2/pods/p1": {problem(500, "x"), problem(503, "x"), gone}}, nil, 3},
		{"busy for ever", map[string][]reply{"DELETE /v2/pods/p1": {problem(500, "x")}}, pod.ErrBusy, 4},
		{"locked", map[string][]reply{
			"DELETE /v2/pods/p1": {problem(409, "pod is locked"), gone},
			"GET /v2/pods/p1":    {{200, `{"id":"p1","locked":true}`}}, "PATCH /v2/pods/p1": {{200, `{"id":"p1"}`}},
		}, nil, 4},
		{"locked, as a 400", map[string][]reply{
			"DELETE /v2/pods/p1": {problem(400, "pod is locked"), gone},
			"GET /v2/pods/p1":    {{200, `{"id":"p1","locked":true}`}}, "PATCH /v2/pods/p1": {{200, `{"id":"p1"}`}},
		}, nil, 4},
		{"locked for good", map[string][]reply{
			"DELETE /v2/pods/p1": {problem(409, "pod is locked")},
			"GET /v2/pods/p1":    {{200, `{"id":"p1","locked":true}`}}, "PATCH /v2/pods/p1": {problem(401, "read only key")},
		}, pod.ErrUnauthorized, 3},
		{"member of a cluster", map[string][]reply{
			"DELETE /v2/pods/p1": {problem(409, "pod belongs to a cluster")},
			"GET /v2/pods/p1":    {{200, `{"id":"p1","locked":true,"cluster":{"id":"c1","rank":0}}`}},
		}, pod.ErrConflict, 2},
		{"conflict of another kind", map[string][]reply{
			"DELETE /v2/pods/p1": {problem(409, "not now")}, "GET /v2/pods/p1": {{200, `{"id":"p1"}`}},
		}, pod.ErrConflict, 2},
		{"refused, and not to be seen", map[string][]reply{"DELETE /v2/pods/p1": {problem(403, "restricted key")}}, pod.ErrDenied, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, c := runPod(t, tc.answers)
			err := r.Terminate(context.Background(), "p1")
			if !errors.Is(err, tc.want) || (tc.want == nil) != (err == nil) || len(c.called()) != tc.calls {
				t.Errorf("%v, want %v in %d calls: %q", err, tc.want, tc.calls, c.called())
			}
		})
	}
}

func TestRunPodLogs(t *testing.T) {
	event := func(at, source, line string) string {
		raw, _ := json.Marshal(map[string]string{"ts": at, "source": source, "line": line})
		return "data: " + string(raw) + "\n\n"
	}
	r, c := runPod(t, map[string][]reply{
		"GET /v2/pods/p1/logs?source=system":    {{200, event("2026-06-01T12:00:01Z", "system", "pull") + event("2026-06-01T12:00:04Z", "system", "start") + event("soon", "system", "of no time")}},
		"GET /v2/pods/p1/logs?source=container": {{200, event("2026-06-01T12:00:02Z", "container", "early") + event("2026-06-01T12:00:05Z", "container", "late\r\x1b[31m!")}},
	})
	got, err := r.Logs(context.Background(), "p1", 4)
	if err != nil || !slices.Equal(got, []string{"container: early", "system: start", "system: of no time", "container: late  [31m!"}) {
		t.Errorf("%q, %v", got, err)
	}
	var asked []string
	for _, call := range c.called() {
		_, query, _ := strings.Cut(call, "?")
		asked = append(asked, query)
	}
	slices.Sort(asked)
	if !slices.Equal(asked, []string{"source=container&tail=4", "source=system&tail=4"}) {
		t.Errorf("asked %q", asked)
	}
	closed, _ := runPod(t, nil)
	closed.URL = "http://127.0.0.1:1/v2"
	if _, err := closed.Logs(context.Background(), "p1", 3); !errors.Is(err, pod.ErrBusy) {
		t.Errorf("nobody answers: %v", err)
	}
}
