package dail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/x/dail/pod"
	"github.com/x/dail/report"
)

// ResumeLatest stands for the latest run of the plan's own configuration.
const ResumeLatest = "latest"

// resume finds the run that the plan wants to go on with, and refuses where
// what would be measured now is not what was measured then.
func (r *runner) resume() error {
	p := &r.plan
	place, err := p.earlier()
	if err != nil {
		return &InputError{err}
	}
	if r.lock, err = place.Lock(); err != nil {
		return &InputError{err}
	}
	rep, err := report.Load(place.Report())
	if err != nil {
		return refuse("-resume: %w", err)
	}
	r.place, r.report, r.resumed = place, rep, true
	if r.grown, err = p.sameComposition(place); err == nil {
		err = p.sameWishes(rep)
	}
	if err != nil {
		return refuse("-resume %s: the run is another one than the flags ask for, so its levels would not belong together:\n%w", place.RunID, err)
	}
	if p.Pod.MaxUSD > 0 && rep.PodCostUSD != nil {
		if p.Pod.MaxUSD -= *rep.PodCostUSD; p.Pod.MaxUSD <= 0 {
			return refuse("-resume %s: the run has cost $%.2f already, which is all that -max-usd allows", place.RunID, *rep.PodCostUSD)
		}
	}
	if p.SearchMax == 0 {
		rep.Devs = p.Run.Devs
	}
	return nil
}

// own is where the plan's runs lie.
func (p *Plan) own() report.Place {
	run := p.Run
	return report.Place{
		Root: p.Results, Family: run.Model.Family, Quant: run.Model.Quant,
		Hardware: run.Hardware.Key, GPUs: run.GPUs, Benchmark: run.Benchmark.Name,
	}
}

// earlier finds the run below the results: by its id, by the beginning of it
// that no other run shares, or the latest one of this configuration.
func (p *Plan) earlier() (report.Place, error) {
	own := p.own()
	paths, err := fs.Glob(os.DirFS(p.Results), "*/*/*/*/"+report.FileName)
	if err != nil {
		return own, err
	}
	ours := filepath.ToSlash(strings.TrimPrefix(own.Config(), own.Root+string(filepath.Separator)))
	var ids, exact, begins []string // folders
	for _, file := range paths {
		dir := path.Dir(file)
		ids = append(ids, dir)
		id := path.Base(dir)
		switch {
		case p.Resume == ResumeLatest && path.Dir(dir) == ours, p.Resume == id:
			exact = append(exact, dir)
		case strings.HasPrefix(id, p.Resume):
			begins = append(begins, dir)
		}
	}
	if p.Resume == ResumeLatest {
		exact = exact[max(0, len(exact)-1):] // sorted, and ids sort by time
	}
	found := exact
	if len(found) == 0 {
		found = begins
	}
	if mine := slices.DeleteFunc(slices.Clone(found), func(dir string) bool { return path.Dir(dir) != ours }); len(found) > 1 && len(mine) == 1 {
		found = mine
	}
	switch {
	case len(ids) == 0:
		return own, fmt.Errorf("-resume %s: there are no runs below %s; -results names another folder", p.Resume, p.Results)
	case len(found) == 0:
		return own, fmt.Errorf("-resume %s: there is no such run below %s; the nearest are %s", p.Resume, p.Results, nearestRuns(p.Resume, ours, ids))
	case len(found) > 1:
		return own, fmt.Errorf("-resume %s: %d runs begin so: %s; say more of the id", p.Resume, len(found), nearestRuns(p.Resume, ours, found))
	case path.Dir(found[0]) != ours:
		return own, fmt.Errorf("-resume %s: that run is one of %s, and the flags ask for %s: give the flags that it was started with", p.Resume, path.Dir(found[0]), ours)
	}
	own.RunID = path.Base(found[0])
	return own, nil
}

// nearestRuns names the runs that may have been meant: those that begin alike,
// of this configuration, and late.
func nearestRuns(id, ours string, dirs []string) string {
	const most = 4
	alike := func(dir string) int {
		other, n := path.Base(dir), 0
		for n < len(id) && n < len(other) && id[n] == other[n] {
			n++
		}
		return n
	}
	isOurs := func(dir string) int {
		if path.Dir(dir) == ours {
			return 1
		}
		return 0
	}
	dirs = slices.Clone(dirs)
	slices.SortFunc(dirs, func(a, b string) int {
		return cmp.Or(alike(b)-alike(a), isOurs(b)-isOurs(a), strings.Compare(path.Base(b), path.Base(a)), strings.Compare(a, b))
	})
	var names []string
	for _, dir := range dirs[:min(most, len(dirs))] {
		names = append(names, fmt.Sprintf("%s (%s)", path.Base(dir), path.Dir(dir)))
	}
	return strings.Join(names, ", ")
}

// nothingLeft is set where no server is needed: all is measured.
func (r *runner) nothingLeft() bool {
	rep, p := r.report, &r.plan
	if p.Baseline && rep.Baseline == nil || p.Run.Benchmark.SaturationProbe != nil && rep.ThetaMax == nil {
		return false
	}
	if p.SearchMax > 0 {
		s, _ := r.searched()
		_, more := s.Next()
		return !more && rep.Capacity != nil && rep.Capacity.Stopped == "" && rep.Capacity.Max == p.SearchMax
	}
	return !slices.ContainsFunc(p.Run.Devs, func(n int) bool { return len(r.kept(n)) < max(1, p.Repeat) })
}

