package dail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/compose"
	"github.com/x/dail/gates"
	"github.com/x/dail/internal/progress"
	"github.com/x/dail/pod"
	"github.com/x/dail/proxy/litellm"
	"github.com/x/dail/report"
	"github.com/x/dail/slo"
)

// Steps of the timeline that Run marks, besides the pod's own.
const (
	stepGeneration = "generation"
	stepBaseline   = "baseline"
	stepSaturation = "saturation-probe"
)

// scrapeTimeout bounds one reading of /metrics.
const scrapeTimeout = 20 * time.Second

// downTimeout bounds giving the pod back, and gatesTimeout judging what was
// measured when the run itself has been interrupted.
const (
	downTimeout  = 5 * time.Minute
	gatesTimeout = 2 * time.Minute
)

// Run measures a plan from start to end: it installs the pinned programs where
// they are missing, gets the server, measures every team size, gives the
// server back, and judges the work. Each level is on disk when it ends.
//
// An [*InputError] is a refusal, and nothing was created. With any other error
// the report holds what was measured until then, marked truncated; it is nil
// only where nothing could be begun.
func Run(ctx context.Context, plan *Plan) (*report.Report, error) {
	p := plan.withDefaults()
	if err := p.check(); err != nil {
		return nil, err
	}
	about := p.Provider.About()
	if why := p.contain(ctx, about.RealModel); about.RealModel && !p.mayRunAnything() {
		return nil, p.refuseHostExec("provider "+about.Name, why)
	}
	r := &runner{plan: p, display: progress.New(p.Progress)}
	defer r.close()
	if p.Resume != "" {
		if err := r.resume(); err != nil {
			return nil, err
		}
		if r.nothingLeft() {
			if more, err := r.finish(ctx); !more {
				return r.report, err
			}
		}
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	// From here on the pod is given back on every way out, a panic included. It
	// is not cancelled by what cancels the run.
	giveBack := sync.OnceValue(func() error {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
		defer cancel()
		return r.pod.Down(down)
	})
	defer giveBack()

	bound, release := r.pod.Bind(ctx)
	told := context.AfterFunc(ctx, func() {
		if p.Provider.About().Outlives {
			r.display.Note("interrupted: giving the pod back; if this program is killed meanwhile, its watchdog does it")
		}
	})
	runErr := r.measureAll(bound)
	told()
	if cause := context.Cause(bound); cause != nil && runErr != nil && ctx.Err() == nil {
		runErr = cause // the pod's own end explains what failed on it
	}
	release()
	downErr := giveBack()
	if until, login, kept := r.pod.Kept(); kept && downErr == nil {
		r.display.Note("the pod is kept until %s and costs $%.2f/h: %s; make reap does not end it before then, the provider's console does",
			until.Format("15:04"), r.pod.USDPerHour, login)
	}
	if r.report == nil {
		return nil, errors.Join(runErr, downErr)
	}
	r.truncate(ctx, runErr)
	judgeErr := r.judgeAll(ctx)
	r.timeline()
	return r.report, errors.Join(runErr, downErr, judgeErr, r.report.Write(r.place.Report()))
}

// runner is one run under way.
type runner struct {
	plan      Plan
	display   *progress.Display
	toolchain agents.Toolchain
	local     Runner
	litellm   litellm.Program // the zero value with the native gateway
	agent     agents.Agent
	settings  map[string]string // the agent's, for the report

	pod    *pod.Pod
	place  report.Place
	report *report.Report

	pace    progress.Pace
	upSince time.Time // when the pod was asked for
	lock    io.Closer // the run's folder, while it is ours
	resumed bool      // place and report are an earlier run's
	grown   []string  // in what its composition was a smaller one
}

// close gives back what is neither the pod's nor a level's.
func (r *runner) close() {
	if r.lock != nil {
		r.lock.Close()
	}
}

// prepare does all that needs no GPU, then brings the server up. When it fails
// nothing is left running.
func (r *runner) prepare(ctx context.Context) error {
	p := &r.plan
	run := p.Run
	team := fmt.Sprintf("%v developers", run.Devs)
	if p.SearchMax > 0 {
		team = fmt.Sprintf("the largest team up to %d that holds", p.SearchMax)
	}
	r.display.Note("%s on %d × %s: %s for %s, provider %s",
		run.Serving.ServedModelName, run.GPUs, run.Hardware.Key, run.Benchmark.Name, team, p.Provider.About().Name)
	if err := r.useRunner(ctx); err != nil {
		return err
	}
	switch {
	case p.Gateway != gatewayLiteLLM:
	case p.LiteLLM.Program != nil:
		r.litellm = *p.LiteLLM.Program
	default:
		// Before a GPU is paid for: this may take minutes.
		program, err := LiteLLMProgram(ctx, p.Progress)
		if err != nil {
			return err
		}
		r.litellm = program
	}
	options := p.Pod
	step, shown := r.showPod()
	defer shown()
	options.Progress = step
	if options.RunID == "" {
		options.RunID = time.Now().Format("20060102-150405")
	}
	r.upSince = time.Now()
	if err := r.sameClients(ctx); err != nil {
		return err
	}
	up, err := pod.Up(ctx, p.Provider, run, options)
	shown()
	if err != nil {
		return errors.Join(refused(err), r.billStart(err))
	}
	r.pod = up
	if err := r.contain(ctx); err != nil {
		return errors.Join(err, up.Down(context.WithoutCancel(ctx)))
	}
	r.agent = p.Agent
	if r.agent == nil {
		r.agent = r.claude()
	}
	return nil
}

// contain looks once more where agents may work, now that the server has said
// what it is: behind an address that was given, nobody knew before.
func (r *runner) contain(ctx context.Context) error {
	p := &r.plan
	had := p.Runner != nil
	why := p.contain(ctx, !r.pod.Simulated)
	if !r.pod.Simulated && !p.mayRunAnything() {
		return p.refuseHostExec("the server at "+r.pod.Endpoint.Redacted(), why)
	}
	if had || p.Runner == nil {
		return nil
	}
	return r.useRunner(ctx)
}

// claude is Claude Code as the scenario wants it.
func (r *runner) claude() agents.Agent {
	path := r.plan.Claude
	if path == "" && r.toolchain.Dir != "" {
		path = r.toolchain.Claude() // else the runner's own, by its name
	}
	s := r.plan.Run.Benchmark.Agent
	c := agents.ClaudeCode{
		Path:            path,
		Tools:           s.Tools,
		Env:             s.Env,
		MaxOutputTokens: agents.OutputTokens(r.pod.MaxModelLen),
	}
	r.settings = c.Settings()
	return c
}

// begin makes the run's folder, with the composed configuration in it.
func (r *runner) begin() error {
	if r.resumed {
		return r.goOn()
	}
	r.place = r.plan.own()
	err := r.place.Create(time.Now())
	if c, ok := r.local.(*container.Runner); ok {
		c.Run = r.place.RunID
	}
	if err == nil {
		r.lock, err = r.place.Lock()
	}
	if err == nil {
		err = r.compose()
	}
	if err != nil {
		return err
	}
	r.report = r.newReport()
	r.report.Continue(r.session())
	return nil
}

// compose writes the composed configuration into the run's folder.
func (r *runner) compose() error {
	composed, err := r.plan.Run.YAML()
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.place.Composed(), composed, 0o644); err != nil {
		return fmt.Errorf("composed configuration: %w", err)
	}
	return nil
}

