package runpod_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/x/dail/internal/runpod"
)

// document is RunPod's OpenAPI document, read without its additions.
type document map[string]any

func open(t *testing.T) document {
	t.Helper()
	raw, err := os.ReadFile("../../pod/podtest/openapi/runpod-v2.json")
	if err != nil {
		t.Skipf("SKIP: needs RunPod's OpenAPI document: %v", err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

// at follows a path, and the references on it.
func (d document) at(path ...string) any {
	var v any = map[string]any(d)
	for _, key := range path {
		m, _ := d.resolve(v).(map[string]any)
		v = m[key]
	}
	return d.resolve(v)
}

func (d document) resolve(v any) any {
	if m, ok := v.(map[string]any); ok {
		if ref, ok := m["$ref"].(string); ok {
			return d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return v
}

func (d document) schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("mem:///openapi.json", map[string]any(d)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///openapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every body that a CreateRequest can become fits the contract: with all
// fields, with none of the optional ones, and with any one of them left out.
func TestRequestsFitTheContract(t *testing.T) {
	d := open(t)
	schema := d.schema(t, "CreatePodRequest")
	bodies := map[string]runpod.CreateRequest{
		"all fields": full(),
		"few fields": {Name: "n", Image: "i", GPU: runpod.CreateGPU{ID: "NVIDIA L40S"}, Disk: 20},
	}
	needed := map[string]bool{"Name": true, "Image": true, "GPU": true, "Disk": true}
	kind := reflect.TypeFor[runpod.CreateRequest]()
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		if reflect.ValueOf(full()).Field(i).IsZero() {
			t.Errorf("full() leaves out %s", name)
		}
		if needed[name] {
			continue
		}
		body := full()
		reflect.ValueOf(&body).Elem().Field(i).SetZero()
		bodies["without "+name] = body
	}
	for name, body := range bodies {
		if err := schema.Validate(asJSON(t, body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := asJSON(t, full()).(map[string]any)
	bad["imageName"] = "i"
	if schema.Validate(bad) == nil {
		t.Error("the schema lets an unknown property pass, so this test shows nothing")
	}
}

func TestUnlockFitsTheContract(t *testing.T) {
	d := open(t)
	var body any
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = jsonschema.UnmarshalJSON(r.Body)
	})
	if err := c.Unlock(context.Background(), "p1"); err != nil {
		t.Fatal(err)
	}
	if err := d.schema(t, "UpdatePodRequest").Validate(body); err != nil || fmt.Sprint(body) != "map[locked:false]" {
		t.Errorf("%v: %v", body, err)
	}
}

// Every field that is read has a property of that name in the contract: one
// that is misspelt would be empty for ever, without a sound.
func TestFieldsAreTheContracts(t *testing.T) {
	d := open(t)
	for name, v := range map[string]any{
		"CreatePodRequest": runpod.CreateRequest{}, "CreateGpuConfig": runpod.CreateGPU{}, "Mounts": runpod.Mounts{}, "NetworkMount": runpod.NetworkMount{},
		"Pod": runpod.Pod{}, "GpuConfig": runpod.GPU{}, "PodSsh": runpod.SSH{}, "PodSshEndpoint": runpod.SSHEndpoint{}, "PodCluster": runpod.Cluster{},
		"GpuType": runpod.GPUType{}, "DataCenterAvailability": runpod.DataCenter{}, "NetworkVolume": runpod.NetworkVolume{},
		"PodBillingRecord": runpod.BillingRecord{},
	} {
		properties := d.properties(d.at("components", "schemas", name))
		kind := reflect.TypeOf(v)
		for i := range kind.NumField() {
			tag, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if !properties[tag] {
				t.Errorf("%s has no property %q", name, tag)
			}
		}
	}
}

func (d document) properties(schema any) map[string]bool {
	all := map[string]bool{}
	m, _ := d.resolve(schema).(map[string]any)
	for name := range asMap(m["properties"]) {
		all[name] = true
	}
	parts, _ := m["allOf"].([]any)
	for _, part := range parts {
		for name := range d.properties(part) {
			all[name] = true
		}
	}
	return all
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// The document's own examples are read: each by the call that it answers.
func TestTheContractsExamplesAreRead(t *testing.T) {
	d := open(t)
	ctx := context.Background()
	pod := func(p runpod.Pod, err error) error {
		if err == nil && (p.ID != "7h9k2m4n6p" || p.GPU.Count != 1 || p.CreatedAt.IsZero() || p.Cost != 0.44 || p.DataCenterID != "US-KS-2" || p.CUDAVersion != "12.8") {
			return fmt.Errorf("it was read as %+v", p)
		}
		return err
	}
	for _, call := range []struct {
		method, path, status string
		do                   func(c *runpod.Client) error
	}{
		{"post", "/v2/pods", "201", func(c *runpod.Client) error { return pod(c.Create(ctx, full())) }},
		{"get", "/v2/pods/{id}", "200", func(c *runpod.Client) error { return pod(c.Get(ctx, "7h9k2m4n6p")) }},
		{"get", "/v2/pods", "200", func(c *runpod.Client) error {
			list, err := c.List(ctx)
			if err != nil {
				return err
			}
			return pod(list[0], err)
		}},
		{"patch", "/v2/pods/{id}", "200", func(c *runpod.Client) error { return c.Unlock(ctx, "7h9k2m4n6p") }},
		{"get", "/v2/catalog/gpus", "200", func(c *runpod.Client) error {
			gpus, err := c.GPUTypes(ctx, runpod.GPUQuery{Count: 2, MinCUDAVersion: "12.8"})
			if err != nil {
				return err
			}
			price, most, ok := gpus[0].Terms(runpod.CloudSecure)
			if price != 0.44 || most != 8 || !ok || gpus[0].Memory != 24 || gpus[0].DataCenters[0].Availability != runpod.StockHigh {
				return fmt.Errorf("it was read as %+v", gpus[0])
			}
			return nil
		}},
		{"get", "/v2/billing/pods", "200", func(c *runpod.Client) error {
			records, err := c.Bill(ctx, "7h9k2m4n6p", time.Unix(1790000000, 0))
			if err != nil {
				return err
			}
			if r := records[0]; r.TotalAmount != 12.34 || r.EndTime.Sub(r.StartTime.Time) != 24*time.Hour {
				return fmt.Errorf("it was read as %+v", r)
			}
			return nil
		}},
		{"get", "/v2/network-volumes/{id}", "200", func(c *runpod.Client) error {
			_, err := c.NetworkVolume(ctx, "2q9m7x4c")
			return err
		}},
		{"get", "/v2/pods/{id}/logs", "200", func(c *runpod.Client) error {
			log, err := c.Logs(ctx, "7h9k2m4n6p", "", 1)
			if err != nil || lines(log) != "Model loaded." {
				return fmt.Errorf("it was read as %+v, %w", log, err)
			}
			return nil
		}},
	} {
		t.Run(call.method+" "+call.path, func(t *testing.T) {
			content := asMap(d.at("paths", call.path, call.method, "responses", call.status, "content"))
			if len(content) == 0 {
				t.Fatal("the document has no such answer")
			}
			for kind := range content {
				examples := asMap(d.at("paths", call.path, call.method, "responses", call.status, "content", kind, "examples"))
				if len(examples) == 0 {
					t.Errorf("no example of %s", kind)
				}
				for name, example := range examples {
					value := asMap(d.resolve(example))["value"]
					text, isText := value.(string)
					if !isText {
						raw, _ := json.Marshal(value) // it came from JSON
						text = string(raw)
					}
					c, _ := serve(t, say(answer{status: 200, body: text, header: http.Header{"Content-Type": {kind}}}).ServeHTTP)
					if err := call.do(c); err != nil {
						t.Errorf("example %s: %v", name, err)
					}
				}
			}
		})
	}
}

// The examples of refusals are refusals of the kind that their name says.
func TestTheContractsRefusalsAreUnderstood(t *testing.T) {
	d := open(t)
	want := map[string]runpod.Kind{
		"UnauthorizedError": runpod.Unauthorized, "ForbiddenError": runpod.Denied, "BadRequestError": runpod.Invalid,
		"NotFoundError": runpod.NotFound, "UnprocessableEntityError": runpod.Invalid, "TooManyRequestsError": runpod.RateLimited,
		"ConflictError": runpod.Conflict,
	}
	for name := range asMap(d.at("components", "responses")) {
		for _, example := range asMap(d.at("components", "responses", name, "content", "application/problem+json", "examples")) {
			value := asMap(asMap(d.resolve(example))["value"])
			raw, _ := json.Marshal(value)
			var status int
			if _, err := fmt.Sscan(fmt.Sprint(value["status"]), &status); err != nil {
				t.Fatal(err)
			}
			c, _ := serve(t, say(answer{status: status, body: string(raw)}).ServeHTTP)
			_, err := c.Get(context.Background(), "p1")
			kind, known := want[name]
			if !known || runpod.KindOf(err) != kind || !strings.Contains(err.Error(), fmt.Sprint(value["detail"])) {
				t.Errorf("%s: %v: %v", name, runpod.KindOf(err), err)
			}
		}
	}
}
