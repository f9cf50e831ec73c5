package pathtable

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/x/dail/slo"
)

// These probes ask a real engine, which says what it likes: they look only at
// what every engine must do.

// plain is a request without tools, so that a small model answers it.
func (s *Stand) plain(prompt string, maxTokens int) string {
	return fmt.Sprintf(`{"model":%s,"max_tokens":%d,"stream":true,"messages":[{"role":"user","content":%s}]}`, quote(s.Model), maxTokens, quote(prompt))
}

func realText(ctx context.Context, s *Stand) Cell {
	deltas := 0
	m, err := s.ask(ctx, s.plain("Count from one to twenty, in words.", 64), func(line string) {
		if strings.Contains(line, `"text_delta"`) {
			deltas++
		}
	})
	if c := broken(m, err); c != nil {
		return *c
	}
	if strings.TrimSpace(m.of("text")+m.of("thinking")) == "" {
		return lost("no text arrives")
	}
	if deltas > 1 {
		return kept("token by token")
	}
	return kept("in one piece")
}

// realUsage asks the same long prompt twice: the second time the engine has it
// in its prefix cache.
func realUsage(ctx context.Context, s *Stand) Cell {
	prompt := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100) + "What jumps?"
	var m *message
	for range 2 {
		var err error
		m, err = s.ask(ctx, s.plain(prompt, 8), nil)
		if c := broken(m, err); c != nil {
			return *c
		}
	}
	switch total := m.usage.Input + m.usage.CacheRead; {
	case total < 500 || m.usage.Output < 1 || m.usage.Output > 8:
		return lost("%+v for a prompt of about 1,000 tokens and an answer of at most 8", m.usage)
	case m.usage.CacheRead == 0:
		return partly("real numbers, without the cached tokens")
	}
	return kept("")
}

// realPrefix asks with one billing line until the engine has the prompt in its
// cache, and then with another: the prompt that follows the line is long.
func realPrefix(ctx context.Context, s *Stand) Cell {
	var m *message
	for _, v := range []string{"abc", "abc", "xyz"} {
		warm := m
		body := strings.Replace(s.plain("Say OK.", 4), `"messages":`,
			`"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.`+v+`; cc_entrypoint=sdk-cli;"},{"type":"text","text":`+
				quote(strings.Repeat("You are a coding agent that reads before it writes. ", 100))+`}],"messages":`, 1)
		var err error
		m, err = s.ask(ctx, body, nil)
		if c := broken(m, err); c != nil {
			return *c
		}
		if v == "xyz" && warm.usage.CacheRead < 500 {
			return Cell{NotProbed, "the engine does not say what it had in its cache"}
		}
	}
	if m.usage.CacheRead < 500 {
		return lost("it stands first in every prompt, so agents share no prefix cache; set CLAUDE_CODE_ATTRIBUTION_HEADER=0")
	}
	return kept("")
}

// realOverflow sends 2 MB of words, more than any context up to 400k tokens.
func realOverflow(ctx context.Context, s *Stand) Cell {
	m, err := s.ask(ctx, s.plain(strings.Repeat("word ", 400_000), 8), nil)
	switch {
	case err != nil:
		return lost("no answer: %v", err)
	case m.status == http.StatusBadRequest && strings.HasPrefix(m.fault, "prompt is too long: "):
		return kept("in Anthropic's words")
	case m.status == http.StatusBadRequest && strings.Contains(m.fault, "context length"):
		return partly("in vLLM's words: Claude Code 2.1.330 compacts, 2.1.197 gives up")
	}
	return hears(m)
}

var number = regexp.MustCompile(`\d{4,}`)

// hears is what an error says to the client: its first sentence.
func hears(m *message) Cell {
	first, _, _ := strings.Cut(m.fault, ". ")
	// The context's length is this server's, not the path's.
	first = number.ReplaceAllString(first, "N")
	return lost("the client hears %d: %s", m.status, first)
}

// realCancellation leaves in the middle of an answer and looks at the engine's
// own count of requests under way, which is to fall.
func realCancellation(ctx context.Context, s *Stand) Cell {
	if s.Metrics == "" {
		return Cell{NotProbed, "the engine's /metrics is not at hand"}
	}
	before, err := running(ctx, s.Metrics)
	if err != nil {
		return Cell{NotProbed, err.Error()}
	}
	leave, cancel := context.WithCancel(ctx)
	defer cancel()
	under := before
	s.ask(leave, s.plain("Count from one to ten thousand, in words.", 8000), func(line string) {
		if strings.Contains(line, `"text_delta"`) {
			under, err = running(ctx, s.Metrics)
			cancel()
		}
	})
	if err != nil || under <= before {
		return Cell{NotProbed, fmt.Sprintf("the engine was not seen at work: %.0f requests under way, %v", under, err)}
	}
	begin := time.Now()
	for time.Since(begin) < patience {
		if now, err := running(ctx, s.Metrics); err == nil && now <= before {
			return kept("at once")
		}
		time.Sleep(50 * time.Millisecond)
	}
	return lost("%v later the engine still works", patience)
}

// running reads how many requests the engine is at work on.
func running(ctx context.Context, metrics string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metrics, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	snap, err := slo.Parse(res.Body, time.Now())
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, e := range snap.Engines {
		total += e.Running
	}
	return total, nil
}

func realClamp(ctx context.Context, s *Stand) Cell {
	m, err := s.ask(ctx, s.plain("Say OK.", 2_000_000), nil)
	if c := broken(m, err); c != nil {
		return *c
	}
	return kept("")
}

func realCountTokens(ctx context.Context, s *Stand) Cell {
	return s.count(ctx, func(n int) Cell {
		m, err := s.ask(ctx, strings.Replace(s.body(hi), `"max_tokens":8192`, `"max_tokens":4`, 1), nil)
		if c := broken(m, err); c != nil {
			return *c
		}
		if used := m.usage.Input + m.usage.CacheRead; n != used {
			return partly(fmt.Sprintf("%d where the same prompt then uses %d", n, used))
		}
		return kept("")
	})
}
