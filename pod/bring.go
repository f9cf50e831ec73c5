package pod

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/deadman"
	"github.com/x/dail/internal/remote"
	"github.com/x/dail/internal/vllm"
)

// How often a machine that is coming up is asked for, at first and later. A
// provider allows about a call a second for the whole account.
const (
	pollFirst = 5 * time.Second
	pollLater = 10 * time.Second
)

// The switch inside a machine ends it after this much silence, looking every
// tick. The heartbeat must come several times in between.
const (
	switchSilence = 4 * time.Minute
	switchTick    = 10 * time.Second
	beatEvery     = 30 * time.Second
)

// Causes of phases that took too long.
var (
	errNoEndpoint  = errors.New("the machine published no address for SSH in time")
	errUnreachable = errors.New("nobody could log in to the machine in time")
	errStartup     = errors.New("the start of vLLM took too long (MAX_STARTUP)")
	errStalled     = errors.New("the start of vLLM showed no progress (STALL_STARTUP)")
	errNotReady    = errors.New("the server did not become ready in time")
)

// bring takes a created machine to the point where it serves the run's model.
func (l *life) bring(ctx context.Context, p *Pod) error {
	defer func() {
		if v := recover(); v != nil { // whoever catches it knows nothing of the machine
			_ = p.end(context.WithoutCancel(ctx))
			panic(v)
		}
	}()
	if ctx.Err() != nil {
		return context.Cause(ctx) // the caller gave up while the machine was made
	}
	if p.machine.URL != nil {
		p.Endpoint = p.machine.URL
		l.meter.Mark(StepStartup)
	} else {
		if err := l.reach(ctx, p); err != nil {
			return err
		}
		l.meter.Mark(StepStartup)
		if err := l.serve(ctx, p); err != nil {
			return err
		}
	}
	l.say("waiting for the server at " + p.Endpoint.Redacted())
	ready, cancel := l.clk.WithTimeout(ctx, l.limits.MaxStartup, errNotReady)
	defer cancel()
	facts, err := awaitReady(ready, l.clk, l.opts.Client, p.Endpoint, l.run.Serving.ServedModelName)
	if err != nil {
		return fmt.Errorf("server at %s: %w", p.Endpoint.Redacted(), err)
	}
	p.Version, p.Simulated, p.MaxModelLen = facts.version, facts.simulated, facts.maxModelLen
	p.watch(l)
	return l.guard.state(p.spec.Name, stateServing)
}

// reach waits for the machine's address, logs in, sees that the GPUs are those
// that were asked for, and begins the heartbeat.
func (l *life) reach(ctx context.Context, p *Pod) error {
	if p.machine.SSH == nil {
		l.say("machine " + p.machine.ID + " is created; waiting for its address")
		m, err := l.awaitAddress(ctx, p.machine.ID)
		if err != nil {
			return err
		}
		p.machine = m
	}
	l.say("logging in to " + p.machine.SSH.String())
	pins, err := openPins(l.opts.State)
	if err != nil {
		return err
	}
	p.pins = pins
	p.link = remote.NewLink(context.WithoutCancel(ctx), l.dialer(p, pins))
	reach, cancel := l.clk.WithTimeout(ctx, l.limits.Reachable, errUnreachable)
	defer cancel()
	if _, err := p.link.Conn(reach); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &badDraw{fmt.Errorf("%w: %w", errUnreachable, err)}
	}
	if err := l.settleIn(ctx, p); err != nil {
		return &badDraw{err}
	}
	gpus, err := vllm.GPUs(ctx, p.ground)
	if err != nil {
		return &badDraw{err}
	}
	hw := l.run.Hardware
	memory := 0.0
	if hw.GPU != nil {
		memory = hw.GPU.MemoryGB
	}
	if err := vllm.CheckGPUs(gpus, hw.GPUTypeIDs, l.run.GPUs, memory); err != nil {
		return &badDraw{err}
	}
	return nil
}

// settleIn finds out where on the machine we work, arms the switch, and begins
// the heartbeat that holds it.
func (l *life) settleIn(ctx context.Context, p *Pod) error {
	p.ground = ground{p.link, p.machine.Root}
	if p.ground.root == "" {
		root, err := p.link.Run(ctx, `printf %s "${DAIL_ROOT:-`+defaultRoot+`}"`, nil)
		if err != nil {
			return fmt.Errorf("first command on the machine: %w", err)
		}
		p.ground.root = string(root)
	}
	if l.about.EndSelf == "" {
		return nil
	}
	if _, err := p.ground.Run(ctx, l.deadman(p.spec).Arm(), nil); err != nil {
		return fmt.Errorf("arming the switch inside the machine: %w", err)
	}
	p.beat(l)
	return nil
}

