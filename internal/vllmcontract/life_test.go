package vllmcontract_test

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// endless is a request that nobody waits for the end of.
var endless = object{"messages": user("Never stop."), "max_tokens": 30_000, "ignore_eos": true}

var lifeTerms = []term{
	{name: "a client that leaves ends its request", test: func(ctx context.Context, s *server) error {
		return left(ctx, s, func(ctx context.Context) reply { return s.chat(ctx, endless) })
	}},
	{name: "a client that leaves a stream ends its request", test: func(ctx context.Context, s *server) error {
		return left(ctx, s, func(ctx context.Context) reply { return s.chat(ctx, endless.with("stream", true)) })
	}},
	{name: "a client that leaves the gateway ends its request", test: func(ctx context.Context, s *server) error {
		return s.messages(func(g *gateway) error {
			return left(ctx, s, func(ctx context.Context) reply {
				return g.post(ctx, "/v1/messages", object{"messages": user("Never stop."), "max_tokens": 30_000})
			})
		})
	}, notOnSim: "what it says without a cassette may end before the client leaves"},
}

// left asks, leaves as soon as the server counts a first token, and waits until
// the server runs nothing. A request that was left is counted nowhere as
// ended, not as aborted either: only its first token and its tokens are counted.
func left(ctx context.Context, s *server, ask func(context.Context) reply) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before, err := s.settled(ctx)
	if err != nil {
		return err
	}
	asked, leave := context.WithCancel(ctx)
	defer leave()
	over := make(chan reply, 1)
	go func() { over <- ask(asked) }()
	const ttft = "vllm:time_to_first_token_seconds"
	running := false
	for {
		p, _, err := s.scrape(ctx)
		if err != nil {
			leave()
			<-over
			return err
		}
		if running = p.value("vllm:num_requests_running") == 1; running && p.observed(ttft) == before.observed(ttft)+1 {
			break
		}
		select {
		case r := <-over:
			return fmt.Errorf("it was answered before it could be left: %v", r)
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			leave()
			<-over
			return fmt.Errorf("the request never ran: %w", context.Cause(ctx))
		}
	}
	leave()
	if r := <-over; !errors.Is(r.err, context.Canceled) {
		return fmt.Errorf("the client that left heard %v", r)
	}
	after, err := s.settled(ctx)
	if err != nil {
		return fmt.Errorf("the server still runs it: %w", err)
	}
	for _, name := range []string{"vllm:request_success_total", "vllm:num_requests_waiting"} {
		if got, want := after.value(name), before.value(name); got != want {
			return fmt.Errorf("%s is %v, was %v", name, got, want)
		}
	}
	for _, name := range []string{"vllm:e2e_request_latency_seconds", "vllm:request_generation_tokens", "vllm:request_params_max_tokens"} {
		if got, want := after.observed(name), before.observed(name); got != want {
			return fmt.Errorf("%s counts %d, was %d", name, got, want)
		}
	}
	if after.value("vllm:generation_tokens_total") <= before.value("vllm:generation_tokens_total") {
		return errors.New("its tokens are not counted")
	}
	return nil
}

// observed is how often a histogram was told something.
func (p page) observed(name string) (n uint64) {
	for _, m := range p[name].GetMetric() {
		n += m.GetHistogram().GetSampleCount()
	}
	return n
}
