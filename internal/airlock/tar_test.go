package airlock

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
)

// leadsOut says where a file leads that is not in dir; empty where it is. It asks
// the file system, and twice: what exists is followed to its end, and what does
// not is followed by an os.Root, which minds each step.
func leadsOut(dir, name string) string {
	dir, _ = filepath.EvalSymlinks(dir) // on macOS, temporary folders are behind a link
	rel, _ := filepath.Rel(dir, name)
	if !filepath.IsLocal(rel) {
		rel = filepath.Base(name)
	}
	if to, err := filepath.EvalSymlinks(filepath.Join(dir, rel)); err == nil && to != dir && !strings.HasPrefix(to, dir+"/") {
		return "to " + to
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err.Error()
	}
	defer root.Close()
	if _, err := root.Stat(rel); err != nil && strings.Contains(err.Error(), "escapes") {
		return err.Error()
	}
	return ""
}

// The control: what the judge must see, it sees.
func TestTheJudgeOfLinks(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "into")
	if err := os.MkdirAll(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outer, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		target string
		out    bool
	}{
		"d/l": {".", false}, "d/m": {"l", false}, "d/n": {"../none", false},
		"d/out": {"l/l/l/l/../../../../secret", true}, "d/nowhere": {"l/../../none", true}, "d/chain": {"out", true},
	} {
		if err := os.Symlink(tc.target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if out := leadsOut(dir, filepath.Join(dir, name)); (out != "") != tc.out {
				t.Errorf("%s -> %s: %q", name, tc.target, out)
			}
		}()
	}
}

// Honest links come home as they are.
func TestLinksThatStay(t *testing.T) {
	dir := t.TempDir()
	data := hostile(&tar.Header{Name: "d", Typeflag: tar.TypeDir}, &tar.Header{Name: "a", Size: 3},
		link("d/up", "../a"), link("d/dot", "./up"), link("d/up-and-down", "../d/dot"), link("folder", "d/"), link("through", "folder/up"),
		link("d/gone", "../../a"), link("d/odd", "../folder/../a"), link("d/none", ""))
	if err := unpack(bytes.NewReader(data), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d/up", "d/dot", "d/up-and-down", "through"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != "!!!" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"d/gone", "d/odd", "d/none"} {
		if to, err := os.Readlink(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s came home, and leads to %s", name, to)
		}
	}
}

// A place cannot make folders without end, nor so deep that they stay for good.
func TestFoldersAreBounded(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth-1)
	many := unpacking{made: maxFiles - 3}
	var err error
	dir := t.TempDir()
	if many.root, err = os.OpenRoot(dir); err != nil {
		t.Fatal(err)
	}
	defer many.root.Close()
	if err := many.folder("a/b/c", 0o755); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
	if err := many.folder("a/b/c/d", 0o755); err == nil {
		t.Error("a folder that an entry implies is not counted")
	}
	for name, tc := range map[string]struct{ entry, want string }{
		"as deep as may be": {deep + "a", ""},
		"deeper":            {deep + "d/a", "longer than"},
		"a PAX name":        {strings.Repeat("x/", 20_000) + "a", "longer than"},
		"a long one":        {strings.Repeat("xy", maxName/2) + "a", "longer than"},
		"back and forth":    {strings.Repeat("x/../", 2000) + "a", "longer than"},
		"an odd one":        {"\x1b[2J/../../a", `"\x1b[2J`},
	} {
		dir := t.TempDir()
		err := unpack(bytes.NewReader(hostile(&tar.Header{Name: tc.entry, Size: 3})), dir)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 400) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if left, _ := os.ReadDir(dir); tc.want != "" && len(left) > 0 {
			t.Errorf("%s: something was made of it: %v", name, left)
		}
	}
}

// Whoever sends a folder has not sent all when its tar is at its end: were the
// channel closed by then, the sender would find that its place is gone.
func TestAFolderIsTakenInToTheEndOfItsChannel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		taken := make(chan error, 1)
		go func() { taken <- receive(r, dir) }()
		if err := pack(w, fstest.MapFS{"file": {Data: []byte("text")}}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case err := <-taken:
			t.Errorf("it hung up (%v)", err)
		default:
			w.Close()
			if err := <-taken; err != nil {
				t.Error(err)
			}
		}
	})
}

// What cannot be read stays behind and is named; all the rest comes home. Root
// reads everything, so the folder refuses by itself.
func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	files := barred{fstest.MapFS{"a": {Data: []byte("a")}, "b\n/x": {Data: []byte("x")}, "c": {Data: []byte("c")}, deepest: {Data: []byte("d")}, "z/y": {Data: []byte("y")}}, "b\nc"}
	var b bytes.Buffer
	err := pack(&b, files)
	if err == nil {
		t.Fatal("nothing was left out")
	}
	for _, want := range []string{`"b\n" (permission denied)`, `"c" (permission denied)`, "bytes or 100 folders"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %s", err, want)
		}
	}
	dir := t.TempDir()
	if err := unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "z/y"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	many := fstest.MapFS{}
	for i := range 100 {
		many[fmt.Sprintf("%d/c", i)] = &fstest.MapFile{}
	}
	if err := pack(io.Discard, barred{many, "c"}); err == nil || !strings.HasSuffix(err.Error(), "and 95 more") {
		t.Errorf("a hundred of them: %v", err)
	}
}

var deepest = strings.Repeat("d/", maxDepth) + "file"

// barred is a folder in which what is called so cannot be opened.
type barred struct {
	fstest.MapFS
	names string
}

func (b barred) Open(name string) (fs.File, error) {
	if strings.Contains(b.names, path.Base(name)) && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.Open(name)
}

func (b barred) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := b.Open(name)
	if err != nil {
		return nil, err
	}
	return f.(fs.ReadDirFile).ReadDir(-1)
}

// Unpack is what Get does with what came.
func unpackSafely(t testing.TB, data []byte) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "into")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// What a link may be after.
	if err := os.WriteFile(filepath.Join(outer, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = unpack(bytes.NewReader(data), dir)
	entries, err := os.ReadDir(outer)
	if err != nil || len(entries) != 2 {
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
		if out := leadsOut(dir, name); out != "" {
			t.Errorf("%s leads %s", name, out)
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

func link(name, target string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
}

var hostileTars = map[string][]byte{
	"back through a link":        hostile(&tar.Header{Name: "d", Typeflag: tar.TypeDir}, link("d/l", "."), link("d/README.md", "l/l/l/l/../../../../secret")),
	"a folder that is a link":    hostile(&tar.Header{Name: "d", Typeflag: tar.TypeDir}, link("d/l", "."), link("d/l/l2", "."), link("d/l/l/l/out", "../../../secret")),
	"a folder made in a link":    hostile(link("a", "."), &tar.Header{Name: "a/b/c", Typeflag: tar.TypeDir}, link("a/b/c/out", "../../../secret")),
	"a chain":                    hostile(link("a", "b"), link("b", "../secret"), link("c", "a/../secret")),
	"a chain, the end first":     hostile(link("d/b", ".."), link("a", "d/b/.."), link("c", "d/b/../secret"), link("e", "a/secret")),
	"a target that comes later":  hostile(link("out", "x/y/../../../secret"), &tar.Header{Name: "x", Typeflag: tar.TypeDir}, link("x/y", ".")),
	"a folder replaced":          hostile(&tar.Header{Name: "d/e/f", Typeflag: tar.TypeDir}, link("d/e/f/l", "../../../d"), link("d/e", "."), &tar.Header{Name: "d/e/x", Size: 3}),
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
