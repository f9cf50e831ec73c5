package dail

import (
	"context"
	"errors"
	"net/http"

	"github.com/x/dail/pod"
	"github.com/x/dail/proxy"
	"github.com/x/dail/proxy/litellm"
	"github.com/x/dail/trace"
)

// LiteLLM is what a run may ask of its LiteLLM. The zero value asks the run's
// own server, through dail's Destream gateway.
type LiteLLM struct {
	// Program is the one to start; nil is the pinned one, which is installed
	// where it is missing.
	Program *litellm.Program
	// Model is the model that LiteLLM asks for, such as hosted_vllm/NAME
	// (LITELLM_UPSTREAM_MODEL).
	Model string
	// Base is the address of another server, with /v1 (VLLM_BASE), and Key what
	// it wants to be shown (LITELLM_UPSTREAM_KEY). With a Base, requests do not
	// pass through dail's Destream gateway: nothing is repaired, and what this
	// run's own server says of itself is not what the agents used.
	Base string
	Key  pod.Secret
}

// litellmPath is LiteLLM, and the gateway between it and the engine.
type litellmPath struct {
	program *litellm.LiteLLM
	behind  *listener // nil where LiteLLM asks another server
	cancel  context.CancelFunc
	watched chan struct{}
}

// gatewayEnd is why the gateway ended in the middle of a run.
type gatewayEnd struct{ error }

func (e *gatewayEnd) Unwrap() error { return e.error }

// openLiteLLM starts LiteLLM and what stands behind it. The context ends with
// it.
func (g *gateway) openLiteLLM(ctx context.Context, r *runner, engine proxy.Config) (http.Handler, context.Context, error) {
	cfg := litellm.Config{
		Program: r.litellm,
		Base:    r.plan.LiteLLM.Base,
		Key:     string(r.plan.LiteLLM.Key),
		Model:   r.plan.LiteLLM.Model,
		Dir:     r.place.GatewayDir(),
	}
	if cfg.Model == "" {
		cfg.Model = "hosted_vllm/" + engine.Model
	}
	path := &litellmPath{cancel: func() {}, watched: make(chan struct{})}
	g.litellm = path
	if cfg.Base == "" {
		// The one caller of this listener is LiteLLM; the same machine runs
		// agents, who must not find a way around the gateway in front.
		var inner proxy.Tokens
		cfg.Key = inner.Issue(proxy.Caller{Agent: -1})
		engine.Identify, engine.Trace = inner.Lookup, g.recordBehind
		var err error
		if path.behind, err = listen(ctx, proxy.NewDestream(engine)); err != nil {
			close(path.watched)
			return nil, nil, err
		}
		cfg.Base = path.behind.url.String() + "/v1"
	} else {
		r.display.Note("LiteLLM asks %s (VLLM_BASE), not this run's server: the server's own figures do not belong to these agents", cfg.Base)
	}
	r.display.Note("starting LiteLLM %s", cfg.Program.Version)
	program, err := litellm.Start(ctx, cfg)
	if err != nil {
		close(path.watched)
		return nil, nil, err
	}
	path.program = program
	ctx, cancel := context.WithCancelCause(ctx)
	path.cancel = func() { cancel(nil) }
	go func() {
		defer close(path.watched)
		select {
		case <-program.Done():
			cancel(&gatewayEnd{program.Err()})
		case <-ctx.Done():
		}
	}()
	return proxy.NewFront(proxy.Config{
		Upstream:    program.URL,
		Header:      program.Header(),
		MaxModelLen: engine.MaxModelLen,
		Identify:    g.tokens.Lookup,
		Trace:       g.record,
	}), ctx, nil
}

// recordBehind takes what the gateway behind LiteLLM saw. A request has the same
// id there, so what was mended joins the record of the agent's own request.
func (g *gateway) recordBehind(r trace.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(r.Repairs) > 0 {
		g.repairs[r.ID] = r.Repairs
	}
	g.writer.Write(r)
}

func (p *litellmPath) close() error {
	p.cancel()
	<-p.watched
	var errs []error
	if p.program != nil {
		errs = append(errs, p.program.Close())
	}
	if p.behind != nil {
		errs = append(errs, p.behind.close())
	}
	return errors.Join(errs...)
}
