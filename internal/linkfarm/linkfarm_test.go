package linkfarm_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/dail/internal/linkfarm"
)

func TestMake(t *testing.T) {
	shared, dir := t.TempDir(), filepath.Join(t.TempDir(), "project/node_modules")
	for _, name := range []string{"left-pad", "@types/node", ".bin/.hidden-tool", ".package-lock.json", ".cache/x"} {
		if err := os.MkdirAll(filepath.Join(shared, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mine := filepath.Join(dir, "left-pad")
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time changes nothing
		if err := linkfarm.Make(dir, shared); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, _ error) error {
		rel, _ := filepath.Rel(dir, name)
		if d.Type()&fs.ModeSymlink != 0 {
			to, _ := os.Readlink(name)
			to, _ = filepath.Rel(shared, to)
			rel += ">" + to
		}
		got = append(got, rel)
		return nil
	})
	want := ". .bin .bin/.hidden-tool>.bin/.hidden-tool @types @types/node>@types/node left-pad"
	if strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := linkfarm.Make(t.TempDir(), "/no/such/folder"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