// kept are the repeats of a team size that are measured already.
func (r *runner) kept(n int) []report.Level {
	for _, l := range r.report.ByDevs {
		if l.Devs == n && l.Repeats != nil {
			return l.Repeats.Levels
		} else if l.Devs == n {
			return []report.Level{l}
		}
	}
	return nil
}

// finish judges what a run left pending, where nothing else of it is missing.
// more is set where a search has to go on after that: the work of a level that
// held was not real.
func (r *runner) finish(ctx context.Context) (more bool, err error) {
	p, rep := &r.plan, r.report
	// Where it is refused, there is no report to show.
	refused := func(err error) (bool, error) {
		r.report = nil
		return false, err
	}
	if rep.Truncated == "" && len(rep.Faults()) == 0 {
		return refused(refuse("-resume %s: the run is complete; more team sizes in -devs would add to it", r.place.RunID))
	}
	real := rep.Source != report.Simulated
	if why := p.contain(ctx, real); real && !p.mayRunAnything() {
		return refused(p.refuseHostExec("the run "+r.place.RunID, why))
	}
	if err := r.useRunner(ctx); err != nil {
		return refused(err)
	}
	if n := len(rep.Sessions); n > 0 && killed(rep) && rep.Sessions[n-1].Ended == "" {
		rep.Sessions[n-1].Ended = killedReason
	}
	if err := r.judgeAll(ctx); err != nil {
		return false, errors.Join(err, rep.Write(r.place.Report()))
	}
	if p.SearchMax > 0 {
		r.countAsked()
		s, _ := r.searched()
		rep.Capacity.Found(s.Capacity())
		_, more = s.Next()
	}
	if !more {
		rep.Truncated, rep.TruncatedReason = "", ""
	}
	return more, rep.Write(r.place.Report())
}

// killedReason is the end of a session that nobody wrote.
const killedReason = "killed; what its server cost after the last level that was written is not in this report"

// killed reports whether nobody wrote the end of a run's latest session.
func killed(rep *report.Report) bool {
	return !slices.ContainsFunc(lastTimeline(rep), func(s report.Step) bool { return s.Label == pod.StepShutdown })
}

// goOn makes the folder of an earlier run ready for what is still missing, and
// opens its next session. A server that is not like the one before is refused
// here: before, nobody knew it.
func (r *runner) goOn() error {
	rep := r.report
	s := r.session()
	if len(r.grown) > 0 {
		s.Notes = append(s.Notes, r.grown...)
	}
	if now := r.pod.USDPerHour / float64(rep.GPUCount); now != rep.PriceUSDPerGPUHour {
		s.Notes = append(s.Notes, fmt.Sprintf("the price was $%.4f per GPU and hour, by which the levels are judged", rep.PriceUSDPerGPUHour))
	}
	if killed(rep) { // until all is there, that is what it is
		rep.Truncated, rep.TruncatedReason = report.TruncatedError, killedReason
	}
	suffix := fmt.Sprintf("-session%d", rep.Begun())
	rep.Continue(s)
	if err := r.sameServer(s); err != nil {
		return fmt.Errorf("-resume %s: %w", r.place.RunID, err)
	}
	for _, note := range s.Notes {
		r.display.Note("resumed: %s", note)
	}
	if err := r.setAside(suffix); err != nil {
		return fmt.Errorf("-resume %s: what the last session left behind: %w", r.place.RunID, err)
	}
	if len(r.grown) > 0 {
		if err := aside(r.place.Composed(), strings.TrimSuffix(r.place.Composed(), ".yaml")+suffix+".yaml"); err != nil {
			return err
		}
		if err := r.compose(); err != nil {
			return err
		}
	}
	return rep.Write(r.place.Report())
}

// lastTimeline is that of the latest session.
func lastTimeline(rep *report.Report) []report.Step {
	if n := len(rep.Sessions); n > 0 {
		return rep.Sessions[n-1].Timeline
	}
	return rep.Timeline
}

// session is that of the pod.
func (r *runner) session() report.Session {
	s := report.Session{
		Start:              r.upSince,
		PriceUSDPerGPUHour: r.pod.USDPerHour / float64(r.plan.Run.GPUs),
		VLLMVersion:        r.pod.Version,
	}
	if r.plan.Provider.About().Outlives {
		s.Pod = r.pod.ID()
	}
	return s
}

// billStart puts the cost of a start that failed on the bill of a run that goes
// on, and tells it to whoever began one.
func (r *runner) billStart(failed error) error {
	var start *pod.StartError
	if !errors.As(failed, &start) {
		return nil // nothing was made
	}
	if !r.resumed {
		if !r.plan.Provider.About().Paid {
			return nil
		}
		var billed time.Duration
		for _, s := range start.Steps {
			billed += s.Elapsed
		}
		r.display.Note("the server was there for %v, at $%.2f/h: $%.3f", billed.Round(time.Second), start.USDPerHour, billed.Hours()*start.USDPerHour)
		return nil
	}
	rep := r.report
	rep.Continue(report.Session{
		Start: r.upSince, PriceUSDPerGPUHour: start.USDPerHour / float64(rep.GPUCount), Ended: failed.Error(),
	})
	for _, s := range start.Steps {
		rep.AddStep(s.Label, s.Elapsed)
	}
	rep.Truncated, rep.TruncatedReason = report.TruncatedError, failed.Error()
	return rep.Write(r.place.Report())
}
