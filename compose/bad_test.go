package compose_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/x/dail/compose"
)

// Each testdata/bad/<axis>-<fault>.bad.yaml has one fault, and takes the good
// file's place; its message is in the .golden beside it.
func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.bad.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".bad.yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			run, err := compose.Merge(request(t, func(config, bench fstest.MapFS, _ *compose.Request) {
				file := &fstest.MapFile{Data: text, Mode: 0o644}
				switch axis, _, _ := strings.Cut(name, "-"); axis {
				case "model":
					config["models/coder-fp8.yaml"] = file
				case "hardware":
					config["hardware/mid.yaml"] = file
				case "scenario":
					bench["load/scenario.yaml"] = file
				default:
					t.Fatalf("which axis is %s?", name)
				}
			}))
			if err == nil {
				t.Fatalf("accepted:\n%s", run.Explain())
			}
			var fault *compose.Error
			if !errors.As(err, &fault) {
				t.Fatalf("not a *compose.Error: %v", err)
			}
			all := compose.Faults(err)
			if len(all) != 1 {
				t.Errorf("one fault gave %d messages:\n%v", len(all), err)
			}
			if fault.File == "" || fault.Line == 0 && !strings.Contains(fault.Msg, "empty") {
				t.Errorf("the fault does not say where it is: %+v", fault)
			}
			golden(t, filepath.Join("bad", name+".golden"), err.Error()+"\n")
		})
	}
}
