package dail

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/x/dail/gates"
	"github.com/x/dail/internal/progress"
	"github.com/x/dail/report"
)

// Score judges a workspace that was kept, by the gates of the plan's benchmark.
// It is only read. real says that a real model wrote it: then its gates run in
// containers, or the plan must allow that they do not.
func Score(ctx context.Context, plan *Plan, workspace string, real bool) (gates.Verdict, error) {
	p := plan.withDefaults()
	if why := p.contain(ctx, real); real && !p.mayRunAnything() {
		return gates.Verdict{}, p.refuseHostExec("what made "+workspace, why)
	}
	r := &runner{plan: p, display: progress.New(p.Progress)}
	if err := r.useRunner(ctx); err != nil {
		return gates.Verdict{}, err
	}
	return r.score(ctx, workspace)
}

// score runs the gates on a copy of a workspace.
func (r *runner) score(ctx context.Context, workspace string) (gates.Verdict, error) {
	var hidden fs.FS
	if dir := r.plan.Run.Benchmark.Task.GateFiles; dir != "" {
		sub, err := fs.Sub(r.plan.Run.Benchmark.Dir, dir)
		if err != nil {
			return gates.Verdict{}, fmt.Errorf("gate_files %s: %w", dir, err)
		}
		hidden = sub
	}
	return gates.Score(ctx, gates.Place{
		Execer:      r.local,
		Workspace:   workspace,
		Files:       hidden,
		NodeModules: r.toolchain.NodeModules(),
	}, gatesOf(r.plan.Run))
}

// RunOf finds the report of the run that a kept workspace belongs to, in a folder
// above it. False where there is none.
//
// A report counts where the workspace lies below the artifacts beside it, and of
// several the outermost one: an agent may have written a report of its own, which
// says what it likes.
func RunOf(workspace string) (rep *report.Report, found bool) {
	workspace, err := filepath.Abs(workspace)
	if err == nil {
		workspace, err = filepath.EvalSymlinks(workspace)
	}
	if err != nil {
		return nil, false
	}
	for dir := filepath.Dir(workspace); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		below := strings.TrimPrefix(workspace, dir+string(filepath.Separator))
		if first, _, _ := strings.Cut(below, string(filepath.Separator)); first != report.ArtifactsName {
			continue
		}
		if r, err := report.Load(filepath.Join(dir, report.FileName)); err == nil {
			rep = r
		}
	}
	return rep, rep != nil
}
