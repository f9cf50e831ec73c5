// Package contract reads an OpenAPI 3.1 document and holds requests and
// responses to it.
//
//	c, err := contract.Load(document)
//	op, vars, _ := c.Find("GET", "/v2/pods/abc")
//	faults := op.CheckRequest(query, body)      // what the caller did wrong
//	err = op.CheckResponse(200, "application/json", answer)
//
// It knows what podtest's document uses: path and query parameters with simple
// schemas, one JSON body, responses by status and media type.
package contract

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Contract is a compiled document.
type Contract struct {
	doc map[string]any
	ops []*Operation
}

// Operation is one method of one path.
type Operation struct {
	ID     string // operationId
	Method string
	Path   string // with {names}

	segments  []string
	query     []param
	body      *jsonschema.Schema // nil: none is declared
	responses map[string]map[string]*jsonschema.Schema
}

type param struct {
	name   string
	kind   string // string integer boolean array
	item   string // of an array's items
	schema *jsonschema.Schema
}

const where = "mem:///openapi.json"

// Load compiles an OpenAPI document, with podtest's overlay laid over it.
func Load(document []byte) (*Contract, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("OpenAPI document: not an object")
	}
	if err := overlay(doc); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(where, doc); err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	l := &loader{doc: doc, compiler: compiler}
	return l.contract()
}

// Find returns the operation of a request and the values of its path, or nil
// and the methods that the path has.
func (c *Contract) Find(method, escapedPath string) (op *Operation, vars map[string]string, allowed []string) {
	got := strings.Split(strings.Trim(escapedPath, "/"), "/")
	for _, o := range c.ops {
		v, ok := o.match(got)
		if !ok {
			continue
		}
		if o.Method == method {
			return o, v, nil
		}
		allowed = append(allowed, o.Method)
	}
	slices.Sort(allowed)
	return nil, nil, allowed
}

// Operations lists what the document declares.
func (c *Contract) Operations() []*Operation { return slices.Clone(c.ops) }

func (o *Operation) match(got []string) (map[string]string, bool) {
	if len(got) != len(o.segments) {
		return nil, false
	}
	vars := map[string]string{}
	for i, want := range o.segments {
		text, err := url.PathUnescape(got[i])
		if err != nil || text == "" {
			return nil, false
		}
		if name, ok := strings.CutPrefix(want, "{"); ok {
			vars[strings.TrimSuffix(name, "}")] = text
		} else if text != want {
			return nil, false
		}
	}
	return vars, true
}

// CheckRequest returns what is wrong with a request's query and body, one
// sentence each. Query parameters that are not declared are left alone, as the
// real server does.
func (o *Operation) CheckRequest(query url.Values, body any) []string {
	var faults []string
	for _, p := range o.query {
		text, given := query[p.name]
		if !given {
			continue
		}
		if err := p.schema.Validate(p.value(text[len(text)-1])); err != nil {
			faults = append(faults, sentences("query parameter "+p.name, err)...)
		}
	}
	if o.body != nil {
		if err := o.body.Validate(body); err != nil {
			faults = append(faults, sentences("$", err)...)
		}
	}
	return faults
}

// HasBody reports whether the operation takes a JSON body.
func (o *Operation) HasBody() bool { return o.body != nil }

// CheckResponse returns an error where the document does not allow the answer.
func (o *Operation) CheckResponse(status int, contentType string, body []byte) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%s %s answered %d: %s", o.Method, o.Path, status, fmt.Sprintf(format, args...))
	}
	media, ok := o.responses[strconv.Itoa(status)]
	if !ok {
		if media, ok = o.responses["default"]; !ok || status < 400 {
			return fault("the contract has no such status")
		}
	}
	if len(media) == 0 {
		if len(body) > 0 {
			return fault("the contract has no body here, the answer has %d bytes", len(body))
		}
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fault("content type %q: %v", contentType, err)
	}
	schema, ok := media[mediaType]
	if !ok {
		return fault("the contract does not have the content type %q here", mediaType)
	}
	if !strings.HasSuffix(mediaType, "json") {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fault("%v", err)
	}
	if err := schema.Validate(v); err != nil {
		return fault("%s", strings.Join(sentences("$", err), "; "))
	}
	return nil
}

// value turns a query parameter's text into what its schema speaks of.
func (p param) value(text string) any {
	if p.kind != "array" {
		return scalar(p.kind, text)
	}
	list := []any{}
	for item := range strings.SplitSeq(text, ",") {
		list = append(list, scalar(p.item, item))
	}
	return list
}

func scalar(kind, text string) any {
	switch kind {
	case "integer":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text // the schema says that it is none
}

// sentences are the innermost faults of a validation, each with its place.
func sentences(root string, err error) []string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []string{root + ": " + err.Error()}
	}
	var out, unknown []string
	depth := 0
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		at := e.InstanceLocation
		if _, ok := e.ErrorKind.(*kind.FalseSchema); ok && len(at) > 0 {
			last := len(at) - 1
			if last > depth { // an object that holds an unknown property looks unknown itself
				unknown, depth = nil, last
			} else if last < depth {
				return
			}
			unknown = append(unknown, fmt.Sprintf("%s: additional properties '%s' not allowed", place(root, at[:last]), at[last]))
			return
		}
		text := "does not fit the contract"
		if unit := e.BasicOutput(); unit.Error != nil {
			text = unit.Error.String()
		}
		out = append(out, place(root, at)+": "+text)
	}
	walk(invalid)
	if len(out) == 0 {
		// Only where nothing else is wrong: a schema that failed has evaluated
		// no property, so all of them look unknown.
		out = unknown
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func place(root string, at []string) string {
	return strings.Join(append([]string{root}, at...), ".")
}
