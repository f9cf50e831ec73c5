package pathtable

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/x/dail/internal/fakevllm"
)

// patience bounds a wait for something that a path may never do. One that does it
// takes as long as the machine is slow.
const patience = time.Minute

func cancellation(ctx context.Context, s *Stand) Cell {
	reply := fakevllm.Text("never")
	reply.Hold = make(chan struct{})
	s.Engine.Script(func(int, fakevllm.Request) fakevllm.Reply { return reply })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); s.ask(ctx, s.body(hi), nil) }() // it is to fail
	defer func() { cancel(); <-done }()
	select {
	case <-s.Engine.Asked():
	case <-done:
		return lost("the request ends before the engine is asked")
	case <-time.After(patience):
		return lost("the engine was not even asked within %v", patience)
	}
	cancel()
	select {
	case <-s.Engine.Gone():
		return kept("at once")
	case <-time.After(patience):
		return lost("%v later the engine still works", patience)
	}
}

func silence(ctx context.Context, s *Stand) Cell {
	s = s.late()
	reply := fakevllm.Text("late but whole")
	hold := make(chan struct{})
	reply.Hold = hold
	s.Engine.Script(func(int, fakevllm.Request) fakevllm.Reply { return reply })
	// The first bytes may be message_start, which says nothing about the
	// next half hour: what counts is what keeps coming.
	beats, lines, released := 0, 0, false
	due, early := time.Now().Add(patience), false
	release := time.AfterFunc(patience, func() { close(hold) })
	m, err := s.ask(ctx, s.body(hi), func(line string) {
		if lines++; lines == 1 {
			early = !time.Now().After(due)
		}
		if !released && (strings.HasPrefix(line, "event: ping") || strings.HasPrefix(line, ":")) {
			if beats++; beats == 3 && release.Stop() {
				released = true
				close(hold)
			}
		}
	})
	if c := broken(m, err); c != nil {
		return *c
	}
	if m.of("text") != "late but whole" {
		return lost("arrives as %q", m.of("text"))
	}
	switch {
	case beats >= 3:
		return kept("a ping every 10 s, as long as it takes")
	case early:
		return lost("only the stream's beginning comes before the engine is done: Claude Code leaves after 5 minutes and asks again, unless CLAUDE_STREAM_IDLE_TIMEOUT_MS is raised")
	}
	return lost("not even the header comes before the engine is done: Claude Code 2.1.330 waits for it as long as API_TIMEOUT_MS says, 10 minutes unless raised; 2.1.197 leaves after 5")
}

func overflow(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Fault(400, "BadRequestError", "This model's maximum context length is 16384 tokens. However, you requested 25192 tokens (17000 in the messages, 8192 in the completion). Please reduce the length of the messages or completion."), hi)
	switch {
	case err != nil:
		return lost("no answer: %v", err)
	case m.status == 400 && strings.HasPrefix(m.fault, "prompt is too long: 17000 tokens > 16384 maximum"):
		return kept("in Anthropic's words")
	case m.status == 400 && strings.Contains(m.fault, "maximum context length"):
		return partly("in vLLM's words: Claude Code 2.1.330 compacts, 2.1.197 gives up")
	case m.status == 200 && m.fault != "":
		return lost("an error inside a stream with status 200, on which no client compacts: %.60s…", m.fault)
	}
	return hears(m)
}

func clamp(ctx context.Context, s *Stand) Cell {
	s.Engine.Script(func(n int, _ fakevllm.Request) fakevllm.Reply {
		if n == 0 {
			return fakevllm.Fault(400, "BadRequestError", "This model's maximum context length is 16384 tokens. However, you requested 18192 tokens (10000 in the messages, 8192 in the completion). Please reduce the length of the messages or completion.")
		}
		return fakevllm.Text("fits")
	})
	m, err := s.ask(ctx, s.body(hi), nil)
	if c := broken(m, err); c != nil {
		return *c
	}
	if m.of("text") != "fits" || !strings.Contains(s.lastBody(), "6384") {
		return lost("the engine was asked for %.200s", s.lastBody())
	}
	return kept("asked again with the room that the engine's error names")
}

func rateLimit(ctx context.Context, s *Stand) Cell {
	r := fakevllm.Fault(429, "RateLimitError", "slow down")
	r.Header = http.Header{"Retry-After": {"7"}}
	m, err := s.say(ctx, r, hi)
	n := len(s.Engine.Requests())
	switch {
	case err != nil:
		return lost("no answer: %v", err)
	case m.status != 429:
		return hears(m)
	case n > 1:
		return partly(fmt.Sprintf("after %d tries of the gateway's own", n))
	case m.header.Get("Retry-After") != "7":
		return partly("429, without Retry-After: the client waits as long as it likes")
	}
	return kept("")
}

func overloaded(ctx context.Context, s *Stand) Cell {
	m, err := s.say(ctx, fakevllm.Fault(503, "ServiceUnavailable", "the queue is full"), hi)
	n := len(s.Engine.Requests())
	switch {
	case err != nil:
		return lost("no answer: %v", err)
	case m.status == 529 && m.kind == "overloaded_error" && n == 1:
		return kept("")
	case m.status == 503 || m.status == 529:
		return partly(fmt.Sprintf("the client hears %d, without Anthropic's error type; it asks again all the same", m.status))
	}
	return lost("the client hears %d", m.status)
}

func lateError(ctx context.Context, s *Stand) Cell {
	s = s.late()
	r := fakevllm.Fault(500, "InternalServerError", "EngineDeadError")
	hold := make(chan struct{})
	r.Hold = hold
	s.Engine.Script(func(int, fakevllm.Request) fakevllm.Reply { return r })
	// The stream is open as soon as the client has read a line of it.
	release := time.AfterFunc(patience, func() { close(hold) })
	m, err := s.ask(ctx, s.body(hi), func(string) {
		if release.Stop() {
			close(hold)
		}
	})
	switch {
	case err != nil:
		return lost("no answer: %v", err)
	case m.status != http.StatusOK:
		return partly(fmt.Sprintf("as HTTP %d, since not even the header had come before", m.status))
	case m.fault == "" && m.ended:
		return lost("the stream ends as if all were well")
	case m.fault == "":
		return lost("the stream just ends")
	case !strings.Contains(m.fault, "EngineDeadError"):
		return partly("an error event that does not say why")
	}
	return kept("`" + m.kind + "`, with the engine's words")
}
