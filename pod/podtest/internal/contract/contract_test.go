package contract

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

func load(t testing.TB) *Contract {
	t.Helper()
	raw, err := os.ReadFile("../../openapi/runpod-v2.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The document's own examples are answers that the check must let pass.
func TestTheDocumentsExamplesPass(t *testing.T) {
	c := load(t)
	l := &loader{doc: c.doc}
	checked := 0
	for _, op := range c.Operations() {
		at := node{c.doc, "#"}.get("paths").get(op.Path).get(strings.ToLower(op.Method))
		responses := at.get("responses")
		for _, status := range responses.keys() {
			content := l.follow(responses.get(status)).get("content")
			for _, kind := range content.keys() {
				examples := content.get(kind).get("examples")
				for _, name := range examples.keys() {
					body, err := json.Marshal(l.follow(examples.get(name)).value("value"))
					if err != nil {
						t.Fatal(err)
					}
					code, _ := json.Number(status).Int64()
					if err := op.CheckResponse(int(code), kind, body); err != nil {
						t.Errorf("example %s: %v", name, err)
					}
					checked++
				}
			}
		}
		requests := at.get("requestBody").get("content").get("application/json").get("examples")
		for _, name := range requests.keys() {
			if faults := op.CheckRequest(nil, requests.get(name).value("value")); len(faults) > 0 {
				t.Errorf("%s %s, example %s: %v", op.Method, op.Path, name, faults)
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("only %d examples were found", checked)
	}
}

func TestRequestsAreHeldToTheContract(t *testing.T) {
	c := load(t)
	valid := func() map[string]any {
		return map[string]any{
			"name": "dail-1-ab", "image": "img", "disk": 50, "ports": []any{"22/tcp"}, "cloud": "SECURE", "startSsh": true,
			"env": map[string]any{"PUBLIC_KEY": "ssh-ed25519 AAAA"}, "dataCenterIds": []any{"US-KS-2"},
			"gpu": map[string]any{"id": "NVIDIA L40S", "count": 1, "minCudaVersion": "12.8"},
		}
	}
	for _, tc := range []struct {
		name   string
		change func(map[string]any)
		fault  string // "" : it passes
	}{
		{"as it should be", func(map[string]any) {}, ""},
		{"additions", func(b map[string]any) {
			b["cmd"] = []any{"bash"}
			b["gpu"].(map[string]any)["minRamPerGpu"] = 32
		}, ""},
		{"a v1 name", func(b map[string]any) { b["imageName"] = "img" }, "imageName"},
		{"a v1 name in gpu", func(b map[string]any) { b["gpu"].(map[string]any)["gpuTypeIds"] = []any{} }, "gpuTypeIds"},
		{"no name", func(b map[string]any) { delete(b, "name") }, "name"},
		{"no image", func(b map[string]any) { delete(b, "image") }, "image"},
		{"a number in env", func(b map[string]any) { b["env"] = map[string]any{"A": 1} }, "$.env.A"},
		{"no disk at all", func(b map[string]any) { b["disk"] = 0 }, "$.disk"},
		{"cloud ALL", func(b map[string]any) { b["cloud"] = "ALL" }, "$.cloud"},
		{"a CUDA version without a dot", func(b map[string]any) { b["gpu"].(map[string]any)["minCudaVersion"] = "12" }, "$.gpu.minCudaVersion"},
		{"a mount without a path", func(b map[string]any) {
			b["mounts"] = map[string]any{"network": []any{map[string]any{"volumeId": "v"}}}
		}, "path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			op, _, _ := c.Find("POST", "/v2/pods")
			body := valid()
			tc.change(body)
			faults := op.CheckRequest(nil, body)
			if tc.fault == "" && len(faults) > 0 {
				t.Fatalf("refused: %q", faults)
			}
			if tc.fault != "" && !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, tc.fault) }) {
				t.Fatalf("faults %q do not name %s", faults, tc.fault)
			}
		})
	}
}

func TestQueryParameters(t *testing.T) {
	c := load(t)
	for _, tc := range []struct {
		path, query string
		ok          bool
	}{
		{"/v2/pods", "limit=5&cursor=x", true},
		{"/v2/pods", "name=unknown-parameters-are-ignored", true},
		{"/v2/pods", "limit=0", false},
		{"/v2/pods", "limit=many", false},
		{"/v2/pods", "includeClusterPods=perhaps", false},
		{"/v2/catalog/gpus", "include=AVAILABILITY&product=POD&cloud=SECURE&count=2&minCudaVersion=12.8", true},
		{"/v2/catalog/gpus", "cloud=ALL", false},
		{"/v2/catalog/gpus", "product=POD,TRAIN", false},
		{"/v2/catalog/datacenters", "include=GPU_AVAILABILITY&regions=EUROPE,ASIA", true},
		{"/v2/pods/abc/logs", "tail=5001", false},
		{"/v2/pods/abc/logs", "since=yesterday", false},
	} {
		op, _, _ := c.Find("GET", tc.path)
		q, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		if faults := op.CheckRequest(q, nil); (len(faults) == 0) != tc.ok {
			t.Errorf("%s?%s: %q", tc.path, tc.query, faults)
		}
	}
}

func TestFind(t *testing.T) {
	c := load(t)
	op, vars, _ := c.Find("GET", "/v2/catalog/gpus/NVIDIA%20L40S")
	if op == nil || vars["id"] != "NVIDIA L40S" {
		t.Errorf("an escaped id: %v %v", op, vars)
	}
	if op, _, allowed := c.Find("PUT", "/v2/pods/x"); op != nil || !slices.Equal(allowed, []string{"DELETE", "GET", "PATCH"}) {
		t.Errorf("another method: %v %v", op, allowed)
	}
	if op, _, allowed := c.Find("GET", "/v2/networkvolumes"); op != nil || allowed != nil {
		t.Errorf("no such path: %v %v", op, allowed)
	}
}

func TestResponsesAreHeldToTheContract(t *testing.T) {
	c := load(t)
	op, _, _ := c.Find("GET", "/v2/pods")
	for _, tc := range []struct {
		status     int
		kind, body string
		ok         bool
	}{
		{200, "application/json", `{"pods":[],"pagination":{"nextCursor":null,"hasNextPage":false}}`, true},
		{200, "application/json", `{"pods":[{}]}`, false},
		{200, "application/json", `[]`, false},
		{200, "text/html", `{"pods":[]}`, false},
		{201, "application/json", `{"pods":[]}`, false},
		{500, "application/problem+json", `{"title":"x","status":500,"detail":"y"}`, true},
		{500, "application/problem+json", `{"error":"x"}`, false},
	} {
		if err := op.CheckResponse(tc.status, tc.kind, []byte(tc.body)); (err == nil) != tc.ok {
			t.Errorf("%d %s: %v", tc.status, tc.body, err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b)
	}
}
