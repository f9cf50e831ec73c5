package podtest_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/pod/podtest"
)

// A pod's life by the clock: placed, image, container, address, gone.
func TestLifeOfAPod(t *testing.T) {
	clk := newManual()
	srv, a := serve(t, podtest.Config{NoMachines: true, Clock: clk, Boot: 40 * time.Second})
	p := a.create(request("dail-1-a"))
	if p.Status != "PROVISIONING" || p.DataCenterID != nil || hasSSH(p) || p.Cost != 0.99 {
		t.Errorf("after the create: %+v", p)
	}
	for _, want := range []struct {
		status string
		ssh    bool
	}{{"STARTING", false}, {"RUNNING", false}, {"RUNNING", true}} {
		clk.sleepers(t, 1)
		clk.Advance(10 * time.Second)
		clk.sleepers(t, 1)
		if got := a.get(p.ID); got.Status != want.status || hasSSH(got) != want.ssh {
			t.Errorf("at %v: %s with ssh %v; want %+v", clk.Now(), got.Status, got.SSH.Direct, want)
		}
	}
	clk.Advance(10 * time.Second)
	if len(srv.Alive()) != 1 {
		t.Errorf("alive: %v", srv.Alive())
	}
	if r := a.want(204, "DELETE", "/pods/"+p.ID, nil, nil); r.Body != "" {
		t.Errorf("the answer to a DELETE has a body: %q", r.Body)
	}
	a.want(404, "GET", "/pods/"+p.ID, nil, nil)
	a.want(404, "DELETE", "/pods/"+p.ID, nil, nil)
	if ids := a.list(); len(ids) != 0 || len(srv.Alive()) != 0 {
		t.Errorf("after the DELETE: listed %v, alive %v", ids, srv.Alive())
	}
}

