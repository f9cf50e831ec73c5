package benchmarks_test

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/tiktoken-go/tokenizer"
	"gopkg.in/yaml.v3"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/sim"
)

// loaded is one benchmark, its prompts resolved.
type loaded struct {
	compose.Benchmark
	cassette []sim.CassettePhase
}

func load(t *testing.T, name string) loaded {
	t.Helper()
	dir, err := fs.Sub(benchmarks.FS(), name)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(read(t, dir, "scenario.yaml")))
	dec.KnownFields(true)
	b := loaded{}
	if err := dec.Decode(&b.Benchmark); err != nil {
		t.Fatalf("%s/scenario.yaml: %v", name, err)
	}
	b.Dir = dir
	for i := range b.Task.Phases {
		ph := &b.Task.Phases[i]
		ph.Prompt = string(read(t, dir, ph.Prompt))
	}
	cassette, err := sim.LoadCassette(dir, b.Cassette, b.Task.Phases)
	if err != nil {
		t.Fatal(err)
	}
	b.cassette = cassette.Phases()
	return b
}

func read(t *testing.T, fsys fs.FS, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func names(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(benchmarks.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestShippedBenchmarks(t *testing.T) {
	if got := strings.Join(names(t), " "); got != "dev-load smoke" {
		t.Errorf("FS holds %q", got)
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			b := load(t, name)
			if b.Name != name {
				t.Errorf("the folder %s calls itself %q", name, b.Name)
			}
			if b.SLO.MaxTTFT != 10 || b.SLO.MinTPS != 20 {
				t.Errorf("slo is %+v", b.SLO)
			}
			if b.Serving["max_model_len"] != 65536 {
				t.Errorf("serving is %v", b.Serving)
			}
			if b.SaturationProbe != nil {
				t.Error("the default run must have no saturation probe")
			}
			run, err := compose.Merge(compose.Request{
				Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
				Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
				Benchmark:  name, Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, ph := range run.Benchmark.Task.Phases {
				if ph.Prompt != b.Task.Phases[i].Prompt {
					t.Errorf("phase %s: compose resolves the prompt otherwise", ph.ID)
				}
			}
		})
	}
	dev := load(t, "dev-load")
	if len(dev.Devs) != 2 || dev.Devs[0] != 4 || dev.Devs[1] != 8 {
		t.Errorf("dev-load's devs are %v", dev.Devs)
	}
	if len(dev.Task.Phases) != 4 || len(dev.Task.Gates) != 2 {
		t.Errorf("dev-load has %d phases and %d gates", len(dev.Task.Phases), len(dev.Task.Gates))
	}
}

// Claude Code must be allowed what the cassette asks for.
func TestCassettesFitTheirScenarios(t *testing.T) {
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			b := load(t, name)
			for i, ph := range b.Task.Phases {
				c := b.cassette[i]
				if c.ID != ph.ID {
					t.Errorf("phase %d is %q in the cassette and %q in the scenario", i, c.ID, ph.ID)
				}
				if len(c.Turns) > ph.MaxTurns {
					t.Errorf("phase %s: %d turns, but max_turns is %d", ph.ID, len(c.Turns), ph.MaxTurns)
				}
				allowed := " " + strings.Join(ph.AllowedTools, " ") + " "
				for k, turn := range c.Turns {
					for _, call := range turn.Calls {
						if !strings.Contains(allowed, " "+call.Tool+" ") {
							t.Errorf("phase %s, turn %d uses %s, which is not allowed there", ph.ID, k, call.Tool)
						}
					}
				}
			}
		})
	}
}

// work counts an agent's model requests and output tokens, in o200k tokens.
func work(t *testing.T, b loaded) (requests, tokens int) {
	t.Helper()
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	for _, ph := range b.cassette {
		spoken := 0
		for _, turn := range ph.Turns {
			said := turn.Text
			for _, call := range turn.Calls {
				said += call.Tool + string(call.Input)
			}
			n, err := codec.Count(said)
			if err != nil {
				t.Fatal(err)
			}
			spoken += n
		}
		t.Logf("%s: %d requests, %d output tokens", ph.ID, len(ph.Turns), spoken)
		requests += len(ph.Turns)
		tokens += spoken
	}
	return requests, tokens
}

// The workload contract of DESIGN.md: what a level costs follows from these
// figures, so they are held on both sides.
func TestDevLoadIsWork(t *testing.T) {
	b := load(t, "dev-load")
	requests, tokens := work(t, b)
	if requests < 25 || requests > 32 {
		t.Errorf("%d model requests per agent, want 25 to 32", requests)
	}
	if tokens < 6000 || tokens > 6600 {
		t.Errorf("%d output tokens per agent, want 6000 to 6600", tokens)
	}
	var failures, tsc, vitest int
	for _, ph := range b.cassette {
		for _, turn := range ph.Turns {
			for _, call := range turn.Calls {
				if call.Tool == "Bash" && bytes.Contains(call.Input, []byte("tsc")) {
					tsc++
				}
				if call.Tool == "Bash" && bytes.Contains(call.Input, []byte("vitest")) {
					vitest++
				}
				if call.Expect == sim.Error {
					failures++
				}
			}
		}
	}
	if failures < 1 || tsc < 2 || vitest < 2 {
		t.Errorf("%d failing calls, %d runs of tsc, %d of vitest: that is not a day's work", failures, tsc, vitest)
	}
	if tsc > 6 || vitest > 5 {
		t.Errorf("%d runs of tsc, %d of vitest: eight agents share two cores", tsc, vitest)
	}
}

func TestSmokeIsShort(t *testing.T) {
	if requests, tokens := work(t, load(t, "smoke")); requests > 3 || tokens > 200 {
		t.Errorf("%d requests, %d tokens", requests, tokens)
	}
}

// Nothing of a gate file may reach an agent, or the acceptance test would no
// longer be a test.
func TestGateFilesStayHidden(t *testing.T) {
	for _, name := range names(t) {
		b := load(t, name)
		if b.Task.GateFiles == "" {
			continue
		}
		var seen strings.Builder
		for _, ph := range b.Task.Phases {
			seen.WriteString(ph.Prompt)
		}
		seen.Write(read(t, b.Dir, b.Cassette))
		hidden := 0
		err := fs.WalkDir(b.Dir, b.Task.GateFiles, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			hidden++
			if strings.Contains(seen.String(), path.Base(file)) && path.Base(file) != "tsconfig.json" {
				t.Errorf("%s: an agent hears of %s", name, file)
			}
			for line := range strings.Lines(string(read(t, b.Dir, file))) {
				line = strings.TrimSpace(line)
				// Shorter ones, and settings that any project has, say nothing.
				if len(line) < 40 || path.Ext(file) == ".json" || strings.HasPrefix(line, "import ") {
					continue
				}
				if strings.Contains(seen.String(), line) {
					t.Errorf("%s: an agent sees a line of %s: %s", name, file, line)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if hidden < 3 {
			t.Errorf("%s: only %d gate files are embedded; names with a dot need all: in the embed directive", name, hidden)
		}
	}
}
