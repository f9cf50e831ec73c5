package agents

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Fleet is N agents that do the same phases at once, each in a place of its
// own. Agent, Runner, Dir, Phases and BaseURL must be set.
type Fleet struct {
	// N is the number of agents.
	N int
	// Agent is what each of them is.
	Agent Agent
	// Runner is where they work.
	Runner Runner
	// Dir is the folder on this machine that takes their work:
	// agent<i>/workspace and agent<i>/phases/<id>.jsonl. It is made.
	Dir string
	// Name names the fleet in messages and labels, e.g. "n4".
	Name string
	// Phases are run in this order.
	Phases []Phase
	// Seed holds the files that every workspace starts with; nil for none.
	Seed fs.FS
	// BaseURL is the model's gateway, as this machine reaches it.
	BaseURL string
	// Model is the model's name, as the gateway knows it.
	Model string
	// Token gives the gateway's token for an agent's phase. Nil: no token.
	Token func(agent int, phase string) string
	// Observe is told what happens, as it happens; nil for nobody. It is
	// called by one goroutine at a time, and the agents wait for it.
	Observe func(Event)
	// Enough keeps N agents at work. While it is open, an agent that has done its
	// phases does them again, in a fresh workspace; when it is closed, what is
	// under way of such a later round is ended. Every agent does its first round
	// to the end. A later round's workspace is removed when it ends, unless it
	// failed; its transcripts stay. Nil: one round.
	Enough <-chan struct{}
	// Linger is how long an agent may take to exit after its result before it
	// is made to. 0: 10 seconds.
	Linger time.Duration
	// MaxTranscript bounds a phase's transcript, in bytes; a phase that exceeds it
	// fails. A client writes some megabytes, but what an agent has started can
	// write to the client's own output, as fast as the disk takes it. 0: 256 MiB.
	MaxTranscript int
}

// run is one run of a fleet.
type run struct {
	Fleet
	mu sync.Mutex // serves Observe
}

const (
	defaultLinger        = 10 * time.Second
	defaultMaxTranscript = 256 << 20
)

// Why an agent was stopped.
var (
	errEnough   = errors.New("enough was measured")
	errLingered = errors.New("it did not exit after its result")
	errTimeout  = errors.New("its time was up")
)

// phaseID is what a phase may be called: it becomes a file's name.
var phaseID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// check reports what keeps the fleet from starting.
func (f Fleet) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("agents: fleet: "+format, args...)) }
	if f.N < 1 {
		bad("N is %d; it must be at least 1", f.N)
	}
	if f.Agent == nil || f.Runner == nil {
		bad("Agent and Runner must be set")
	}
	if f.Dir == "" {
		bad("Dir must be set")
	}
	if f.BaseURL == "" {
		bad("BaseURL must be set: the address of the gateway")
	}
	if len(f.Phases) == 0 {
		bad("there is no phase to run")
	}
	seen := map[string]bool{}
	for _, p := range f.Phases {
		if !phaseID.MatchString(p.ID) {
			bad("phase id %q: use letters, digits, dots, dashes and underscores, since it names a file", p.ID)
		}
		if seen[p.ID] {
			bad("phase id %q is used twice", p.ID)
		}
		seen[p.ID] = true
	}
	return errors.Join(errs...)
}

// Run starts all agents at once and returns when the last has ended, with one
// result per agent, in order. An agent that fails does not touch its
// neighbours: its result says what happened, and Run's error stays nil.
//
// When ctx is done, everything that the agents started is ended, and Run
// returns what there is, together with ctx's cause. An error without results
// says that nothing was started.
func (f Fleet) Run(ctx context.Context) ([]Result, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.MaxTranscript <= 0 {
		f.MaxTranscript = defaultMaxTranscript
	}
	r := &run{Fleet: f}
	results := make([]Result, f.N)
	again, end := context.WithCancelCause(ctx)
	defer end(nil)
	if f.Enough == nil {
		end(errEnough)
	}
	go func() {
		select {
		case <-f.Enough: // a nil channel: never
			end(errEnough)
		case <-again.Done():
		}
	}()
	// A group without a context: nobody's failure is anybody else's.
	var g errgroup.Group
	for i := range f.N {
		g.Go(func() error {
			results[i] = r.agent(ctx, again, i)
			return nil
		})
	}
	_ = g.Wait() // always nil, see above
	if ctx.Err() != nil {
		return results, fmt.Errorf("agents: stopped: %w", context.Cause(ctx))
	}
	return results, nil
}

// agent runs one agent: its first round, and further ones while there is not
// enough. An agent that got no answer in a round would get none in the next.
func (f *run) agent(ctx, again context.Context, i int) (r Result) {
	f.tell(Event{Time: time.Now(), Agent: i, Kind: AgentStart})
	defer func() { f.tell(Event{Time: time.Now(), Agent: i, Kind: AgentEnd, Detail: r.Reason}) }()
	r = f.round(ctx, i, 0)
	for last := r; again.Err() == nil && last.requests() > 0; r.Later = append(r.Later, last) {
		f.tell(Event{Time: time.Now(), Agent: i, Kind: AgentAgain, Detail: last.Reason})
		last = f.round(again, i, len(r.Later)+1)
	}
	return r
}

