package vllm_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/vllm"
)

// answers is a machine that gives one answer to everything.
type answers struct {
	out string
	err error
}

func (a answers) Run(context.Context, string, io.Reader) ([]byte, error)    { return []byte(a.out), a.err }
func (a answers) Upload(context.Context, string, fs.FileMode, []byte) error { return a.err }

func TestGPUs(t *testing.T) {
	got, err := vllm.GPUs(t.Context(), answers{out: "NVIDIA L40S, 46068, 550.54.15\nNVIDIA GB10, [N/A], 580.95\ndail-status 0\n"})
	must(t, err)
	want := []vllm.GPU{{Name: "NVIDIA L40S", MemoryMiB: 46068, Driver: "550.54.15"}, {Name: "NVIDIA GB10", Driver: "580.95"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for out, say := range map[string]string{
		"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\ndail-status 9\n": "status 9: NVIDIA-SMI has failed because",
		"Unable to determine the device handle for GPU0000:41:00.0: GPU is lost.  Reboot the system to recover this GPU\ndail-status 15\n":                                   "GPU is lost",
		"No devices were found\ndail-status 0\n": "no GPU: No devices were found",
		"dail-status 127\n":                      "no nvidia-smi",
		"":                                       "answered \"\"",
		"hello":                                  "answered \"hello\"",
	} {
		if _, err := vllm.GPUs(t.Context(), answers{out: out}); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v, want %q", out, err, say)
		}
	}
	lost := errors.New("connection reset")
	if _, err := vllm.GPUs(t.Context(), answers{err: lost}); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
}

func TestCheckGPUs(t *testing.T) {
	card := func(name string, mib int) vllm.GPU { return vllm.GPU{Name: name, MemoryMiB: mib, Driver: "550"} }
	for _, tt := range []struct {
		name  string
		got   []vllm.GPU
		names []string
		count int
		gb    float64
		wrong []string // parts of the error; none: it fits
	}{
		{"the same", []vllm.GPU{card("NVIDIA L40S", 46068)}, []string{"NVIDIA L40S"}, 1, 47.66, nil},
		{"by its memory's name", []vllm.GPU{card("NVIDIA H100 80GB HBM3", 81559)}, []string{"NVIDIA H100 80GB HBM3"}, 1, 85.02, nil},
		{"short name", []vllm.GPU{card("NVIDIA H100 80GB HBM3", 81559)}, []string{"H100 SXM"}, 1, 85.02, nil},
		{"hyphens", []vllm.GPU{card("NVIDIA A100-SXM4-80GB", 81920)}, []string{"NVIDIA A100 80GB SXM4"}, 1, 85.09, nil},
		{"case and spaces", []vllm.GPU{card("NVIDIA  RTX A4500", 20470)}, []string{"nvidia rtx a4500"}, 1, 0, nil},
		{"geforce", []vllm.GPU{card("NVIDIA GeForce RTX 4090", 24564)}, []string{"RTX 4090"}, 1, 25.27, nil},
		{"one of two names", []vllm.GPU{card("NVIDIA H100 PCIe", 81559)}, []string{"NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe"}, 1, 0, nil},
		{"anything", []vllm.GPU{card("NVIDIA T4", 15360)}, nil, 1, 0, nil},
		{"more than asked", []vllm.GPU{card("NVIDIA L4", 23034), card("NVIDIA L4", 23034)}, []string{"NVIDIA L4"}, 1, 23.68, nil},
		{"memory unknown", []vllm.GPU{card("NVIDIA GB10", 0)}, []string{"GB10"}, 1, 128, nil},

		{"another", []vllm.GPU{card("NVIDIA A40", 46068)}, []string{"NVIDIA L40S"}, 1, 47.66, []string{"asked 1 × NVIDIA L40S of 47.7 GB", "found NVIDIA A40 (46068 MiB, driver 550)", "GPU 0 is another card"}},
		{"L40 is not L40S", []vllm.GPU{card("NVIDIA L40", 46068)}, []string{"NVIDIA L40S"}, 1, 0, []string{"another card"}},
		{"PCIe is not SXM", []vllm.GPU{card("NVIDIA H100 PCIe", 81559)}, []string{"NVIDIA H100 80GB HBM3"}, 1, 0, []string{"another card"}},
		{"NVL is not SXM", []vllm.GPU{card("NVIDIA H200 NVL", 143771)}, []string{"NVIDIA H200"}, 1, 0, []string{"another card"}},
		{"D is weaker", []vllm.GPU{card("NVIDIA GeForce RTX 4090 D", 24564)}, []string{"NVIDIA GeForce RTX 4090"}, 1, 0, []string{"another card"}},
		{"a slice", []vllm.GPU{card("NVIDIA RTX PRO 6000 Blackwell Server Edition MIG 1g.24gb", 24000)}, []string{"NVIDIA RTX PRO 6000 Blackwell Server Edition"}, 1, 0, []string{"another card"}},
		{"another slice", []vllm.GPU{card("NVIDIA X MIG 1g.24gb", 24000)}, []string{"NVIDIA X MIG 2g.48gb"}, 1, 0, []string{"another card"}},
		{"half the memory", []vllm.GPU{card("NVIDIA A100-SXM4-40GB", 40960)}, []string{"NVIDIA A100-SXM4-80GB"}, 1, 85.09, []string{"GPU 0 has 42.9 GB"}},
		{"one fewer", []vllm.GPU{card("NVIDIA L4", 23034)}, []string{"NVIDIA L4"}, 2, 23.68, []string{"there are 1 of 2"}},
		{"none", nil, []string{"NVIDIA L4"}, 1, 0, []string{"no GPU", "0 of 1"}},
		{"a mixed box", []vllm.GPU{card("NVIDIA L4", 23034), card("NVIDIA T4", 15360)}, []string{"NVIDIA L4"}, 1, 0, []string{"GPU 1 is another card"}},
	} {
		err := vllm.CheckGPUs(tt.got, tt.names, tt.count, tt.gb)
		if (err == nil) != (tt.wrong == nil) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for _, part := range tt.wrong {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", tt.name, err, part)
			}
		}
	}
}
