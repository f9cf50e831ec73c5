package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// mark is a place in a file.
type mark struct {
	file         string
	line, column int
}

func (m mark) origin() Origin { return Origin{File: m.file, Line: m.line} }

// document is one YAML file, decoded strictly into one of the axes' types: the
// place of every key that it has, and what is wrong with it.
type document struct {
	file    string
	root    mark
	marks   map[string]mark // dotted key → where its value is
	bad     map[string]bool // keys whose value could not be taken
	faults  *faults
	serving Serving // what a scenario's serving: section set

	// elsewhere answers, for a key that the file may not have, where it does
	// belong; nil where nothing is known.
	elsewhere func(key string) string
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// decode reads text into v, a pointer to a struct with yaml tags. All faults go
// to f; what could be read is in v all the same, so that later checks can find
// more.
func decode(file string, text []byte, v any, f *faults, elsewhere func(string) string) *document {
	d := &document{
		file: file, root: mark{file: file, line: 1, column: 1},
		marks: map[string]mark{}, bad: map[string]bool{}, faults: f, elsewhere: elsewhere,
	}
	root, err := parse(text)
	if err != nil {
		e := &Error{File: file, Msg: strings.TrimPrefix(err.Error(), "yaml: "), Hint: "it must be one YAML document, indented with spaces; look at the line before too"}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			e.Line, _ = strconv.Atoi(m[1])
			e.Msg = m[2]
		}
		f.add(e)
		d.bad[""] = true
		return d
	}
	if root == nil {
		f.add(&Error{File: file, Msg: "the file is empty", Hint: "it must be a mapping of keys to values"})
		d.bad[""] = true
		return d
	}
	d.value(root, reflect.ValueOf(v).Elem(), "")
	return d
}

// parse reads the one document of a file; nil where there is none.
func parse(text []byte) (root *yaml.Node, err error) {
	// yaml.v3 turns its own panics into errors, but not those of its bugs;
	// a file from outside must never end the program.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("the YAML parser failed: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&next); err == nil {
		return nil, fmt.Errorf("line %d: a second document begins here", next.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

func (d *document) fault(n *yaml.Node, key, hint, format string, args ...any) {
	d.bad[key] = true
	d.faults.add(&Error{File: d.file, Line: n.Line, Column: n.Column, Key: key, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// at reports a fault of the value of a key that was decoded.
func (d *document) at(key, hint, format string, args ...any) {
	m := d.mark(key)
	d.bad[key] = true
	d.faults.add(&Error{File: m.file, Line: m.line, Column: m.column, Key: key, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// mark is where key's value is, or, for a key that is not there, its parent's.
func (d *document) mark(key string) mark {
	for {
		if m, ok := d.marks[key]; ok {
			return m
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return d.root
		}
		key = key[:i]
	}
}

// lost reports whether key, or one that it lies in, could not be taken.
func (d *document) lost(key string) bool {
	for !d.bad[key] {
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return false
		}
		key = key[:i]
	}
	return true
}

// has reports whether key is there with a value that could be taken.
func (d *document) has(key string) bool {
	_, ok := d.marks[key]
	return ok && !d.bad[key]
}

// require reports those of keys that are missing.
func (d *document) require(keys ...string) {
	if d.bad[""] {
		return
	}
	for _, k := range keys {
		if _, ok := d.marks[k]; ok || d.lost(k) {
			continue
		}
		d.at(k, "add it", "this key is required, and is missing")
	}
}

func (d *document) value(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if key != "" {
		d.marks[key] = mark{d.file, n.Line, n.Column}
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), key)
		v.Set(p)
	case reflect.Struct:
		d.mapping(n, v, key)
	case reflect.Slice:
		d.sequence(n, v, key)
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.Interface {
			d.servingSection(n, v, key)
			return
		}
		d.stringMap(n, v, key)
	default:
		d.scalar(n, v, key)
	}
}

// pairs calls visit for each key of a mapping that is neither repeated nor
// without a value.
func (d *document) pairs(n *yaml.Node, key string, visit func(k, v *yaml.Node, name, key string)) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, key, "", "wants a mapping of keys to values, got %s", describe(n))
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.fault(k, key, "", "a key must be a word, got %s", describe(k))
			continue
		}
		full := join(key, k.Value)
		if first, ok := seen[k.Value]; ok {
			d.fault(k, full, "remove one of the two", "this key was given before, on line %d", first.Line)
			continue
		}
		seen[k.Value] = k
		visit(k, v, k.Value, full)
	}
}

func (d *document) mapping(n *yaml.Node, v reflect.Value, key string) {
	known := fields(v.Type())
	d.pairs(n, key, func(k, val *yaml.Node, name, full string) {
		i, ok := known[name]
		if !ok {
			d.unknown(k, key, known)
			return
		}
		if isNull(val) { // "key:" with nothing behind it is as good as no key
			return
		}
		d.value(val, v.Field(i), full)
	})
}

// unknown reports a key that the mapping at parent cannot have: where it does
// belong, or which known key it was meant to be.
func (d *document) unknown(k *yaml.Node, parent string, known map[string]int) {
	name, full := k.Value, join(parent, k.Value)
	names := keys(known)
	hint := "known here: " + list(names)
	if d.elsewhere != nil && d.elsewhere(full) != "" {
		hint = d.elsewhere(full)
	} else if n := nearest(name, names); n != "" {
		hint = fmt.Sprintf("did you mean %s?", n)
		d.bad[join(parent, n)] = true // it is not missing too, only misspelt
	}
	d.fault(k, full, hint, "unknown key")
}

func (d *document) sequence(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, key, "", "wants a list, got %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		d.value(c, out.Index(i), fmt.Sprintf("%s[%d]", key, i))
		if d.bad[fmt.Sprintf("%s[%d]", key, i)] {
			d.bad[key] = true
		}
	}
	v.Set(out)
}