// round runs one agent once through its phases.
func (f *run) round(ctx context.Context, i, round int) (r Result) {
	name := fmt.Sprintf("agent%d", i)
	if round > 0 {
		name = fmt.Sprintf("agent%d-again%d", i, round)
	}
	dir, err := filepath.Abs(filepath.Join(f.Dir, name))
	r = Result{Agent: i, Workspace: filepath.Join(dir, "workspace"), Start: time.Now()}
	failed := false // by itself: what is cut off by ctx has not
	defer func() {
		r.End = time.Now()
		r.OK = r.Reason == ""
		if round > 0 && !failed && os.RemoveAll(r.Workspace) == nil {
			// Nobody judges it, and there may be hundreds. What cannot be
			// removed costs disk and no figure.
			r.Workspace = ""
		}
	}()
	if err != nil {
		r.Reason, failed = err.Error(), true
		return r
	}
	place, err := f.Runner.Open(ctx, PlaceSpec{
		Name: f.Name + "-" + name, Workspace: r.Workspace, Seed: f.Seed, Gateway: f.BaseURL,
	})
	if err != nil {
		r.Reason, failed = fmt.Sprintf("no place to work: %v", err), ctx.Err() == nil
		return r
	}
	defer func() {
		// The place is closed also when ctx is done: that is when it matters.
		if err := place.Close(context.WithoutCancel(ctx)); err != nil {
			r.Reason, failed = join(r.Reason, fmt.Sprintf("closing its place: %v", err)), true
		}
	}()

	for _, p := range f.Phases {
		if ctx.Err() != nil {
			r.Reason = join(r.Reason, fmt.Sprintf("stopped before phase %s: %v", p.ID, context.Cause(ctx)))
			return r
		}
		res, fatal := f.phase(ctx, i, filepath.Join(dir, "phases"), place, p)
		r.Phases = append(r.Phases, res)
		if !res.OK {
			r.Reason = join(r.Reason, fmt.Sprintf("phase %s: %s", p.ID, res.Reason))
			failed = failed || ctx.Err() == nil
		}
		if fatal {
			return r
		}
	}
	return r
}

// phase runs one phase and judges it. What cannot even be started is fatal.
func (f *run) phase(ctx context.Context, agent int, dir string, place Place, p Phase) (res PhaseResult, fatal bool) {
	start := time.Now()
	f.tell(Event{Time: start, Agent: agent, Phase: p.ID, Kind: PhaseStart})
	defer func() {
		res.Phase, res.Start, res.End = p.ID, start, time.Now()
		res.WallTime = res.End.Sub(start)
		f.tell(Event{Time: res.End, Agent: agent, Phase: p.ID, Kind: PhaseEnd, Detail: res.Reason, Requests: res.Turns})
	}()
	never := func(err error) (PhaseResult, bool) { return PhaseResult{ExitCode: -1, Reason: err.Error()}, true }

	job := Job{Phase: p, View: place.View(), Model: f.Model}
	if f.Token != nil {
		job.Token = f.Token(agent, p.ID)
	}
	cmd, err := f.Agent.Command(job)
	if err != nil {
		return never(err)
	}
	redact := redactor(cmd.Secret)

	// The folder is made anew each time: agents delete what they can reach.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return never(fmt.Errorf("transcripts: %w", err))
	}
	file, err := os.Create(filepath.Join(dir, p.ID+".jsonl"))
	if err != nil {
		return never(fmt.Errorf("transcript: %w", err))
	}
	defer file.Close() // once more, for the ways out before its error is looked at

	timeout := p.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	clock := time.AfterFunc(timeout, func() { stop(errTimeout) })
	defer clock.Stop()

	linger := time.AfterFunc(timeout+f.linger(), func() { stop(errLingered) })
	defer linger.Stop()

	reader := f.Agent.Reader()
	out := &lines{file: file, redact: redact, max: f.MaxTranscript, flood: stop, read: func(line []byte) {
		now := time.Now()
		was := reader.Done()
		for _, e := range reader.Line(now, line) {
			e.Time, e.Agent, e.Phase = now, agent, p.ID
			f.tell(e)
		}
		if !was && reader.Done() {
			// It may print more, but it has to end soon. Its wall time no
			// longer counts: the work is done.
			clock.Stop()
			linger.Reset(f.linger())
		}
	}}
	stderr := &tail{max: 4096}
	cmd.Stdout, cmd.Stderr = out, stderr
	exit, err := place.Run(ctx, cmd)
	out.close()

	end := End{Exit: exit}
	if exit.Stopped {
		end.Stopped = context.Cause(ctx)
	}
	res, fatal = reader.Result(end)
	res.Env = cmd.Env
	res.StderrTail = string(redact([]byte(stderr.text())))
	if err != nil {
		res.OK, fatal = false, true
		res.Reason = join(res.Reason, string(redact([]byte(err.Error()))))
	}
	if err := errors.Join(out.err, file.Close()); err != nil {
		res.OK, fatal = false, true
		res.Reason = join(res.Reason, fmt.Sprintf("the transcript could not be written: %v", err))
	}
	return res, fatal
}

func (f *run) linger() time.Duration {
	if f.Linger > 0 {
		return f.Linger
	}
	return defaultLinger
}

// tell passes an event on, one at a time.
func (f *run) tell(e Event) {
	if f.Observe == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Observe(e)
}

// join adds a further reason.
func join(reason, more string) string {
	if reason == "" {
		return more
	}
	return reason + "; " + more
}
