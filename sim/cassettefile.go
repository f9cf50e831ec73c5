package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/x/dail/compose"
)

// LoadCassette reads a cassette: a YAML file of the form
//
//	phases:
//	  - id: implement                # a phase of the scenario
//	    turns:
//	      - text: "I write it."      # optional
//	        calls:                   # optional; a turn without ends the phase
//	          - tool: Write
//	            input: {file_path: "{{cwd}}/a.ts", content: "…"}
//	            expect: ok           # ok (default) or error
//	      - text: "Done."
//
// The phases are the scenario's: each must be recorded, and nothing else. All
// faults are reported together, each with its line.
func LoadCassette(fsys fs.FS, name string, phases []compose.Phase) (*Cassette, error) {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("sim: read cassette: %w", err)
	}
	return parseCassette(name, raw, phases)
}

func parseCassette(name string, raw []byte, phases []compose.Phase) (*Cassette, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("sim: cassette %s: %w; write it as YAML with a list \"phases:\"", name, err)
	}
	r := &cassetteReader{name: name}
	var second yaml.Node
	if dec.Decode(&second) == nil {
		r.fault(&second, "a second document; a cassette is one")
	}
	c := &Cassette{name: name}
	if len(doc.Content) == 1 {
		r.cassette(doc.Content[0], c)
	}
	r.match(&doc, c, phases)
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	return c, nil
}

// cassetteReader walks the YAML tree and collects what is wrong with it.
type cassetteReader struct {
	name   string
	faults []error
	lines  map[string]int // of the phases
}

func (r *cassetteReader) fault(n *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d: %s", r.name, n.Line, fmt.Sprintf(format, args...)))
}

// fields calls f for every key of a mapping, and reports those that are
// unknown or given twice.
func (r *cassetteReader) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s must be a mapping with the keys %s", what, strings.Join(known, ", "))
		return nil
	}
	out := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, twice := out[key.Value]; twice {
			r.fault(key, "%s has the key %q twice; keep one", what, key.Value)
			continue
		}
		ok := false
		for _, k := range known {
			ok = ok || k == key.Value
		}
		if !ok {
			r.fault(key, "%s has an unknown key %q; the keys are %s", what, key.Value, strings.Join(known, ", "))
			continue
		}
		out[key.Value] = value
	}
	return out
}

func (r *cassetteReader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, "%s must be a list", what)
		return nil
	}
	return n.Content
}

func (r *cassetteReader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.fault(n, "%s must be text; put it in quotes", what)
		return ""
	}
	return n.Value
}

func (r *cassetteReader) cassette(n *yaml.Node, c *Cassette) {
	f := r.fields(n, "a cassette", "phases")
	if f == nil {
		return
	}
	list, ok := f["phases"]
	if !ok {
		r.fault(n, "a cassette needs the list \"phases:\"")
		return
	}
	r.lines = make(map[string]int)
	for _, p := range r.list(list, "phases") {
		phase := r.phase(p)
		if _, twice := r.lines[phase.ID]; twice && phase.ID != "" {
			r.fault(p, "phase %q is recorded twice; merge the two", phase.ID)
		}
		r.lines[phase.ID] = p.Line
		c.phases = append(c.phases, phase)
	}
}

func (r *cassetteReader) phase(n *yaml.Node) (p CassettePhase) {
	f := r.fields(n, "a phase", "id", "turns")
	if f == nil {
		return p
	}
	if id, ok := f["id"]; ok {
		p.ID = r.text(id, "a phase's id")
	}
	if p.ID == "" {
		r.fault(n, "a phase needs an id: that of a phase in the scenario")
	}
	turns, ok := f["turns"]
	if !ok || len(r.list(turns, "turns")) == 0 {
		r.fault(n, "phase %q needs turns: at least one", p.ID)
		return p
	}
	for i, t := range turns.Content {
		turn := r.turn(t)
		last := i == len(turns.Content)-1
		if ends := len(turn.Calls) == 0; ends != last {
			if last {
				r.fault(t, "the last turn of phase %q has calls, so the phase would not end; add a turn with text only", p.ID)
			} else {
				r.fault(t, "turn %d of phase %q has no calls, which ends the phase, but more turns follow; remove them or add calls", i, p.ID)
			}
		}
		p.Turns = append(p.Turns, turn)
	}
	return p
}

