package dail

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/x/dail/report"
)

// judge runs the gates of a level's agents, as many at once as there are cores,
// and fills their results in.
func (r *runner) judge(ctx context.Context, l *report.Level, name string) error {
	judged := r.showGates(l.Devs, len(l.Agents))
	defer r.display.Clear()
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i := range l.Agents {
		a := &l.Agents[i]
		g.Go(func() error {
			v, err := r.score(ctx, filepath.Join(agentDir(r.levelDir(name), a.Agent), "workspace"))
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
