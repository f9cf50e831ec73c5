package container

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/x/dail/infra/toolchain"
)

func files() fstest.MapFS {
	return fstest.MapFS{"Dockerfile": {Data: []byte("FROM x")}, "package.json": {Data: []byte("{}")}, "package-lock.json": {Data: []byte("{}")},
		"inside/main.go": {Data: []byte("package main")}, "inside/helper.mod": {Data: []byte("module x")}, "inside/helper.sum": {}}
}

// with is the toolchain with one file changed.
func with(name string) fstest.MapFS {
	f := files()
	f[name] = &fstest.MapFile{Data: []byte("another " + name)}
	return f
}

// An image's name says all that it is made of.
func TestTag(t *testing.T) {
	seen := map[string]string{}
	for name, i := range map[string]Image{
		"plain":           {Toolchain: files()},
		"another base":    {Toolchain: files(), Base: "b"},
		"another lock":    {Toolchain: with("package-lock.json")},
		"another recipe":  {Toolchain: with("Dockerfile")},
		"another helper":  {Toolchain: with("inside/main.go")},
		"another ssh":     {Toolchain: with("inside/helper.mod")},
		"other sums":      {Toolchain: with("inside/helper.sum")},
		"one more file":   {Toolchain: with("inside/more.go")},
		"an overlay":      {Toolchain: files(), Overlay: []byte("FROM ${BASE}"), Benchmark: "dev"},
		"another overlay": {Toolchain: files(), Overlay: []byte("FROM ${BASE}\n"), Benchmark: "dev"},
		"a capital":       {Toolchain: files(), Overlay: []byte("FROM ${BASE}"), Benchmark: "Dev"},
	} {
		tag, err := i.Tag()
		if again, _ := i.Tag(); err != nil || again != tag {
			t.Errorf("%s: %q, then %q, %v", name, tag, again, err)
		}
		if other, ok := seen[tag]; ok {
			t.Errorf("%s and %s are both %s", name, other, tag)
		}
		seen[tag] = name
		if want := map[bool]string{true: "dail-dev:", false: "dail-toolchain:"}[i.Benchmark != ""]; !strings.HasPrefix(tag, want) {
			t.Errorf("%s: %s", name, tag)
		}
	}
	if _, err := (Image{Toolchain: fstest.MapFS{}}).Tag(); err == nil || !strings.Contains(err.Error(), "Dockerfile") {
		t.Error(err)
	}
}

func TestEnsure(t *testing.T) {
	there := pretend(t, `[ "$1" = image ] || { echo "asked to $1" >&2; exit 1; }`)
	i := Image{Toolchain: files(), Overlay: []byte("FROM ${BASE}"), Benchmark: "dev"}
	if tag, err := i.Ensure(t.Context(), there, nil); err != nil || !strings.HasPrefix(tag, "dail-dev:") {
		t.Errorf("an image that is there: %q, %v", tag, err)
	}
	// An overlay is built from its Dockerfile and nothing else.
	log := filepath.Join(t.TempDir(), "log")
	overlay := pretend(t, `
case "$*" in
image*dail-dev:*) exit 1 ;;
build*) echo "$@" > `+log+`; tar -t >> `+log+` ; echo "Step 1/2 : FROM x"; echo noise ;;
esac`)
	var progress bytes.Buffer
	if _, err := i.Ensure(t.Context(), overlay, &progress); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(log)
	if !strings.Contains(string(got), "--build-arg BASE=dail-toolchain:") || !strings.HasSuffix(string(got), " -\nDockerfile\n") {
		t.Errorf("%s", got)
	}
	if p := progress.String(); !strings.Contains(p, "building the image dail-dev:") || !strings.Contains(p, "Step 1/2") || strings.Contains(p, "noise") {
		t.Errorf("progress:\n%s", p)
	}
	// What the engine says of a failure is told.
	broken := pretend(t, `
case "$*" in
image*dail-dev:*) exit 1 ;;
build*) cat > /dev/null; echo "pull access denied"; exit 1 ;;
esac`)
	if _, err := i.Ensure(t.Context(), broken, nil); err == nil || !strings.Contains(err.Error(), "pull access denied") || !strings.Contains(err.Error(), "benchmark dev") {
		t.Error(err)
	}
}

// Each source of the helper is covered by the tag, also what this program embeds.
func TestTheTagCoversEachSource(t *testing.T) {
	all, err := Image{Toolchain: toolchain.FS()}.made()
	if err != nil {
		t.Fatal(err)
	}
	was := digest("", all).Sum(nil)
	for _, name := range []string{"Dockerfile", "package-lock.json", "go.mod", "go.sum", "infra/toolchain/inside/main.go",
		"internal/airlock/inside.go", "internal/airlock/stream.go", "internal/airlock/tar.go", "internal/linkfarm/linkfarm.go"} {
		changed := maps.Clone(all)
		if changed[name] == nil {
			t.Errorf("no %s", name)
		}
		changed[name] = append(slices.Clone(changed[name]), '!')
		if bytes.Equal(was, digest("", changed).Sum(nil)) {
			t.Errorf("another %s, and the same tag", name)
		}
	}
}

// The helper's module is all that it is built of: each package's source as it
// stands in this checkout, and the modules as ours has them.
func TestTheHelperIsBuiltOfWhatTheTagCovers(t *testing.T) {
	source, err := Image{Toolchain: toolchain.FS()}.helperSource()
	if err != nil {
		t.Fatal(err)
	}
	const root = "../../"
	for name, b := range source {
		if name == "go.mod" || name == "go.sum" {
			continue
		}
		if got, err := os.ReadFile(root + name); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s differs from the checkout's: %v", name, err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		ours, err := os.ReadFile(root + name)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Split(strings.ReplaceAll(string(ours), " // indirect", ""), "\n")
		for line := range strings.Lines(string(source[name])) {
			if !slices.Contains(all, strings.TrimSuffix(line, "\n")) {
				t.Errorf("infra/toolchain/inside/helper%s says %q, and our %s does not: move both together", filepath.Ext(name), line, name)
			}
		}
	}
}

// The helper can be built, and is built of these sources.
func TestTheHelperIsBuilt(t *testing.T) {
	if os.Getenv("DAIL_REAL") == "" && (Engine{}).Check(t.Context()) != nil {
		t.Skip("SKIP: compiles a standard library for containers, a minute from an empty cache; make test-real runs it, and so does a Docker engine")
	}
	source, err := Image{Toolchain: toolchain.FS()}.helperSource()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := buildHelper(t.Context(), source, runtime.GOARCH); err != nil || !bytes.HasPrefix(b, []byte("\x7fELF")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	source["internal/airlock/inside.go"] = []byte("broken")
	if _, err := buildHelper(t.Context(), source, runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "inside.go") {
		t.Errorf("it was built of something else: %v", err)
	}
}
