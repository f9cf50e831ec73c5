package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/x/dail/report"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// written is the report as it stands on disk, as the validator wants it.
func written(t *testing.T, r *report.Report) any {
	t.Helper()
	path := filepath.Join(t.TempDir(), report.FileName)
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What is written at every stage of a run fits the schema.
func TestReportsFitTheSchema(t *testing.T) {
	s := compiled(t)
	for name, r := range map[string]*report.Report{
		"finished": sample(),
		"pending": func() *report.Report {
			r := sample()
			r.ByDevs[1] = r.NewLevel(8, figures(8), team(8))
			base := report.Finish(r.NewLevel(1, figures(1), team(1)))
			r.Baseline = &base
			return r
		}(),
		"beside APIs": func() *report.Report {
			r := sample()
			r.ThetaMax = &report.ThetaMax{TokensPerHour: 9e6, OutputTokensPerHour: 4e6}
			r.Compare(0.25, prices())
			return r
		}(),
		"beside APIs, nothing measured": func() *report.Report {
			r := &report.Report{RunID: "20261124-101112", Family: "f", Hardware: "h", GPUCount: 1, Source: report.Simulated}
			r.Compare(7, prices())
			return r
		}(),
		"no agent came up": func() *report.Report {
			r := sample()
			r.ByDevs = []report.Level{report.Finish(r.NewLevel(4, zeroFigures(), nil))}
			r.Truncated, r.TruncatedReason = report.TruncatedError, "the server died"
			return r
		}(),
		"nothing yet": {RunID: "20261124-101112", Family: "f", Hardware: "h", GPUCount: 1, Source: report.Simulated},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Validate(written(t, r)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The schema refuses what a reader could stumble over.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for name, change := range map[string]func(m map[string]any){
		"an unknown key":              func(m map[string]any) { m["surprise"] = 1 },
		"an unknown key of a level":   func(m map[string]any) { level(m)["surprise"] = 1 },
		"a quantile that is not flat": func(m map[string]any) { level(m)["median_tps"] = map[string]any{"value": 1} },
		"a missing verdict":           func(m map[string]any) { delete(level(m), "holds_slo") },
		"a made-up source":            func(m map[string]any) { m["source"] = "guessed" },
		"half of the bounds":          func(m map[string]any) { level(m)["bounds"] = map[string]any{"p90_tps": []any{1.0}} },
		"no team":                     func(m map[string]any) { level(m)["devs"] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			m := written(t, sample()).(map[string]any)
			change(m)
			if err := s.Validate(m); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

func level(m map[string]any) map[string]any { return m["by_devs"].([]any)[0].(map[string]any) }

// Every key that the types can write is in the schema with a description, and
// the schema has no other.
func TestSchemaAndTypesAgree(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(report.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	w := walker{t: t, doc: doc, seen: map[reflect.Type]bool{}, used: map[string]bool{}}
	w.check("report", reflect.TypeFor[report.Report](), doc)
	for name := range doc["$defs"].(map[string]any) {
		if !w.used[name] {
			t.Errorf("$defs/%s describes nothing", name)
		}
	}
}

type walker struct {
	t    *testing.T
	doc  map[string]any
	seen map[reflect.Type]bool
	used map[string]bool
}

func (w *walker) check(path string, typ reflect.Type, node map[string]any) {
	if ref, ok := node["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/$defs/")
		w.used[name] = true
		target, ok := w.doc["$defs"].(map[string]any)[name].(map[string]any)
		if !ok {
			w.t.Errorf("%s: $ref %s leads nowhere", path, ref)
			return
		}
		node = target
	}
	element := strings.HasSuffix(path, "[]") || strings.HasSuffix(path, "{}") // described by what holds it
	if node["description"] == nil && !element {
		w.t.Errorf("%s has no description", path)
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[report.Bound]():
		w.want(path, node, "array")
	case typ == reflect.TypeFor[time.Time]():
		w.want(path, node, "string")
	case typ.Kind() == reflect.Struct:
		w.want(path, node, "object")
		w.fields(path, typ, node)
	case typ.Kind() == reflect.Slice:
		w.want(path, node, "array")
		w.check(path+"[]", typ.Elem(), node["items"].(map[string]any))
	case typ.Kind() == reflect.Map:
		w.want(path, node, "object")
		if values := node["additionalProperties"].(map[string]any); typ.Elem().Kind() != reflect.String {
			w.check(path+"{}", typ.Elem(), values)
		}
	case typ.Kind() == reflect.String:
		w.want(path, node, "string")
	case typ.Kind() == reflect.Bool:
		w.want(path, node, "boolean")
	case typ.Kind() == reflect.Float64:
		w.want(path, node, "number")
	default:
		w.want(path, node, "integer")
	}
}

func (w *walker) fields(path string, typ reflect.Type, node map[string]any) {
	if w.seen[typ] {
		return
	}
	w.seen[typ] = true
	props, _ := node["properties"].(map[string]any)
	var keys []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			w.t.Errorf("%s: field %s has no JSON key", path, f.Name)
			continue
		}
		keys = append(keys, key)
		prop, ok := props[key].(map[string]any)
		if !ok {
			w.t.Errorf("%s.%s is not in the schema", path, key)
			continue
		}
		required := slices.Contains(asStrings(node["required"]), key)
		if required && strings.Contains(options, "omitempty") {
			w.t.Errorf("%s.%s is required, and left out where it is empty", path, key)
		}
		w.check(path+"."+key, f.Type, prop)
	}
	for key := range props {
		if !slices.Contains(keys, key) {
			w.t.Errorf("%s.%s is in the schema, and no field of %v", path, key, typ)
		}
	}
	if node["additionalProperties"] != false {
		w.t.Errorf("%s takes unknown keys", path)
	}
}

func (w *walker) want(path string, node map[string]any, kind string) {
	kinds := asStrings(node["type"])
	if s, ok := node["type"].(string); ok {
		kinds = []string{s}
	}
	if !slices.Contains(kinds, kind) {
		w.t.Errorf("%s is %v in the schema, and a %s in Go", path, kinds, kind)
	}
}

func asStrings(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, x := range list {
		out = append(out, x.(string))
	}
	return out
}
