package dail

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/x/dail/gates"
	"github.com/x/dail/report"
)

// judge runs the gates of a level's agents, as many at once as there are cores,
// and fills their results in.
func (r *runner) judge(ctx context.Context, l *report.Level, name string) error {
	var hidden fs.FS
	if dir := r.plan.Run.Benchmark.Task.GateFiles; dir != "" {
		sub, err := fs.Sub(r.plan.Run.Benchmark.Dir, dir)
		if err != nil {
			return fmt.Errorf("gate_files %s: %w", dir, err)
		}
		hidden = sub
	}
	list := gatesOf(r.plan.Run)
	judged := r.showGates(l.Devs, len(l.Agents))
	defer r.display.Clear()
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i := range l.Agents {
		a := &l.Agents[i]
		g.Go(func() error {
			v, err := gates.Score(ctx, gates.Place{
				Execer:      r.local,
				Workspace:   filepath.Join(agentDir(r.levelDir(name), a.Agent), "workspace"),
				Files:       hidden,
				NodeModules: r.toolchain.NodeModules(),
			}, list)
			a.Gates = v.Results
			judged()
			if err != nil {
				return fmt.Errorf("agent %d: %w", a.Agent, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// levelDir is the folder of a level's agents.
func (r *runner) levelDir(name string) string { return filepath.Join(r.place.Artifacts(), name) }
