package compose_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
)

func TestNames(t *testing.T) {
	req := request(t, func(config, _ fstest.MapFS, _ *compose.Request) {
		// A fault elsewhere in a file does not hide its family; what is no
		// YAML at all is left out.
		edit(t, config, "models/coder-awq.yaml", "layers: 48", "layers: many")
		config["models/broken.yaml"] = &fstest.MapFile{Data: []byte("family: [")}
		config["models/notes.txt"] = &fstest.MapFile{Data: []byte("family: notes")}
	})
	for axis, c := range map[string]struct {
		layers []compose.Layer
		want   []string
	}{
		"models":     {req.Configs, []string{"coder"}},
		"hardware":   {req.Configs, []string{"mid", "small"}},
		"benchmarks": {req.Benchmarks, []string{"load"}},
	} {
		got, err := compose.Names(c.layers, axis)
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", axis, got, err, c.want)
		}
	}
	if _, err := compose.Names(req.Configs, "gpu"); err == nil {
		t.Error("an axis that does not exist has names")
	}
	if diff := cmp.Diff([]compose.Variant{{"coder", "awq"}, {"coder", "fp8"}}, compose.Variants(req.Configs)); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	if got := compose.Models(nil); len(got) != 0 {
		t.Errorf("no layers have models %v", got)
	}
}

// denied is a file system with one file that may not be read.
type denied struct {
	fs.FS
	name string
}

func (d denied) Open(name string) (fs.File, error) {
	if name == d.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.FS.Open(name)
}

func TestAFileThatMayNotBeRead(t *testing.T) {
	for _, name := range []string{"models/coder-fp8.yaml", "models", "hardware/mid.yaml"} {
		_, err := compose.Merge(request(t, func(config, _ fstest.MapFS, r *compose.Request) {
			r.Configs[0].FS = denied{config, name}
		}))
		if want := "configs/" + name + ": it cannot be read: permission denied; check that it is there, and who may read it"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
