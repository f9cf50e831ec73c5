package compose_test

import (
	"testing"

	"gopkg.in/yaml.v3"
)

func TestComposedYAML(t *testing.T) {
	run := merge(t, nil)
	text, err := run.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "composed.golden.yaml", string(text))
	var back struct {
		Devs    []int
		GPUs    int
		Serving map[string]any
	}
	if err := yaml.Unmarshal(text, &back); err != nil {
		t.Fatalf("composed.yaml cannot be read: %v", err)
	}
	if back.GPUs != 1 || len(back.Devs) != 2 || back.Serving["max_model_len"] != 65536 {
		t.Errorf("read back: %+v", back)
	}
}

func TestExplain(t *testing.T) {
	golden(t, "explain.golden.txt", merge(t, nil).Explain())
}
