package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Layer is a tree of configuration files. Where several are given, a later one
// shadows an earlier one: file by file for models/ and hardware/, folder by
// folder for benchmarks, since a benchmark's scenario, phases, cassette and
// hidden tests belong together.
type Layer struct {
	Name string // shown in messages before the file's path, "configs"
	FS   fs.FS
}

func (l Layer) show(name string) string {
	if l.Name == "" {
		return name
	}
	return path.Join(l.Name, name)
}

// source is one file of a layer.
type source struct {
	layer Layer
	path  string
}

func (s source) show() string { return s.layer.show(s.path) }

// read returns the file's text, or reports why it cannot be read.
func (s source) read(f *faults) ([]byte, bool) {
	text, err := fs.ReadFile(s.layer.FS, s.path)
	if err != nil {
		f.add(unreadable(s.show(), err))
		return nil, false
	}
	return text, true
}

func unreadable(file string, err error) *Error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Error{File: file, Msg: "it cannot be read: " + err.Error(), Hint: "check that it is there, and who may read it"}
}

// files lists the *.yaml files of one folder over all layers, by their name
// without the ending. A folder that a layer lacks is no fault.
func files(layers []Layer, folder string, f *faults) map[string]source {
	out := map[string]source{}
	for _, l := range layers {
		if l.FS == nil {
			continue
		}
		entries, err := fs.ReadDir(l.FS, folder)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				f.add(unreadable(l.show(folder), err))
			}
			continue
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok && !e.IsDir() && !strings.HasPrefix(name, ".") {
				out[name] = source{l, path.Join(folder, e.Name())}
			}
		}
	}
	return out
}

// Models lists the model families that the layers hold, sorted, for help texts.
// A file that cannot be read is left out: Merge is what complains about it.
func Models(layers []Layer) []string {
	seen := map[string]bool{}
	for _, v := range Variants(layers) {
		seen[v.Family] = true
	}
	return keys(seen)
}

// Variant names one way to serve a model family.
type Variant struct{ Family, Quant string }

// Variants lists every model file's family and quant, sorted.
func Variants(layers []Layer) []Variant {
	var out []Variant
	for _, src := range files(layers, "models", &faults{}) {
		text, ok := src.read(&faults{})
		if !ok {
			continue
		}
		// Nothing but the two names is of interest, so a fault elsewhere in the
		// file does not hide it.
		var v struct{ Family, Quant string }
		if n, err := parse(text); err == nil && n != nil && n.Kind == yaml.MappingNode && n.Decode(&v) == nil && v.Family != "" {
			out = append(out, Variant(v))
		}
	}
	slices.SortFunc(out, func(a, b Variant) int {
		return strings.Compare(a.Family+"\x00"+a.Quant, b.Family+"\x00"+b.Quant)
	})
	return slices.Compact(out)
}

// HardwareNames lists the GPU types that the layers hold, sorted, for help
// texts.
func HardwareNames(layers []Layer) []string {
	return keys(files(layers, "hardware", &faults{}))
}

// BenchmarkNames lists the benchmarks that the layers hold, sorted, for help
// texts.
func BenchmarkNames(layers []Layer) []string {
	return keys(benchmarks(layers, &faults{}))
}

// Names lists what there is of one axis: "models", "hardware" or "benchmarks".
func Names(layers []Layer, axis string) ([]string, error) {
	switch axis {
	case "models":
		return Models(layers), nil
	case "hardware":
		return HardwareNames(layers), nil
	case "benchmarks":
		return BenchmarkNames(layers), nil
	}
	return nil, fmt.Errorf("compose: no axis is called %q; there are benchmarks, hardware and models", axis)
}

// scenarioFile is what makes a folder a benchmark.
const scenarioFile = "scenario.yaml"

func benchmarks(layers []Layer, f *faults) map[string]source {
	out := map[string]source{}
	for _, l := range layers {
		if l.FS == nil {
			continue
		}
		entries, err := fs.ReadDir(l.FS, ".")
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				f.add(unreadable(l.show("."), err))
			}
			continue
		}
		for _, e := range entries {
			p := path.Join(e.Name(), scenarioFile)
			if _, err := fs.Stat(l.FS, p); err == nil {
				out[e.Name()] = source{l, p}
			}
		}
	}
	return out
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
