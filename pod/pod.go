// Package pod gets a place that serves a composed model, and gives it back.
//
// A [Provider] knows the calls of one source of machines: [Simulated] runs
// dail's own engine in this process, [Endpoint] uses a server that already
// runs. [Up] gets a machine and waits until it answers as the model that was asked for; what
// comes back is a [Pod], which keeps the bill: every second from the first
// call until [Pod.Down] has confirmed the end belongs to a step of its
// timeline.
//
//	p, err := pod.Up(ctx, &pod.Simulated{}, run, pod.Options{})
//	if err != nil { … }
//	defer p.Down(context.WithoutCancel(ctx))
//	p.Meter.Mark("generation")
//	// … p.Endpoint serves run.Serving.ServedModelName …
package pod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/x/dail/compose"
)

// Options shapes Up. The zero value is useful.
type Options struct {
	// Client asks the server; nil is http.DefaultClient.
	Client *http.Client
	// Deadline bounds the wait for readiness; 0 is 15 minutes.
	Deadline time.Duration
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
	// Meter is the pod's timeline.
	Meter *Meter

	provider Provider
	machine  Machine
	down     bool
}

// Labels of the timeline's steps that a pod itself marks.
const (
	StepCreate   = "create→ready"
	StepStartup  = "vLLM startup"
	StepShutdown = "shutdown"
)

// Up gets a machine and waits until it serves the run's model. When it returns
// an error, nothing that it started is left.
func Up(ctx context.Context, p Provider, run *compose.Run, opts Options) (*Pod, error) {
	say := opts.Progress
	if say == nil {
		say = func(string) {}
	}
	if opts.Deadline <= 0 {
		opts.Deadline = 15 * time.Minute
	}
	about := p.About()
	offers, err := p.Offers(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", about.Name, err)
	}
	meter := NewMeter(time.Now)
	meter.Mark(StepCreate)
	say("starting " + about.Name)
	m, err := p.Create(ctx, Spec{Name: NewName(time.Now()), Run: run, Offer: offers[0]})
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", about.Name, err)
	}
	meter.Mark(StepStartup)
	say("waiting for the server at " + m.URL.Redacted())

	ready, cancel := context.WithTimeout(ctx, opts.Deadline)
	defer cancel()
	facts, err := awaitReady(ready, opts.Client, m.URL, run.Serving.ServedModelName)
	if err != nil {
		err = fmt.Errorf("provider %s: server at %s: %w", about.Name, m.URL.Redacted(), err)
		return nil, errors.Join(err, p.Terminate(context.WithoutCancel(ctx), m.ID))
	}
	return &Pod{
		Endpoint:    m.URL,
		Provider:    about.Name,
		Version:     facts.version,
		Simulated:   facts.simulated,
		MaxModelLen: facts.maxModelLen,
		Meter:       meter,
		provider:    p,
		machine:     m,
	}, nil
}

// Down gives the pod back and stops its meter. A second call does nothing.
// The caller passes a context of its own, so that a cancelled run still gives
// its pod back.
func (p *Pod) Down(ctx context.Context) error {
	if p.down {
		return nil
	}
	p.Meter.Mark(StepShutdown)
	if err := p.provider.Terminate(ctx, p.machine.ID); err != nil {
		return fmt.Errorf("provider %s: giving the pod back: %w", p.Provider, err)
	}
	p.down = true
	p.Meter.Stop()
	return nil
}
