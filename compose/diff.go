package compose

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Change is a key that two compositions do not share.
type Change struct {
	Key     string // as in composed.yaml, joined by dots: "benchmark.slo.min_tps"
	Was, Is string // the values, shortened to a line; "–" where there is none
}

func (c Change) String() string {
	if c.Was == c.Is { // they part after what a line shows
		return fmt.Sprintf("%s: another text now, which begins in the same way: %s", c.Key, c.Is)
	}
	return fmt.Sprintf("%s: was %s, is %s", c.Key, c.Was, c.Is)
}

// Diff compares the run with a composed.yaml that [Run.YAML] wrote before, key by
// key, in the order of the file.
func (r *Run) Diff(composed []byte) ([]Change, error) {
	var was, is yaml.Node
	if err := yaml.Unmarshal(composed, &was); err != nil {
		return nil, fmt.Errorf("compose: the earlier composition: %w", err)
	}
	text, err := r.YAML()
	if err == nil { // both come through the same door: what they look like as text
		err = yaml.Unmarshal(text, &is)
	}
	if err != nil {
		return nil, fmt.Errorf("compose: this composition: %w", err)
	}
	old, order := map[string]*yaml.Node{}, []string{}
	walk(&was, "", func(key string, n *yaml.Node) { old[key], order = n, append(order, key) })
	var changes []Change
	seen := map[string]bool{}
	walk(&is, "", func(key string, n *yaml.Node) {
		seen[key] = true
		if o, ok := old[key]; !ok {
			changes = append(changes, Change{key, "–", oneLine(n)})
		} else if whole(o) != whole(n) {
			changes = append(changes, Change{key, oneLine(o), oneLine(n)})
		}
	})
	for _, key := range order {
		if !seen[key] {
			changes = append(changes, Change{key, oneLine(old[key]), "–"})
		}
	}
	return changes, nil
}

// walk visits the keys that hold a value.
func walk(n *yaml.Node, key string, visit func(string, *yaml.Node)) {
	switch {
	case n.Kind == yaml.DocumentNode:
		for _, c := range n.Content {
			walk(c, key, visit)
		}
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		for i := 0; i+1 < len(n.Content); i += 2 {
			walk(n.Content[i+1], join(key, n.Content[i].Value), visit)
		}
	case n.Kind == yaml.SequenceNode && !flat(n):
		for i, c := range n.Content {
			walk(c, fmt.Sprintf("%s[%d]", key, i), visit)
		}
	default:
		visit(key, n)
	}
}

// whole is all of a value, for comparing.
func whole(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var b strings.Builder
	fmt.Fprint(&b, n.Kind)
	for _, c := range n.Content {
		fmt.Fprintf(&b, " %q", whole(c))
	}
	return b.String()
}
