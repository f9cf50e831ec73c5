package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A refusal exits 2, says what to do, and creates nothing.
func TestRefusals(t *testing.T) {
	typo := filepath.Join(t.TempDir(), "configs")
	model, err := os.ReadFile("../../configs/models/qwen3-coder-fp8.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(typo, "models", "qwen3-coder-fp8.yaml"), strings.Replace(string(model), "tool_call_parser:", "tool_call_praser:", 1))

	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"forced quant without a variant", []string{"-quant", "bf16", "-hardware", "l40s"}, []string{"bf16", "qwen3-coder", "fp8"}},
		{"unknown model", []string{"-model", "nope"}, []string{"nope", "qwen3-coder"}},
		{"near miss", []string{"-hardware", "l40"}, []string{"l40s"}},
		{"no developers", []string{"-devs", "0"}, []string{"-devs", "at least 1"}},
		{"no number", []string{"-devs", "4,many"}, []string{"many"}},
		{"typo in a key", []string{"-configs", typo}, []string{"qwen3-coder-fp8.yaml:", "tool_call_praser", "tool_call_parser"}},
		{"too small a card", []string{"-model", "llama3.3-70b", "-hardware", "rtx-4090"}, []string{"llama3.3-70b", "rtx-4090", "GiB", "2 × a40"}},
		{"no GPU", []string{"-gpus", "-1"}, []string{"-gpus"}},
		{"unknown benchmark", []string{"-benchmark", "dev-laod"}, []string{"dev-load"}},
		{"unknown provider", []string{"-provider", "lambda"}, []string{"simulated"}},
		{"endpoint without an address", []string{"-provider", "endpoint"}, []string{"-endpoint"}},
		{"address without the provider", []string{"-endpoint", "http://127.0.0.1:1"}, []string{"-provider endpoint"}},
		{"unknown flag", []string{"-hardwear", "l40s"}, []string{"-hardware"}},
		{"stray word", []string{"l40s"}, []string{"l40s"}},
		{"missing folder", []string{"-configs", filepath.Join(t.TempDir(), "none")}, []string{"-configs"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			results := filepath.Join(t.TempDir(), "results")
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append([]string{"-results", results}, tt.args...), &stdout, &stderr)
			if code != 2 {
				t.Errorf("exit status %d, want 2", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr does not say %q:\n%s", want, stderr.String())
				}
			}
			if _, err := os.Stat(results); !os.IsNotExist(err) {
				t.Errorf("%s was created", results)
			}
		})
	}
}

func TestHelpAndExplain(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &stdout, &stderr); code != 0 || !strings.Contains(stderr.String(), "-hardware") {
		t.Errorf("-h: exit %d:\n%s", code, stderr.String())
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"-explain"}, &stdout, &stderr); code != 0 {
		t.Fatalf("-explain: exit %d: %s", code, stderr.String())
	}
	for _, want := range []string{"max_model_len", "configs/hardware/l40s.yaml:", "configs/models/qwen3-coder-fp8.yaml:"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("-explain does not show %s:\n%s", want, stdout.String())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
