package compose

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

// composed is the layout of composed.yaml.
type composed struct {
	Benchmark Benchmark     `yaml:"benchmark"`
	Model     Model         `yaml:"model"`
	Hardware  namedHardware `yaml:"hardware"`
	GPUs      int           `yaml:"gpus"`
	Devs      []int         `yaml:"devs"`
	Serving   Serving       `yaml:"serving"`
}

type namedHardware struct {
	Key      string `yaml:"key"`
	Hardware `yaml:",inline"`
}

// tree is the run as YAML, short lists on one line.
func (r *Run) tree() (*yaml.Node, error) {
	var root yaml.Node
	err := root.Encode(composed{r.Benchmark, r.Model, namedHardware{r.Hardware.Key, r.Hardware}, r.GPUs, r.Devs, r.Serving})
	if err != nil {
		return nil, err
	}
	var shorten func(n *yaml.Node)
	shorten = func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode && flat(n) {
			n.Style = yaml.FlowStyle
		}
		for _, c := range n.Content {
			shorten(c)
		}
	}
	shorten(&root)
	return &root, nil
}

// YAML is composed.yaml: everything that a pod consumes, under serving: and
// model:, and what was composed to get there, with the place of each serving
// key beside it. It holds no secret, since no file that Merge accepts may hold
// one.
func (r *Run) YAML() ([]byte, error) {
	root, err := r.tree()
	if err != nil {
		return nil, fmt.Errorf("compose: writing the composed configuration: %w", err)
	}
	doc := yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}
	doc.HeadComment = fmt.Sprintf("Composed by dail: %s-%s on %s for %s. Not read back by dail:\nto change a value, change the file that is named beside it.",
		r.Model.Family, r.Model.Quant, r.cards(), r.Benchmark.Name)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Value == "serving" {
			r.annotate(value)
			continue
		}
		key.HeadComment = r.origin(key.Value).String()
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("compose: writing the composed configuration: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("compose: writing the composed configuration: %w", err)
	}
	return b.Bytes(), nil
}

// annotate writes behind each key of serving: where it came from.
func (r *Run) annotate(serving *yaml.Node) {
	for i := 0; i+1 < len(serving.Content); i += 2 {
		key, value := serving.Content[i], serving.Content[i+1]
		where := r.origin("serving." + key.Value).String()
		if value.Kind == yaml.MappingNode {
			key.HeadComment = where
			continue
		}
		value.LineComment = where
	}
}
