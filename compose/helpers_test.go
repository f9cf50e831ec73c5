package compose_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with testdata/name, after writing it under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./compose -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// good returns a copy of testdata/good/<folder> that a test may change.
func good(t testing.TB, folder string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	root := os.DirFS(filepath.Join("testdata", "good", folder))
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, name)
		out[name] = &fstest.MapFile{Data: text, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// request asks for the good run; change edits its files and itself.
func request(t testing.TB, change func(config, bench fstest.MapFS, req *compose.Request)) compose.Request {
	t.Helper()
	config, bench := good(t, "."), good(t, "bench")
	req := compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: config}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: bench}},
		Benchmark:  "load", Model: "coder", Hardware: "mid", GPUs: 1,
	}
	if change != nil {
		change(config, bench, &req)
	}
	return req
}

func merge(t testing.TB, change func(config, bench fstest.MapFS, req *compose.Request)) *compose.Run {
	t.Helper()
	run, err := compose.Merge(request(t, change))
	if err != nil {
		t.Fatal(err)
	}
	return run
}
