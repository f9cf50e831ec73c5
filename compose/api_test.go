package compose_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
)

func apis(files map[string]string) []compose.Layer {
	m := fstest.MapFS{}
	for name, text := range files {
		m["apis/"+name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return []compose.Layer{{Name: "configs", FS: m}}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAPIs(t *testing.T) {
	good := read(t, "testdata/api/good.yaml")
	cached, written := 0.2, 2.5
	want := compose.API{
		Key: "b", Name: "ACME", Model: "coder", AsOf: "2026-11-09", Source: "https://acme.example/prices", Note: "list prices",
		Input: 2, Output: 10, CacheRead: &cached, CacheWrite: &written,
	}
	mine := strings.ReplaceAll(good, "ACME", "mine")
	plain := "{name: P, model: m, as_of: 2026-01-02, source: 'http://p', input_usd_per_mtok: 0, output_usd_per_mtok: 1}"
	layers := apis(map[string]string{"b.yaml": good, "a.yaml": plain, "c.yaml": good, "README.md": "not a price"})
	layers = append(layers, compose.Layer{Name: "none", FS: fstest.MapFS{}}, apis(map[string]string{"c.yaml": mine})[0])
	got, err := compose.APIs(layers)
	if err != nil {
		t.Fatal(err)
	}
	own := want
	own.Key, own.Name = "c", "mine"
	noCache := compose.API{Key: "a", Name: "P", Model: "m", AsOf: "2026-01-02", Source: "http://p", Output: 1}
	if diff := cmp.Diff([]compose.API{noCache, want, own}, got); diff != "" {
		t.Errorf("APIs (-want +got):\n%s", diff)
	}
	if got, err := compose.APIs(nil); err != nil || len(got) != 0 {
		t.Errorf("no layers: %v, %v", got, err)
	}
}

// Each testdata/api/<fault>.bad.yaml has one fault; its message is in the
// .golden beside it.
func TestBadAPIs(t *testing.T) {
	paths, err := filepath.Glob("testdata/api/*.bad.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".bad.yaml")
		t.Run(name, func(t *testing.T) {
			got, err := compose.APIs(apis(map[string]string{"acme.yaml": read(t, path), "good.yaml": read(t, "testdata/api/good.yaml")}))
			var fault *compose.Error
			if !errors.As(err, &fault) {
				t.Fatalf("%v, and no *compose.Error: %v", got, err)
			}
			if all := compose.Faults(err); len(all) != 1 || fault.Line == 0 && name != "empty" {
				t.Errorf("one fault gave %d messages:\n%v", len(all), err)
			}
			golden(t, filepath.Join("api", name+".golden"), err.Error()+"\n")
		})
	}
}

// Whatever a price file holds, APIs gives prices that can be reckoned with or
// an error that says where; it never panics.
func FuzzAPIs(f *testing.F) {
	paths, err := filepath.Glob("testdata/api/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		f.Add([]byte(read(f, path)))
	}
	f.Add([]byte("a: &a [*a]\nname: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := compose.APIs(apis(map[string]string{"x.yaml": string(text)}))
		if err != nil {
			if len(compose.Faults(err)) == 0 {
				t.Fatalf("an error without a fault: %v", err)
			}
			return
		}
		if len(list) != 1 {
			t.Fatalf("one file gave %d APIs", len(list))
		}
		a := list[0]
		if a.Name == "" || a.Model == "" || len(a.AsOf) != len("2026-11-09") || a.Source == "" {
			t.Fatalf("incomplete: %+v", a)
		}
		for _, price := range []*float64{&a.Input, &a.Output, a.CacheRead, a.CacheWrite} {
			if price != nil && !(*price >= 0 && *price <= 1e15) {
				t.Fatalf("a price of %v", *price)
			}
		}
	})
}
