package proxy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// checkAnthropicStream reads a stream as the SDKs do, and fails where they
// would: event names, order, indices, one block open at a time, no empty text.
func checkAnthropicStream(t testing.TB, stream string) {
	t.Helper()
	if err := strictStream(stream); err != nil {
		t.Errorf("a strict client refuses the stream: %v\n%s", err, stream)
	}
}

func strictStream(stream string) error {
	var (
		started, ended, deltaSeen bool
		open                      = -1
		next                      int
		kind, text                string
	)
	body, ok := strings.CutSuffix(stream, "\n\n")
	if !ok {
		return fmt.Errorf("the stream does not end with an empty line")
	}
	for _, block := range strings.Split(body, "\n\n") {
		lines := strings.Split(block, "\n")
		if len(lines) != 2 {
			return fmt.Errorf("an event of %d lines: %q", len(lines), block)
		}
		name, okName := strings.CutPrefix(lines[0], "event: ")
		data, okData := strings.CutPrefix(lines[1], "data: ")
		if !okName || !okData {
			return fmt.Errorf("not event and data: %q", block)
		}
		var e struct {
			Type         string
			Index        int
			ContentBlock struct {
				Type string
			} `json:"content_block"`
			Delta struct{ Type, Text string }
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("%q: %w", data, err)
		}
		if e.Type != name {
			return fmt.Errorf("event %s holds type %s", name, e.Type)
		}
		if ended {
			return fmt.Errorf("%s after message_stop", name)
		}
		if name != "ping" && (name == "message_start") == started {
			return fmt.Errorf("%s with started=%v", name, started)
		}
		switch name {
		case "ping":
		case "message_start":
			started = true
		case "content_block_start":
			if open >= 0 || e.Index != next {
				return fmt.Errorf("block %d opened while %d is open and %d is next", e.Index, open, next)
			}
			open, kind, text = e.Index, e.ContentBlock.Type, ""
			next++
		case "content_block_delta":
			if e.Index != open {
				return fmt.Errorf("delta for %d while %d is open", e.Index, open)
			}
			text += e.Delta.Text
		case "content_block_stop":
			if e.Index != open {
				return fmt.Errorf("stop of %d while %d is open", e.Index, open)
			}
			if kind == "text" && strings.TrimSpace(text) == "" {
				return fmt.Errorf("an empty text block")
			}
			open = -1
		case "message_delta":
			if open >= 0 {
				return fmt.Errorf("message_delta while block %d is open", open)
			}
			deltaSeen = true
		case "message_stop":
			if !deltaSeen {
				return fmt.Errorf("message_stop without message_delta")
			}
			ended = true
		default:
			return fmt.Errorf("unknown event %s", name)
		}
	}
	if !ended {
		return fmt.Errorf("no message_stop")
	}
	return nil
}
