package contract

import "fmt"

// addition is something that REST v2 has and the saved document lacks: seen in
// documentation and threads of autumn 2026 (runpod-openapi-v2-additions.json).
type addition struct {
	at   []string // where: keys, and "+" for the second member of an allOf
	name string
	v    any
}

type object = map[string]any

func integer(least int) object { return object{"type": "integer", "minimum": least} }

func strings1() object { return object{"type": "array", "items": object{"type": "string"}} }

func schemas(path ...string) []string { return append([]string{"components", "schemas"}, path...) }

// additions to the schemas. ListPods' query parameters are appended by overlay.
func additions() []addition {
	createGPU := schemas("CreateGpuConfig", "allOf", "+", "properties")
	create := schemas("CreatePodRequest", "allOf", "+", "properties")
	podGPU := schemas("GpuConfig", "properties")
	return []addition{
		{createGPU, "minRamPerGpu", integer(1)},
		{createGPU, "minVcpuCountPerGpu", integer(1)},
		{create, "cmd", strings1()},
		{create, "entrypoint", strings1()},
		{podGPU, "vcpuCount", integer(0)},
		{podGPU, "memory", integer(0)},
		{schemas("ListPodsResponse", "properties"), "pagination", object{
			"type": "object", "required": []any{"nextCursor", "hasNextPage"},
			"properties": object{
				"nextCursor":  object{"type": []any{"string", "null"}},
				"hasNextPage": object{"type": "boolean"},
			},
		}},
	}
}

// overlay writes the additions into the document.
func overlay(doc map[string]any) error {
	for _, a := range additions() {
		at := doc
		for i := 0; i < len(a.at); i++ {
			next := at[a.at[i]]
			if list, ok := next.([]any); ok && i+1 < len(a.at) && a.at[i+1] == "+" && len(list) > 1 {
				next = list[1]
				i++
			}
			m, ok := next.(map[string]any)
			if !ok {
				return fmt.Errorf("OpenAPI document: %v has no %q to add %q to", a.at, a.at[i], a.name)
			}
			at = m
		}
		at[a.name] = a.v
	}
	list := node{doc, ""}.get("paths").get("/v2/pods").get("get")
	op, ok := list.v.(map[string]any)
	if !ok {
		return fmt.Errorf("OpenAPI document: no GET /v2/pods to add its pages to")
	}
	params, _ := op["parameters"].([]any)
	op["parameters"] = append(params,
		object{"name": "cursor", "in": "query", "schema": object{"type": "string"}},
		object{"name": "limit", "in": "query", "schema": object{"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}},
	)
	return nil
}