// save writes the report as it stands, so that a level is on disk when it ends.
func (r *runner) save(l report.Level) error {
	r.timeline()
	r.display.Note("N=%d: %s", l.Devs, l.Verdict)
	return r.report.Write(r.place.Report())
}

// timeline brings the report's billed time up to date.
func (r *runner) timeline() {
	if len(r.report.Sessions) == 0 {
		return // nothing was begun
	}
	session := &r.report.Sessions[len(r.report.Sessions)-1]
	session.Timeline = nil
	for _, s := range r.pod.Meter.Steps() {
		r.report.AddStep(s.Label, s.Elapsed)
	}
}

// truncate marks a run that did not come to its end.
func (r *runner) truncate(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.report.Truncated, r.report.TruncatedReason = "", "" // a resumed run's, which has all now
	case ctx.Err() != nil:
		r.report.Truncated, r.report.TruncatedReason = report.TruncatedInterrupted, "interrupted: "+context.Cause(ctx).Error()
		r.display.Note("interrupted; what was measured is kept")
	case errors.As(err, new(*pod.CeilingError)):
		r.report.Truncated, r.report.TruncatedReason = report.TruncatedMaxRun, err.Error()
	case errors.As(err, new(*StallError)), errors.Is(err, slo.ErrStalled):
		r.report.Truncated, r.report.TruncatedReason = report.TruncatedStall, err.Error()
	default:
		r.report.Truncated, r.report.TruncatedReason = report.TruncatedError, err.Error()
	}
}

// judgeAll scores the gates of every level that was measured. The pod is gone
// by then: a GPU need not wait for a test runner.
func (r *runner) judgeAll(ctx context.Context) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), gatesTimeout)
		defer cancel()
	}
	var errs []error
	judge := func(l *report.Level, name string) {
		r.display.Note("N=%d: running the gates of %d agents", l.Devs, len(l.Agents))
		if err := r.judge(ctx, l, name); err != nil {
			errs = append(errs, fmt.Errorf("gates of level %s: %w", name, err))
			return
		}
		*l = report.Finish(*l)
		errs = append(errs, r.report.Write(r.place.Report()))
	}
	if b := r.report.Baseline; b != nil && b.Gates == report.GatesPending {
		judge(r.report.Baseline, stepBaseline)
	}
	for i := range r.report.ByDevs {
		l := &r.report.ByDevs[i]
		switch {
		case l.Repeats != nil:
			for k := range l.Repeats.Levels {
				if one := &l.Repeats.Levels[k]; one.Gates == report.GatesPending {
					judge(one, repeatName(l.Devs, k))
				}
			}
			*l = report.Merge(l.Repeats.Levels)
			errs = append(errs, r.report.Write(r.place.Report()))
		case l.Gates == report.GatesPending:
			judge(l, levelName(l.Devs))
		}
	}
	return errors.Join(errs...)
}

// gatesOf turns the scenario's gates into values.
func gatesOf(run *compose.Run) []gates.Gate {
	var list []gates.Gate
	for _, g := range run.Benchmark.Task.Gates {
		list = append(list, gates.Gate{
			ID: g.ID, Description: g.Description, Cmd: g.Cmd, ExpectExit: g.ExpectExit,
			Timeout: time.Duration(g.TimeoutS) * time.Second,
		})
	}
	return list
}

// ExitStatus is the status that a program ends with: 0 for a valid, complete
// run, 1 for a failed, truncated or invalid one, 2 for a refusal.
func ExitStatus(rep *report.Report, err error) int {
	switch {
	case errors.As(err, new(*InputError)):
		return 2
	case err != nil, rep == nil, len(rep.Faults()) > 0:
		return 1
	}
	return 0
}
