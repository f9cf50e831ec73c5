package airlock

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Unpack is what Get does with what came.
func unpackSafely(t testing.TB, data []byte) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "into")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_ = unpack(bytes.NewReader(data), dir)
	entries, err := os.ReadDir(outer)
	if err != nil || len(entries) != 1 {
		t.Fatalf("something stands beside the folder: %v, %v", entries, err)
	}
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if m := info.Mode(); m&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s is %v", name, m)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			if rel, _ := filepath.Rel(dir, name); err != nil || !leadsWithin(filepath.ToSlash(rel), target) {
				t.Errorf("%s leads to %s", name, target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, data := range hostileTars {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { unpackSafely(t, data) })
}

// hostile makes a tar of entries that no honest place would send.
func hostile(entries ...*tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		w.WriteHeader(h)
		w.Write(bytes.Repeat([]byte("!"), int(h.Size)))
	}
	w.Close()
	return b.Bytes()
}

var hostileTars = map[string][]byte{
	"a name that leads up":       hostile(&tar.Header{Name: "../escaped", Size: 3}),
	"an absolute name":           hostile(&tar.Header{Name: "/tmp/escaped", Size: 3}),
	"through a link up":          hostile(&tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, &tar.Header{Name: "l/escaped", Size: 3}),
	"through a link to the root": hostile(&tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/"}, &tar.Header{Name: "l/escaped", Size: 3}),
	"through two links":          hostile(&tar.Header{Name: "d", Typeflag: tar.TypeDir}, &tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "."}, &tar.Header{Name: "d/m", Typeflag: tar.TypeSymlink, Linkname: "l/../.."}, &tar.Header{Name: "d/m/escaped", Size: 3}),
	"a hard link":                hostile(&tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
	"a device":                   hostile(&tar.Header{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}),
	"a set-uid program":          hostile(&tar.Header{Name: "s", Mode: 0o4755, Size: 3}),
	"the same file twice":        hostile(&tar.Header{Name: "a", Size: 3}, &tar.Header{Name: "a", Size: 3}),
	"more than there may be":     hostile(&tar.Header{Name: "big", Size: 3}, &tar.Header{Name: "a/b/c", Size: 5}),
	"no tar":                     []byte("what"),
}
