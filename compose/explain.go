package compose

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// String renders "file:line", or the word that stands for it, and the note in
// parentheses.
func (o Origin) String() string {
	s := position(o.File, o.Line)
	if o.Note != "" {
		s += " (" + o.Note + ")"
	}
	return s
}

// Origin answers where the value of a key came from, keys being those of
// composed.yaml joined by dots: "serving.max_model_len",
// "benchmark.task.phases[0].prompt". It is false for a key that the run does
// not have.
func (r *Run) Origin(key string) (Origin, bool) {
	for _, l := range r.leaves() {
		if l.key == key {
			return r.origin(key), true
		}
	}
	return Origin{}, false
}

// origin finds where a key, or what it lies in, came from; a key without a
// place of its own has its default.
func (r *Run) origin(key string) Origin {
	if o, ok := r.origins[key]; ok {
		return o
	}
	return Origin{File: "constant", Note: "the default"}
}

// Explain prints one line per key: the key, its value (shortened to one line),
// and the file and line that it came from. What is in no file came from a
// constant, from a flag, or is derived; then it says how.
func (r *Run) Explain() string {
	leaves := r.leaves()
	rows := make([][3]string, len(leaves))
	var wide [2]int
	for i, l := range leaves {
		rows[i] = [3]string{l.key, l.value, r.origin(l.key).String()}
		wide[0] = max(wide[0], len([]rune(l.key)))
		wide[1] = max(wide[1], len([]rune(l.value)))
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%s  %s  %s\n", pad(row[0], wide[0]), pad(row[1], wide[1]), row[2])
	}
	return b.String()
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-len([]rune(s)))) }

// leaf is one key of the flat view of a run.
type leaf struct{ key, value string }

func (r *Run) leaves() []leaf {
	root, err := r.tree()
	if err != nil {
		return nil // only a type that YAML cannot write could fail; Run has none
	}
	var out []leaf
	walk(root, "", func(key string, n *yaml.Node) { out = append(out, leaf{key, oneLine(n)}) })
	return out
}

// flat reports whether a list holds nothing but single values.
func flat(n *yaml.Node) bool {
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
	}
	return true
}

func oneLine(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "{}"
	case yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, c := range n.Content {
			parts[i] = oneLine(c)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	const most = 48
	v := n.Value
	first, rest, more := strings.Cut(strings.TrimRight(v, "\n"), "\n")
	if r := []rune(first); len(r) > most {
		first = string(r[:most]) + "…"
	}
	if more {
		return fmt.Sprintf("%s (and %d more lines)", first, strings.Count(rest, "\n")+1)
	}
	if v == "" {
		return `""`
	}
	return first
}
