// Package pod gets a place that serves a composed model, and gives it back
// whatever happens.
//
// A [Provider] knows the calls of one source of machines: [RunPod] rents them,
// [SSHHost] is a box of your own, [Simulated] runs dail's own engine in this
// process, [Endpoint] uses a server that already runs. [Up] gets a machine,
// starts vLLM on it and waits until it answers as the model that was asked
// for; what comes back is a [Pod], which keeps the bill: every second from the
// call that created the machine until [Pod.Down] has confirmed its end belongs
// to a step of its timeline.
//
//	func main() {
//		pod.Main() // before all else: the watchdog is this program too
//		…
//		p, err := pod.Up(ctx, &pod.RunPod{Key: key}, run, pod.Options{KeyPath: "~/.ssh/id_ed25519"})
//		if err != nil { … }
//		defer p.Down(context.WithoutCancel(ctx))
//		ctx, stop := p.Bind(ctx) // ends when the pod is lost, or its ceiling reached
//		defer stop()
//		// … p.Endpoint serves run.Serving.ServedModelName …
//	}
//
// # Why a machine is not forgotten
//
// A machine that outlives its program is guarded four times over, and no guard
// relies on another: Up and Down end it on every way out of a program that
// still runs, on a context of their own, and confirm it by asking; a watchdog,
// a process of its own, ends it when the program is gone without having done
// so (SIGKILL, a crash, power that came back); a switch inside the machine
// ends it when nobody has been heard of for four minutes, or at an absolute
// deadline; and [Reap] ends, at the next start or by hand, what carries our
// name and our [Marker] and nobody answers for. The intent to create is on disk
// before the request leaves, and a create whose answer is unclear is looked
// for by its unique name.
package pod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/remote"
)

// Options shapes Up. The zero value is useful where nothing is paid for.
type Options struct {
	// KeyPath is the private SSH key, without a passphrase, for machines that
	// are logged in to.
	KeyPath string
	// HFToken, where there is one, reaches vLLM over the SSH channel, so that
	// weights are downloaded as its owner.
	HFToken Secret
	// MaxUSDPerHour refuses machines above this price, all GPUs together; 0 is
	// the hardware file's max_usd_per_hour.
	MaxUSDPerHour float64
	// MaxUSD ends the run when it has cost this much; 0 is no such ceiling.
	MaxUSD float64
	// Keep leaves the machine running for this long after Down. A program that
	// dies before does not keep it.
	Keep time.Duration
	// RunID names the run in markers and in the ledger; empty is one made up.
	RunID  string
	Limits Limits
	// State is the folder of the ledger; empty is [StateDir].
	State string
	// Client asks the server; nil is http.DefaultClient.
	Client *http.Client
	Clock  Clock
	// Progress is told each step; nil is silence.
	Progress func(step string)
}

// Pod is a server that is ready, and its bill.
type Pod struct {
	// Endpoint is the base URL of the OpenAI API, without /v1.
	Endpoint *url.URL
	// Provider is the provider's name.
	Provider string
	// Version is what the server calls itself.
	Version string
	// Simulated is the server's own word for it (DESIGN.md, decision 2): true
	// whenever dail's engine answered, whatever the provider is called.
	Simulated bool
	// MaxModelLen is the context the server really has, in tokens.
	MaxModelLen int
	// USDPerHour is what the whole machine costs, and PriceSource who says so.
	USDPerHour  float64
	PriceSource string
	// Meter is the pod's timeline.
	Meter *Meter

	provider Provider
	about    About
	opts     Options
	limits   Limits
	clk      clock.Clock
	guard    *guard
	spec     Spec
	machine  Machine
	link     *remote.Link
	ground   ground
	pins     *remote.Pins
	tunnel   *remote.Tunnel
	behind   *background
	kept     time.Time // until when it stays after Down; zero: it does not
	down     bool
}

// Labels of the timeline's steps that a pod itself marks.
const (
	StepCreate   = "create→ready"
	StepStartup  = "vLLM startup"
	StepShutdown = "shutdown"
)

// Up gets a machine and waits until it serves the run's model. When it returns
// an error, nothing that it started is left; a *[Refusal] means that nothing
// was created at all, a *[StartError] that a machine was, and is billed.
func Up(ctx context.Context, p Provider, run *compose.Run, opts Options) (*Pod, error) {
	l, err := newLife(p, run, opts)
	if err != nil {
		return nil, &Refusal{fmt.Errorf("provider %s: %w", p.About().Name, err)}
	}
	up, err := l.up(ctx)
	if err != nil {
		err = fmt.Errorf("provider %s: %w", l.about.Name, err)
		if steps := l.meter.Steps(); len(steps) > 0 {
			err = &StartError{Err: err, Steps: steps, USDPerHour: l.usdPerHour}
		}
		return nil, err
	}
	return up, nil
}

// StartError is a start that failed when a machine had been made. It is given
// back, and what it was there for is billed.
type StartError struct {
	Err        error
	Steps      []Step
	USDPerHour float64 // of the last machine; USD an hour, all GPUs
}

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