// awaitAddress asks for the machine until it publishes where SSH listens.
// RUNNING alone says nothing: it was seen without any address.
func (l *life) awaitAddress(ctx context.Context, id string) (Machine, error) {
	began := l.clk.Now()
	wait, cancel := l.clk.WithTimeout(ctx, l.limits.Endpoint, errNoEndpoint)
	defer cancel()
	every := pollFirst
	for {
		m, err := l.provider.Get(wait, id)
		switch {
		case err == nil && (m.State == Failed || m.State == Gone):
			return m, &badDraw{fmt.Errorf("machine %s ended by itself: the provider calls it %s", id, m.Status)}
		case err == nil && m.SSH != nil:
			return m, nil
		case errors.Is(err, ErrNotFound) && l.clk.Now().Sub(began) > time.Minute:
			// Younger ones are not yet known to every part of the provider.
			return m, &badDraw{err}
		case errors.Is(err, ErrUnauthorized):
			return m, err
		}
		if serr := l.clk.Sleep(wait, every); serr != nil {
			if ctx.Err() != nil {
				return m, errors.Join(context.Cause(ctx), err)
			}
			return m, &badDraw{errors.Join(fmt.Errorf("%w (%v); it is %s", errNoEndpoint, l.limits.Endpoint, m.Status), err)}
		}
		every = min(every+time.Second, pollLater)
	}
}

// openPins opens the host keys of machines, which lie beside the ledger.
func openPins(state string) (*remote.Pins, error) {
	return remote.OpenPins(filepath.Join(state, "pins"))
}

// dialer tells the link where the machine is now: its port may change when the
// provider restarts the container.
func (l *life) dialer(p *Pod, pins *remote.Pins) func(context.Context) (remote.Config, error) {
	first := true
	var mu sync.Mutex
	return func(ctx context.Context) (remote.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if !first {
			m, err := l.provider.Get(ctx, p.machine.ID)
			if err != nil {
				return remote.Config{}, err
			}
			if m.SSH != nil {
				p.machine.SSH = m.SSH
			}
		}
		first = false
		return remote.Config{
			Address: remote.Address(*p.machine.SSH),
			Key:     l.key,
			HostKey: pins.Callback(p.pin()),
			Clock:   l.clk,
		}, nil
	}
}

// deadman is the switch that ends the machine from the inside. It keeps nothing:
// that is decided when the run is over.
func (l *life) deadman(s Spec) deadman.Switch { return switchOf(l.about, l.clk, s, time.Time{}) }

// switchOf turns a clock's times into those that the machine goes by.
func switchOf(about About, clk clock.Clock, s Spec, keep time.Time) deadman.Switch {
	real := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return time.Now().Add(clk.Real(t.Sub(clk.Now())))
	}
	return deadman.Switch{
		Silence:   clk.Real(switchSilence),
		Tick:      clk.Real(switchTick),
		Deadline:  real(s.Marker.Deadline),
		KeepUntil: real(keep),
		Ending:    "DAIL_NAME=" + remote.Quote(s.Name) + "\n" + about.EndSelf,
		Stays:     about.Stays,
	}
}

// serve starts vLLM and opens a tunnel to it.
func (l *life) serve(ctx context.Context, p *Pod) error {
	composed, err := l.run.YAML()
	if err != nil {
		return err
	}
	s := l.run.Serving
	recipe := vllm.Recipe{
		Args: keepWeights(l.run.VLLMArgs(), p.spec.Offer.Weights), Version: s.VLLMVersion, Port: s.Port, Env: s.Env,
		PipConstraints: s.PipConstraints, PipExtraIndexURL: s.PipExtraIndexURL, Composed: composed,
	}
	if l.opts.HFToken != "" {
		recipe.Secrets = map[string]string{"HF_TOKEN": l.opts.HFToken.Reveal()}
	}
	l.say("starting vLLM " + s.VLLMVersion)
	start, cancel := l.clk.WithTimeout(ctx, l.limits.MaxStartup, errStartup)
	defer cancel()
	if err := vllm.Launch(start, p.ground, recipe); err != nil {
		return fmt.Errorf("starting vLLM: %w", err)
	}
	moving, progress, stop := stall(start, l.clk, l.limits.StallStartup, errStalled)
	defer stop()
	port, err := vllm.Watch(moving, p.ground, l.clk, func(e vllm.Event) {
		progress()
		if e.Text != "" {
			l.say(e.Text)
		}
	})
	if err != nil {
		return err
	}
	p.tunnel, err = p.link.Tunnel(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), l.clk)
	if err != nil {
		return fmt.Errorf("tunnel to vLLM: %w", err)
	}
	p.Endpoint = &url.URL{Scheme: "http", Host: p.tunnel.Addr()}
	return nil
}

// stall is a context that ends when progress was not called for limit.
func stall(ctx context.Context, clk clock.Clock, limit time.Duration, cause error) (moving context.Context, progress, stop func()) {
	moving, cancel := context.WithCancelCause(ctx)
	var last atomic.Int64
	progress = func() { last.Store(clk.Now().UnixNano()) }
	progress()
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			left := limit - clk.Now().Sub(time.Unix(0, last.Load()))
			if left <= 0 {
				cancel(cause)
				return
			}
			if clk.Sleep(moving, left) != nil {
				return
			}
		}
	})
	return moving, progress, func() { cancel(context.Canceled); loop.Wait() }
}
