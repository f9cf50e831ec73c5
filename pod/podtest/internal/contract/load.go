package contract

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// loader walks the document and compiles the schemas that it meets.
type loader struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
	err      error // the first one
}

func (l *loader) contract() (*Contract, error) {
	l.compiled = map[string]*jsonschema.Schema{}
	c := &Contract{doc: l.doc}
	paths := node{l.doc, "#"}.get("paths")
	for _, path := range paths.keys() {
		item := paths.get(path)
		for _, method := range item.keys() {
			if method == "parameters" {
				continue
			}
			c.ops = append(c.ops, l.operation(path, method, item.get(method)))
		}
	}
	return c, l.err
}

func (l *loader) operation(path, method string, op node) *Operation {
	o := &Operation{
		Method: strings.ToUpper(method), Path: path,
		segments:  strings.Split(strings.Trim(path, "/"), "/"),
		responses: map[string]map[string]*jsonschema.Schema{},
	}
	o.ID, _ = op.value("operationId").(string)
	for _, p := range op.get("parameters").items() {
		p = l.follow(p)
		if p.value("in") != "query" {
			continue
		}
		schema := p.get("schema")
		q := param{schema: l.schema(schema)}
		q.name, _ = p.value("name").(string)
		q.kind, _ = l.follow(schema).value("type").(string)
		q.item, _ = l.follow(schema.get("items")).value("type").(string)
		o.query = append(o.query, q)
	}
	if body := op.get("requestBody").get("content").get("application/json").get("schema"); body.v != nil {
		o.body = l.schema(body)
	}
	responses := op.get("responses")
	for _, status := range responses.keys() {
		content := l.follow(responses.get(status)).get("content")
		media := map[string]*jsonschema.Schema{}
		for _, kind := range content.keys() {
			media[kind] = l.schema(content.get(kind).get("schema"))
		}
		o.responses[status] = media
	}
	return o
}

// follow resolves a reference inside the document.
func (l *loader) follow(n node) node {
	ref, ok := n.value("$ref").(string)
	if !ok {
		return n
	}
	at := node{l.doc, "#"}
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.get(name)
	}
	if at.v == nil && l.err == nil {
		l.err = fmt.Errorf("OpenAPI document: %s: %q leads nowhere", n.at, ref)
	}
	return at
}

func (l *loader) schema(n node) *jsonschema.Schema {
	if s, ok := l.compiled[n.at]; ok {
		return s
	}
	s, err := l.compiler.Compile(where + n.at)
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("OpenAPI document: %s: %w", n.at, err)
	}
	l.compiled[n.at] = s
	return s
}

// node is a value of the document and its JSON pointer. What is not there is
// a node of nil, so that paths can be walked without asking at every step.
type node struct {
	v  any
	at string
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")

func (n node) get(key string) node {
	m, _ := n.v.(map[string]any)
	return node{m[key], n.at + "/" + pointer.Replace(key)}
}

func (n node) value(key string) any { return n.get(key).v }

func (n node) keys() []string {
	m, _ := n.v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

func (n node) items() []node {
	list, _ := n.v.([]any)
	out := make([]node, len(list))
	for i, v := range list {
		out[i] = node{v, n.at + "/" + strconv.Itoa(i)}
	}
	return out
}