func newLife(p Provider, run *compose.Run, opts Options) (*life, error) {
	l := &life{
		provider: p,
		about:    p.About(),
		run:      run,
		limits:   opts.Limits.withDefaults(),
		money:    ceilingsOf(opts, run),
		clk:      clock.Or(opts.Clock),
		say:      opts.Progress,
	}
	l.meter = NewMeter(l.clk.Now)
	if l.say == nil {
		l.say = func(string) {}
	}
	if l.about.Outlives {
		var err error
		if opts.State, err = stateDir(opts.State); err != nil {
			return nil, err
		}
		if l.key, err = remote.LoadKey(opts.KeyPath); err != nil {
			return nil, err
		}
	}
	if opts.RunID == "" {
		opts.RunID = l.clk.Now().UTC().Format("20060102-150405")
	}
	l.opts = opts
	return l, nil
}

// pod is a machine that is about to be created.
func (l *life) pod(spec Spec) *Pod {
	return &Pod{
		Provider: l.about.Name, USDPerHour: spec.Offer.USDPerHour, PriceSource: spec.Offer.PriceSource, Meter: l.meter,
		provider: l.provider, about: l.about, opts: l.opts, limits: l.limits, clk: l.clk, guard: l.guard,
		spec: spec, behind: newBackground(),
	}
}

// ID is the provider's name of the machine, by which its bill can be found.
func (p *Pod) ID() string { return p.machine.ID }

// Run executes a shell command on the machine, where it is one that is logged
// in to, and returns what it printed.
func (p *Pod) Run(ctx context.Context, command string) ([]byte, error) {
	if p.link == nil {
		return nil, fmt.Errorf("provider %s: the machine is not one to log in to", p.Provider)
	}
	return p.ground.Run(ctx, command, nil)
}

// pin is the name under which the machine's host key is remembered.
func (p *Pod) pin() string { return cmp.Or(p.machine.Pin, p.machine.ID) }

// Down gives the pod back and stops its meter, once that is confirmed. After
// an error it may be called again. The caller passes a context of its own, so
// that a cancelled run still gives its pod back. With Options.Keep the pod
// stays, its watchdog and its switch with it ([Pod.Kept]).
func (p *Pod) Down(ctx context.Context) error {
	if p.down {
		return nil
	}
	if p.opts.Keep > 0 && p.link != nil && p.keep(ctx) == nil {
		p.Meter.Stop()
		p.leave()
	} else if err := p.end(ctx); err != nil {
		return fmt.Errorf("provider %s: giving the pod back: %w", p.Provider, err)
	}
	p.down = true
	p.guard.close()
	return nil
}

// keep tells those who guard the machine to leave it alone for a while. One
// that cannot be told would be ended in a few minutes by its switch anyway, so
// an error is no harm: the machine is then given back.
func (p *Pod) keep(ctx context.Context) error {
	bounded, cancel := p.clk.WithTimeout(ctx, beatEvery, nil)
	defer cancel()
	kept := p.spec
	kept.Marker.Keep = p.clk.Now().Add(p.opts.Keep)
	kept.Marker.Deadline = kept.Marker.Keep
	if _, err := p.ground.Run(bounded, switchOf(p.about, p.clk, kept, kept.Marker.Keep).Arm(), nil); err != nil {
		return err
	}
	if err := p.guard.keep(kept); err != nil {
		return err
	}
	p.kept = kept.Marker.Keep
	return nil
}

// Kept returns until when the machine stays after Down, and how to log in to
// it; ok is false where it was given back.
func (p *Pod) Kept() (until time.Time, login string, ok bool) {
	if p.kept.IsZero() || p.machine.SSH == nil {
		return time.Time{}, "", false
	}
	a := p.machine.SSH
	return p.kept, fmt.Sprintf("ssh -p %d %s@%s", a.Port, a.User, a.Host), true
}

// leave closes what this process has open to the machine.
func (p *Pod) leave() {
	p.behind.stop()
	if p.tunnel != nil {
		p.tunnel.Close()
	}
	if p.link != nil {
		p.link.Close()
	}
}

// end ends the machine, and stops the meter when that is confirmed.
func (p *Pod) end(ctx context.Context) error {
	p.Meter.Mark(StepShutdown)
	if p.about.Borrowed {
		p.leave()
		p.Meter.Stop()
		return nil
	}
	bounded, cancel := p.clk.WithTimeout(ctx, p.limits.Terminate, errTerminate)
	defer cancel()
	err := errors.Join(p.guard.state(p.spec.Name, stateTerminating), end(bounded, p.provider, p.clk, p.machine.ID, p.spec.Name))
	p.leave()
	if err != nil {
		return err
	}
	p.Meter.Stop()
	if p.pins != nil && !p.about.Stays {
		// Nobody will ever log in to it again. A pin that stays does no harm.
		_ = p.pins.Forget(p.pin())
	}
	return p.guard.forget(p.spec.Name)
}

var errTerminate = errors.New("giving the machine back took too long; the watchdog goes on trying")