// Billing runs from the create to the delete, to the second, at the price that
// GET says, and a stopped pod goes on costing a little.
func TestBillToTheSecond(t *testing.T) {
	clk := newManual()
	srv, a := serve(t, podtest.Config{NoMachines: true, Clock: clk, Boot: 4 * time.Second})
	first := a.create(with(request("dail-1-a"), "gpu", map[string]any{"id": "NVIDIA L40S", "count": 2}))
	clk.Advance(100 * time.Second)
	second := a.create(with(request("dail-1-b"), "cloud", "COMMUNITY"))
	clk.Advance(17 * time.Second)
	a.want(204, "DELETE", "/pods/"+first.ID, nil, nil)
	clk.Advance(time.Hour)

	bill := srv.Bill()
	if len(bill) != 2 {
		t.Fatalf("bill: %+v", bill)
	}
	near(t, "seconds of the first", bill[0].Seconds, 117)
	near(t, "price of the first", bill[0].USDPerHour, 1.98)
	near(t, "USD of the first", bill[0].USD, 1.98*117/3600)
	near(t, "price in GET", a.get(second.ID).Cost, bill[1].USDPerHour)
	near(t, "USD of the second", bill[1].USD, 0.79*3617/3600)
	if !bill[1].Ended.IsZero() || bill[0].Ended.Sub(bill[0].Created) != 117*time.Second {
		t.Errorf("ends: %v, %v", bill[0].Ended, bill[1].Ended)
	}

	var b struct {
		Records  []struct{ TotalAmount float64 }
		Metadata struct{ Totals struct{ TotalAmount float64 } }
	}
	a.want(200, "GET", "/billing/pods?bucketSize=hour&lastN=3", nil, &b)
	near(t, "GET /billing/pods", b.Metadata.Totals.TotalAmount, bill[0].USD+bill[1].USD)
	if len(b.Records) != 3 {
		t.Errorf("hours of two pods, of which one lives for two: %+v", b.Records)
	}
	for _, size := range []string{"day", "week", "month", "year"} {
		a.want(200, "GET", "/billing/pods?bucketSize="+size+"&podId="+second.ID, nil, &b)
		near(t, size, b.Metadata.Totals.TotalAmount, bill[1].USD)
	}
	a.want(400, "GET", "/billing/pods?lastN=2&startTime=2026-11-01T00:00:00Z", nil, nil)
	a.want(200, "GET", "/billing/pods?startTime=2026-11-24T10:00:00Z&endTime=2026-11-24T10:30:00Z&bucketSize=hour", nil, &b)

	a.until(second.ID, func(p podJSON) bool {
		clk.Advance(time.Second) // its boot may lag behind the clock
		return hasSSH(p)
	})
	before := srv.Bill()[1].USD
	var stopped podJSON
	a.want(200, "POST", "/pods/"+second.ID+"/action", map[string]any{"action": "stop"}, &stopped)
	clk.Advance(730 * time.Hour)
	near(t, "a month's disk", srv.Bill()[1].USD-before, 0.20*50)
	if stopped.Status != "EXITED" || stopped.Cost != 0 || len(srv.Alive()) != 1 {
		t.Errorf("a stopped pod: %+v, alive %v", stopped, srv.Alive())
	}
	a.want(409, "POST", "/pods/"+second.ID+"/action", map[string]any{"action": "restart"}, nil)
	a.want(200, "POST", "/pods/"+second.ID+"/action", map[string]any{"action": "start"}, &stopped)
	if stopped.Status != "STARTING" || stopped.Cost != 0.79 {
		t.Errorf("started again: %+v", stopped)
	}
	a.want(204, "POST", "/pods/"+second.ID+"/action", map[string]any{"action": "terminate"}, nil)
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6 {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestKeys(t *testing.T) {
	_, a := serve(t, podtest.Config{NoMachines: true})
	if r := a.as("").do("GET", "/pods", nil); r.Status != 401 || !strings.Contains(r.Body, "missing bearer token") ||
		r.Header.Get("Content-Type") != "application/problem+json" || r.Header.Get("RateLimit") != "" {
		t.Errorf("without a key: %d %s %v", r.Status, r.Body, r.Header)
	}
	if r := a.as("wrong").do("GET", "/pods", nil); r.Status != 401 {
		t.Errorf("with a wrong key: %d", r.Status)
	}
	r := a.do("GET", "/pods", nil)
	if r.Header.Get("X-Request-Id") == "" || !strings.Contains(r.Header.Get("RateLimit"), `"minute";r=5999;t=`) ||
		!strings.Contains(r.Header.Get("RateLimit-Policy"), `"hour";q=300000;w=3600`) {
		t.Errorf("headers: %v", r.Header)
	}
}

func TestTheDoor(t *testing.T) {
	srv, a := serve(t, podtest.Config{NoMachines: true})
	req, err := http.NewRequest("GET", srv.URL+"/pods", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+srv.Key)
	for agent, want := range map[string]int{"": 403, "Python-urllib/3.12": 403, "dail/1": 200} {
		req.Header["User-Agent"] = []string{agent}
		resp, err := a.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("User-Agent %q: %d, want %d", agent, resp.StatusCode, want)
		}
	}
	if r := a.do("GET", "//v1/pods", nil); r.Status != 410 {
		t.Errorf("v1: %d", r.Status)
	}
	a.want(404, "GET", "/networkvolumes", nil, nil)
	if r := a.do("PUT", "/pods", "{}"); r.Status != 405 || r.Header.Get("Allow") != "GET, POST" {
		t.Errorf("PUT /pods: %d %v", r.Status, r.Header)
	}
}

func TestRateLimit(t *testing.T) {
	clk := newManual()
	_, a := serve(t, podtest.Config{NoMachines: true, Clock: clk, RequestsPerMinute: 2})
	a.want(200, "GET", "/pods", nil, nil)
	clk.Advance(20 * time.Second)
	a.want(200, "GET", "/pods", nil, nil)
	r := a.want(429, "GET", "/pods", nil, nil)
	if r.Header.Get("Retry-After") != "40" || !strings.Contains(r.Body, "minute window") {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	clk.Advance(40 * time.Second)
	a.want(200, "GET", "/pods", nil, nil)
}

func TestCreateIsRefused(t *testing.T) {
	srv, a := serve(t, podtest.Config{NoMachines: true, Balance: 5, GPUs: append(podtest.Catalogue(),
		podtest.GPU{ID: "sold out", Name: "S", MemoryGB: 1, Secure: 1, Zones: []podtest.Zone{{ID: "US-KS-2", Stock: "NONE"}}})})
	gpu := func(key string, value any) func(map[string]any) {
		return func(r map[string]any) { r["gpu"].(map[string]any)[key] = value }
	}
	field := func(key string, value any) func(map[string]any) {
		return func(r map[string]any) { r[key] = value }
	}
	env := map[string]string{}
	for i := range 51 {
		env[fmt.Sprint("V", i)] = "x"
	}
	var ports []string
	for i := range 11 {
		ports = append(ports, fmt.Sprintf("%d/http", 8000+i))
	}
	const capacity = "no longer any instances available"
	for name, tc := range map[string]struct {
		change func(map[string]any)
		status int
		says   string
	}{
		"a v1 field":        {field("imageName", "x"), 422, "additional properties 'imageName' not allowed"},
		"no disk":           {func(r map[string]any) { delete(r, "disk") }, 400, "pod configuration parameters"},
		"cpu and gpu":       {field("cpu", map[string]any{"id": "cpu3c", "vcpuCount": 2}), 400, "exactly one of gpu or cpu"},
		"neither":           {func(r map[string]any) { delete(r, "gpu") }, 400, "exactly one of gpu or cpu"},
		"51 variables":      {field("env", env), 400, "50 environment variables"},
		"11 http ports":     {field("ports", ports), 400, "10 http ports"},
		"a udp port":        {field("ports", []string{"53/udp"}), 400, "53/udp"},
		"both CUDA filters": {gpu("allowedCudaVersions", []string{"12.8"}), 400, "mutually exclusive"},
		"newer CUDA":        {gpu("minCudaVersion", "13.1"), 400, capacity},
		"older than 12.11":  {gpu("minCudaVersion", "12.11"), 201, ""},
		"an unknown GPU":    {gpu("id", "NVIDIA H100 SXM"), 400, "not known"},
		"too many GPUs":     {gpu("count", 9), 400, capacity},
		"not in the cloud":  {gpu("id", "NVIDIA L40"), 400, capacity},
		"sold out":          {gpu("id", "sold out"), 400, capacity},
		"not in the zone":   {field("dataCenterIds", []string{"AP-JP-1"}), 400, capacity},
		"a zone":            {field("dataCenterIds", []string{"EUR-IS-1"}), 201, ""},
		"too dear":          {gpu("count", 8), 402, "balance"},
		"a template":        {field("templateId", "t"), 404, "template"},
		"no such volume": {field("mounts", map[string]any{"network": []any{map[string]any{"volumeId": "v", "path": "/workspace"}}}),
			404, "network volume"},
		"too big": {field("args", strings.Repeat("x", 102400)), 413, "102400 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			req := request("dail-1-" + strings.ReplaceAll(name, " ", "-"))
			tc.change(req)
			before := len(srv.Pods())
			r := a.do("POST", "/pods", req)
			if r.Status != tc.status || !strings.Contains(r.Body, tc.says) {
				t.Errorf("%d %s; want %d and %q", r.Status, r.Body, tc.status, tc.says)
			}
			if made := len(srv.Pods()) - before; (made == 1) != (tc.status == 201) {
				t.Errorf("%d pods were made", made)
			}
		})
	}
	a.want(400, "POST", "/pods", "{", nil)
}

// A list is the newest first, in pages.
func TestPages(t *testing.T) {
	_, a := serve(t, podtest.Config{NoMachines: true})
	var made []string
	for i := range 5 {
		made = append(made, a.create(request(fmt.Sprint("dail-1-", i))).ID)
	}
	slices.Reverse(made)
	if got := a.list(); !slices.Equal(got, made) {
		t.Errorf("listed %v, made %v", got, made)
	}
	if got, pages := a.pages("limit=2"); !slices.Equal(got, made) || pages != 3 {
		t.Errorf("in %d pages %v, made %v", pages, got, made)
	}
	a.want(422, "GET", "/pods?cursor=Zm9yZWlnbg", nil, nil)
	a.want(422, "GET", "/pods?limit=1001", nil, nil)
	a.want(200, "GET", "/pods?name=ignored", nil, nil)
}

// pages reads a list to its end, or 20 pages of it.
func (a api) pages(query string) (ids []string, pages int) {
	a.t.Helper()
	cursor := ""
	for pages < 20 {
		var l struct {
			Pods       []podJSON
			Pagination struct {
				NextCursor  *string
				HasNextPage bool
			}
		}
		a.want(200, "GET", "/pods?"+query+cursor, nil, &l)
		pages++
		for _, p := range l.Pods {
			ids = append(ids, p.ID)
		}
		if !l.Pagination.HasNextPage {
			break
		}
		cursor = "&cursor=" + *l.Pagination.NextCursor
	}
	return ids, pages
}

func TestCatalogue(t *testing.T) {
	_, a := serve(t, podtest.Config{NoMachines: true})
	var g struct {
		Secure, Community bool
		Price             struct{ Secure, Community float64 }
		Availability      string
		DataCenters       []struct{ ID, Availability string }
	}
	a.want(200, "GET", "/catalog/gpus/NVIDIA%20L40S?include=AVAILABILITY&product=POD&cloud=SECURE&minCudaVersion=12.8", nil, &g)
	if !g.Secure || g.Price.Secure != 0.99 || g.Price.Community != 0.79 || g.Availability != "HIGH" || len(g.DataCenters) != 4 {
		t.Errorf("L40S: %+v", g)
	}
	a.want(200, "GET", "/catalog/gpus/NVIDIA%20L40", nil, &g)
	if g.Secure || !g.Community {
		t.Errorf("an L40 is in the community cloud only: %+v", g)
	}
	var l struct{ GPUs []struct{ ID string } }
	a.want(200, "GET", "/catalog/gpus?include=AVAILABILITY&product=POD&countryCodes=RO", nil, &l)
	if len(l.GPUs) == 0 || len(l.GPUs) >= len(podtest.Catalogue()) {
		t.Errorf("in Romania: %d types", len(l.GPUs)) // secure only: some are not there
	}
	a.want(400, "GET", "/catalog/gpus?include=AVAILABILITY", nil, nil)
	a.want(400, "GET", "/catalog/gpus?product=POD", nil, nil)
	a.want(400, "GET", "/catalog/gpus?include=AVAILABILITY&product=POD&cudaVersions=12.8&minCudaVersion=12.8", nil, nil)
	a.want(404, "GET", "/catalog/gpus/H100", nil, nil)

	var d struct {
		DataCenters []struct {
			ID              string
			GPUAvailability []struct{ ID string }
		}
	}
	a.want(200, "GET", "/catalog/datacenters?include=GPU_AVAILABILITY&regions=EUROPE", nil, &d)
	if len(d.DataCenters) != 3 || len(d.DataCenters[0].GPUAvailability) == 0 {
		t.Errorf("Europe: %+v", d)
	}
	a.want(200, "GET", "/catalog/datacenters/US-KS-2", nil, nil)
	a.want(404, "GET", "/catalog/datacenters/MOON-1", nil, nil)
}

func TestAccount(t *testing.T) {
	srv, a := serve(t, podtest.Config{NoMachines: true, Balance: 50})
	_, line := userKey(t)
	a.want(200, "PUT", "/account/ssh-keys", map[string]any{"keys": []string{line}}, nil)
	a.want(422, "PUT", "/account/ssh-keys", map[string]any{"keys": []string{"no key"}}, nil)
	p := a.create(request("dail-1-a"))
	if p.Env["PUBLIC_KEY"] != line {
		t.Errorf("startSsh did not bring the account's key: %v", p.Env)
	}
	if own := a.create(with(request("dail-1-b"), "env", map[string]string{"PUBLIC_KEY": "mine"})); own.Env["PUBLIC_KEY"] != "mine" {
		t.Errorf("startSsh replaced the request's key: %v", own.Env)
	}

	var v struct{ ID, Type string }
	a.want(201, "POST", "/network-volumes", map[string]any{"name": "weights", "size": 100, "dataCenter": "EU-RO-1"}, &v)
	a.want(422, "POST", "/network-volumes", map[string]any{"name": "weights", "size": 5, "dataCenter": "EU-RO-1"}, nil)
	a.want(400, "PATCH", "/network-volumes/"+v.ID, map[string]any{"size": 50}, nil)
	a.want(200, "PATCH", "/network-volumes/"+v.ID, map[string]any{"size": 200}, nil)
	mount := map[string]any{"network": []any{map[string]any{"volumeId": v.ID, "path": "/workspace"}}}
	a.want(400, "POST", "/pods", with(with(request("dail-1-c"), "mounts", mount), "dataCenterIds", []string{"US-KS-2"}), nil)
	a.want(400, "POST", "/pods", with(with(request("dail-1-c"), "mounts", mount), "cloud", "COMMUNITY"), nil)
	at := a.create(with(request("dail-1-c"), "mounts", mount))
	at = a.until(at.ID, func(p podJSON) bool { return p.DataCenterID != nil })
	if *at.DataCenterID != "EU-RO-1" {
		t.Errorf("the pod is in %s, its volume in EU-RO-1", *at.DataCenterID)
	}
	a.want(204, "DELETE", "/network-volumes/"+v.ID, nil, nil)
	a.want(404, "GET", "/network-volumes/"+v.ID, nil, nil)

	var g struct {
		Data struct {
			Myself struct{ ClientBalance, CurrentSpendPerHr float64 }
		}
		Errors []struct{ Message string }
	}
	a.want(200, "POST", "//graphql", map[string]any{"query": "query { myself { id clientBalance currentSpendPerHr } }"}, &g)
	if b := g.Data.Myself.ClientBalance; b > 50 || b < 49 || math.Abs(g.Data.Myself.CurrentSpendPerHr-3*0.99) > 1e-9 {
		t.Errorf("balance %v, spending %v", b, g.Data.Myself.CurrentSpendPerHr)
	}
	for _, q := range []map[string]any{
		{"query": `mutation { podTerminate(input: {podId: "` + p.ID + `"}) }`},
		{"query": `mutation($id: String!) { podTerminate(input: {podId: $id}) }`, "variables": map[string]any{"id": at.ID}},
	} {
		a.want(200, "POST", "//graphql", q, &g)
	}
	if len(srv.Alive()) != 1 || len(g.Errors) > 0 {
		t.Errorf("alive: %v, errors %v", srv.Alive(), g.Errors)
	}
	a.want(200, "POST", "//graphql", map[string]any{"query": `mutation { podTerminate(input: {podId: "x"}) }`}, &g)
	if len(g.Errors) != 1 || g.Errors[0].Message != "pod not found to terminate" {
		t.Errorf("a pod that is not there: %v", g.Errors)
	}
}

// A colleague's pod is listed, and whoever changes it is found out.
func TestForeignPods(t *testing.T) {
	srv, a := serve(t, podtest.Config{NoMachines: true})
	env := map[string]string{"DAIL_MARKER": "dail/1;owner=eve@box;run=r;deadline=1790000000;keep=0"}
	id := srv.AddForeign("dail-1790000000-0123456789abcdef", env)
	other := srv.AddForeign("pytorch", nil)
	a.get(id)
	if ids := a.list(); len(ids) != 2 || len(srv.Alive()) != 0 || len(srv.Touched()) != 0 || len(srv.Bill()) != 0 {
		t.Errorf("listed %v, alive %v, touched %v", ids, srv.Alive(), srv.Touched())
	}
	a.want(200, "PATCH", "/pods/"+id, map[string]any{"name": "mine"}, nil)
	if got := srv.Touched(); len(got) != 1 || got[0].ID != id {
		t.Errorf("touched %v", got)
	}
	srv.Inject(podtest.Delete500, 1)
	a.want(500, "DELETE", "/pods/"+other, nil, nil)
	if got := srv.Touched(); len(got) != 2 {
		t.Errorf("a DELETE that failed does not count: touched %v", got)
	}
	a.want(204, "DELETE", "/pods/"+other, nil, nil)
	a.want(404, "GET", "/pods/"+other, nil, nil)
}

func TestPatch(t *testing.T) {
	_, a := serve(t, podtest.Config{NoMachines: true})
	p := a.create(request("dail-1-a"))
	a.want(200, "PATCH", "/pods/"+p.ID, map[string]any{"name": "other", "locked": true, "env": map[string]string{"A": "b"}}, &p)
	if p.Name != "other" || !p.Locked || p.Env["A"] != "b" {
		t.Errorf("%+v", p)
	}
	a.want(409, "POST", "/pods/"+p.ID+"/action", map[string]any{"action": "stop"}, nil)
	a.want(409, "DELETE", "/pods/"+p.ID, nil, nil)
	a.want(422, "PATCH", "/pods/"+p.ID, map[string]any{"status": "RUNNING"}, nil)
	a.want(200, "PATCH", "/pods/"+p.ID, map[string]any{"locked": false}, nil)
	a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
}

func TestEvents(t *testing.T) {
	srv, a := serve(t, podtest.Config{NoMachines: true})
	srv.Inject(podtest.NoCapacity, 1)
	a.want(400, "POST", "/pods", request("dail-1-a"), nil)
	p := a.create(request("dail-1-a"))
	a.do("POST", "//graphql?api_key="+srv.Key, map[string]any{"query": "{ myself { clientBalance } }"})
	a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
	var got []string
	for _, e := range srv.Events() {
		got = append(got, e.String())
	}
	want := []string{
		"POST /v2/pods 400 [no-capacity]", "POST /v2/pods 201 " + p.ID, "POST /graphql?api_key=redacted 200", "DELETE /v2/pods/" + p.ID + " 204",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
