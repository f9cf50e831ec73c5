package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FileName is the name of a report in its run's folder.
const FileName = "report.json"

// ArtifactsName is the name of the folder beside it that holds what agents made.
const ArtifactsName = "artifacts"

// Place says where a run's files lie:
//
//	<root>/<family>-<quant>/<hardware>-<gpus>gpu/<benchmark>/<run_id>/
type Place struct {
	Root                               string // "results"
	Family, Quant, Hardware, Benchmark string
	GPUs                               int
	RunID                              string
}

// Config is the folder of all runs of one configuration and benchmark.
func (p Place) Config() string {
	return filepath.Join(p.Root, p.Family+"-"+p.Quant, fmt.Sprintf("%s-%dgpu", p.Hardware, p.GPUs), p.Benchmark)
}

// Dir is the run's folder.
func (p Place) Dir() string { return filepath.Join(p.Config(), p.RunID) }

// Report is the report's path.
func (p Place) Report() string { return filepath.Join(p.Dir(), FileName) }

// Composed is the path of the composed configuration.
func (p Place) Composed() string { return filepath.Join(p.Dir(), "composed.yaml") }

// Trace is the path of the gateway's record of every request.
func (p Place) Trace() string { return filepath.Join(p.Dir(), "trace.jsonl") }

// Artifacts is the folder of what is heavy and can be pruned.
func (p Place) Artifacts() string { return filepath.Join(p.Dir(), ArtifactsName) }

// GatewayDir is the folder of a gateway that is a program of its own: its
// configuration and its log.
func (p Place) GatewayDir() string { return filepath.Join(p.Artifacts(), "gateway") }

// Level is the folder of a team size's agents: agent0, agent1, ….
func (p Place) Level(n int) string { return filepath.Join(p.Artifacts(), fmt.Sprintf("n%d", n)) }

// Agent is the folder of one agent.
func (p Place) Agent(n, agent int) string {
	return filepath.Join(p.Level(n), fmt.Sprintf("agent%d", agent))
}

// RunID is the id of a run that starts at t: its local time. Ids sort by time
// as text.
func RunID(t time.Time) string { return t.Format(runIDLayout) }

const runIDLayout = "20060102-150405"

// maxTries bounds how many runs of one configuration may start in one second.
const maxTries = 60

// Create makes the run's folder and sets RunID. Where a run of the same
// configuration started within the same second, the next free second is taken,
// so that no two runs share a folder, whichever programs made them.
func (p *Place) Create(now time.Time) error {
	for _, part := range []struct{ what, name string }{
		{"family", p.Family}, {"quant", p.Quant}, {"hardware", p.Hardware}, {"benchmark", p.Benchmark},
	} {
		if part.name == "" || part.name == "." || part.name == ".." || strings.ContainsAny(part.name, `/\`) {
			return fmt.Errorf("report: %s %q cannot be the name of a folder of results: it must be one path element", part.what, part.name)
		}
	}
	if err := os.MkdirAll(p.Config(), 0o755); err != nil {
		return fmt.Errorf("report: make the results folder: %w", err)
	}
	for i := range maxTries {
		p.RunID = RunID(now.Add(time.Duration(i) * time.Second))
		err := os.Mkdir(p.Dir(), 0o755)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("report: make the run's folder: %w", err)
		}
	}
	return fmt.Errorf("report: %s has runs for each of the %d seconds from %s on: is a loop starting them?",
		p.Config(), maxTries, RunID(now))
}