func (r *cassetteReader) turn(n *yaml.Node) (t Turn) {
	f := r.fields(n, "a turn", "text", "calls")
	if f == nil {
		return t
	}
	if text, ok := f["text"]; ok {
		// A block scalar's last newline is not meant; clients drop it.
		t.Text = strings.TrimRight(r.text(text, "a turn's text"), "\n")
	}
	if calls, ok := f["calls"]; ok {
		for _, c := range r.list(calls, "calls") {
			t.Calls = append(t.Calls, r.call(c))
		}
	}
	if t.Text == "" && len(t.Calls) == 0 {
		r.fault(n, "a turn needs text, calls or both")
	}
	return t
}

func (r *cassetteReader) call(n *yaml.Node) (c Call) {
	c.Expect, c.Input = OK, json.RawMessage("{}")
	f := r.fields(n, "a call", "tool", "input", "expect")
	if f == nil {
		return c
	}
	if tool, ok := f["tool"]; ok {
		c.Tool = r.text(tool, "a call's tool")
	}
	if c.Tool == "" {
		r.fault(n, "a call needs a tool: the tool's name, such as Write")
	}
	if input, ok := f["input"]; ok {
		if input.Kind != yaml.MappingNode {
			r.fault(input, "a call's input must be a mapping")
		} else {
			var b bytes.Buffer
			r.json(&b, input)
			c.Input = b.Bytes()
		}
	}
	if expect, ok := f["expect"]; ok {
		c.Expect = Status(r.text(expect, "expect"))
		if c.Expect != OK && c.Expect != Error {
			r.fault(expect, "expect is %q; it is ok or error", c.Expect)
		}
	}
	return c
}

// json writes a YAML value as JSON, keys in the file's order.
func (r *cassetteReader) json(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		seen := make(map[string]bool)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
				r.fault(key, "a key of an input must be text; put it in quotes")
			} else if seen[key.Value] {
				r.fault(key, "the input has the key %q twice; keep one", key.Value)
			}
			seen[key.Value] = true
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(marshal(key.Value))
			b.WriteByte(':')
			r.json(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			r.json(b, item)
		}
		b.WriteByte(']')
	case yaml.ScalarNode:
		r.scalar(b, n)
	default:
		r.fault(n, "anchors and aliases (&, *) are not supported; write the value out")
		b.WriteString("null")
	}
}

func (r *cassetteReader) scalar(b *bytes.Buffer, n *yaml.Node) {
	var v any
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a date is text to a tool
		v = n.Value
	case "!!null":
	case "!!int", "!!float", "!!bool":
		if err := n.Decode(&v); err != nil {
			r.fault(n, "%q: %v", n.Value, err)
		}
	default:
		r.fault(n, "a value of type %s is not supported; write it as text, a number, true or false", n.ShortTag())
	}
	out, err := json.Marshal(v)
	if _, isText := v.(string); isText {
		out, err = []byte(marshal(v)), nil
	}
	if err != nil { // .inf and .nan
		r.fault(n, "%q cannot be written as JSON; write it as text", n.Value)
		out = []byte("null")
	}
	b.Write(out)
}

// match gives every phase the prompt of the scenario's phase of the same id.
func (r *cassetteReader) match(doc *yaml.Node, c *Cassette, phases []compose.Phase) {
	prompts := make(map[string]string, len(phases))
	owner := make(map[string]string, len(phases))
	var ids []string
	for _, p := range phases {
		prompt := strings.TrimSpace(p.Prompt)
		if prompt == "" {
			r.fault(doc, "the scenario's phase %q has an empty prompt, so no request could be told to be in it", p.ID)
		} else if other, same := owner[prompt]; same {
			r.fault(doc, "the scenario's phases %q and %q have the same prompt, so no request could be told to be in one of them", other, p.ID)
		}
		prompts[p.ID], owner[prompt] = prompt, p.ID
		ids = append(ids, p.ID)
		if _, ok := r.lines[p.ID]; !ok {
			r.fault(doc, "the scenario's phase %q is not recorded; add it to phases", p.ID)
		}
	}
	for i := range c.phases {
		p := &c.phases[i]
		prompt, ok := prompts[p.ID]
		if !ok && p.ID != "" {
			r.faults = append(r.faults, fmt.Errorf("%s:%d: phase %q is not in the scenario, which has %s", r.name, r.lines[p.ID], p.ID, strings.Join(ids, ", ")))
		}
		p.Prompt = prompt
	}
}
