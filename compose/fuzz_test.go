package compose_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/x/dail/compose"
)

// Whatever the files hold, Merge gives a run or an error that says where; it
// never panics, and what it gives can be used.
func FuzzMerge(f *testing.F) {
	const modelAxis, hardwareAxis, scenarioAxis = 0, 1, 2
	for pattern, axis := range map[string]uint8{
		"testdata/bad/model-*.bad.yaml": modelAxis, "testdata/good/models/*.yaml": modelAxis,
		"testdata/bad/hardware-*.bad.yaml": hardwareAxis, "testdata/good/hardware/*.yaml": hardwareAxis,
		"testdata/bad/scenario-*.bad.yaml": scenarioAxis, "testdata/good/bench/load/scenario.yaml": scenarioAxis,
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, axis, uint8(1))
		}
	}
	f.Add([]byte("a: &a [*a]\nfamily: *a\n"), uint8(modelAxis), uint8(1))
	f.Add([]byte("env: &e {A: *e}\n"), uint8(modelAxis), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, axis, gpus uint8) {
		run, err := compose.Merge(request(t, func(config, bench fstest.MapFS, r *compose.Request) {
			file := &fstest.MapFile{Data: text, Mode: 0o644}
			switch axis % 3 {
			case modelAxis:
				config["models/coder-fp8.yaml"] = file
			case hardwareAxis:
				config["hardware/mid.yaml"] = file
			case scenarioAxis:
				bench["load/scenario.yaml"] = file
			}
			r.GPUs = int(gpus)
		}))
		if err != nil {
			faults := compose.Faults(err)
			if len(faults) == 0 {
				t.Fatalf("an error without a fault: %v", err)
			}
			for _, fault := range faults {
				if fault.Msg == "" || fault.Error() == "" {
					t.Fatalf("a fault without a message: %+v", fault)
				}
			}
			return
		}
		if run.Explain() == "" || len(run.VLLMArgs()) == 0 {
			t.Fatal("a run that cannot be explained")
		}
		if _, err := run.YAML(); err != nil {
			t.Fatal(err)
		}
		if m, ok := run.Memory(); ok && m.KVTokens < run.Serving.MaxModelLen {
			t.Fatalf("%d tokens of cache for a context of %d", m.KVTokens, run.Serving.MaxModelLen)
		}
	})
}