// stringMap takes environment variables: any scalar is taken as it is
// written, since FLAG: 0 can only mean one thing there.
func (d *document) stringMap(n *yaml.Node, v reflect.Value, key string) {
	out := map[string]string{}
	d.pairs(n, key, func(k, val *yaml.Node, name, full string) {
		if val.Kind == yaml.AliasNode && val.Alias != nil {
			val = val.Alias
		}
		if val.Kind != yaml.ScalarNode || isNull(val) {
			d.fault(val, full, "", "wants text, got %s", describe(val))
			return
		}
		d.marks[full] = mark{d.file, val.Line, val.Column}
		out[name] = val.Value
	})
	v.Set(reflect.ValueOf(out))
}

// servingSection checks a scenario's serving: against Serving, and keeps both
// forms: the typed one for composing, the map as the record of what was asked.
func (d *document) servingSection(n *yaml.Node, v reflect.Value, key string) {
	s := reflect.ValueOf(&d.serving).Elem()
	d.mapping(n, s, key)
	out := map[string]any{}
	for name, i := range fields(s.Type()) {
		if d.has(join(key, name)) {
			out[name] = s.Field(i).Interface()
		}
	}
	v.Set(reflect.ValueOf(out))
}

func (d *document) scalar(n *yaml.Node, v reflect.Value, key string) {
	wrong := func(want, hint string) { d.fault(n, key, hint, "wants %s, got %s", want, describe(n)) }
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode {
		tag = ""
	}
	switch v.Kind() {
	case reflect.String:
		switch tag {
		case "!!str", "!!timestamp": // an unquoted 2026-11-09
			v.SetString(n.Value)
		case "!!int", "!!float", "!!bool":
			wrong("text", fmt.Sprintf("write it in quotes: %q", n.Value))
		default:
			wrong("text", "")
		}
	case reflect.Bool:
		var b bool
		if tag != "!!bool" || n.Decode(&b) != nil {
			wrong("true or false", "")
			return
		}
		v.SetBool(b)
	case reflect.Int:
		var i int
		if tag != "!!int" || n.Decode(&i) != nil {
			wrong("a whole number", "")
			return
		}
		// Everything that is counted here stays far below this, and products
		// of two such numbers below an int64.
		const most = 1 << 40
		if i > most || i < -most {
			d.fault(n, key, "", "%s is beyond any sensible number", n.Value)
			return
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		var x float64
		if tag != "!!int" && tag != "!!float" || n.Decode(&x) != nil {
			wrong("a number", "")
			return
		}
		if math.IsNaN(x) || math.Abs(x) > 1e15 {
			d.fault(n, key, "", "%s is beyond any sensible number", n.Value)
			return
		}
		v.SetFloat(x)
	}
}

// fields maps the yaml names of a struct to its fields.
func fields(t reflect.Type) map[string]int {
	out := map[string]int{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			out[name] = i
		}
	}
	return out
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return "the text " + quoted(n.Value)
	case "!!bool":
		return "the truth value " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	}
	return quoted(n.Value)
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}
