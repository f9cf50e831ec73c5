package dail_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is the table of DESIGN.md: which of our own packages each one may
// import. A package that is not listed may be imported by nobody and imports
// nothing; add it here with its reason in DESIGN.md.
var allowed = map[string][]string{
	"compose":         {},
	"trace":           {},
	"gates":           {"internal/linkfarm", "internal/plain"},
	"configs":         {},
	"benchmarks":      {},
	"infra/litellm":   {},
	"infra/toolchain": {},
	// The program in the agents' image.
	"infra/toolchain/inside": {"internal/airlock", "internal/linkfarm"},
	"slo":                    {"trace"},
	"proxy":                  {"trace"},
	"proxy/litellm":          {"internal/install"},
	"agents":                 {"trace", "internal/install", "internal/linkfarm", "internal/plain"},
	"agents/container":       {"agents", "gates", "internal/airlock", "internal/linkfarm"},
	"sim":                    {"compose", "slo", "trace"},
	"pod":                    {"compose", "sim", "internal/clock", "internal/deadman", "internal/remote", "internal/runpod", "internal/vllm"},
	"pod/podtest":            {"compose", "sim", "internal/clock"},
	"report":                 {"slo", "gates", "trace"},
	"report/dashboard":       {"report", "slo", "gates"},
	"internal/clock":         {},
	"internal/install":       {},
	"internal/airlock":       {"internal/plain"},
	"internal/deadman":       {},
	"internal/remote":        {"internal/clock"},
	"internal/runpod":        {"internal/clock"},
	"internal/vllm":          {"internal/clock"},
	"internal/plain":         {},
	"internal/progress":      {"internal/plain"},
	"internal/harness":       {},
	"internal/linkfarm":      {},
	"internal/fakevllm":      {},
	"internal/pathtable":     {"slo", "internal/fakevllm"},
	// Levels without a clock: for what must be held to the truth.
	"internal/virtual": {"sim", "slo"},
	// The figures' judge: it may look at everything.
	"internal/truth": {"*"},
	// Tests only: what dail takes for granted of a vLLM, asked of a real one.
	"internal/vllmcontract": {},

	// Tells an author of a cassette in a second what a run would in a minute.
	"benchmarks/internal/play": {"sim"},

	// Programs: the tests' tools, and the users' examples.
	"internal/chaos":          {"*"},
	"internal/cmd/benchproxy": {"*"},
	"internal/cmd/benchtruth": {"internal/truth", "slo"},
	"internal/cmd/chaos":      {"*"},
	"internal/cmd/costs":      {"report"},
	"internal/cmd/podtest":    {"*"},
	"internal/cmd/testreport": {},
	"internal/cmd/toolchain":  {"*"},
	"":                        {"*"},
	"examples/smoke":          {"*"},
	"examples/dev-load":       {"*"},
	"examples/reap":           {"*"},
	"examples/dashboard":      {"*"},
	"examples/export":         {"*"},
	"examples/gates":          {"*"},
	"examples/import":         {"*"},
	"examples/prune":          {"*"},
}

const module = "github.com/x/dail"

// room is the package's path inside the module.
func room(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

// TestImportsFollowTheDesign holds the direction of DESIGN.md's table, tests of
// a package left out: they may look at it from outside, with real neighbours.
func TestImportsFollowTheDesign(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Skipf("SKIP: needs the go command: %v", err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := room(p.ImportPath)
		seen[name] = true
		may, ok := allowed[name]
		if !ok {
			// A package under an internal/ folder of a room belongs to that room.
			if parent, _, in := strings.Cut(name, "/internal/"); in {
				name = parent
				may, ok = allowed[parent]
			}
		}
		if !ok {
			t.Errorf("package %s is not in the table of allowed imports (arch_test.go, DESIGN.md)", name)
			continue
		}
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				continue
			}
			dep := room(imp)
			own := strings.HasPrefix(dep, name+"/internal/") || dep == name
			if !own && !slices.Contains(may, "*") && !slices.Contains(may, dep) {
				t.Errorf("%s imports %s: DESIGN.md allows it only %v", name, dep, may)
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("the table lists %q, which is no package", name)
		}
	}
}
