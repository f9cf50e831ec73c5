package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// chatMessages translates system prompt and conversation.
func (req *messagesRequest) chatMessages() ([]chatMessage, error) {
	var out []chatMessage
	if system := systemText(req.System); len(system) > 0 {
		out = append(out, chatMessage{Role: "system", Content: system})
	}
	var calls []string // ids of the last assistant message's tool calls
	for i, m := range req.Messages {
		switch m.Role {
		case "assistant":
			var msg chatMessage
			msg, calls = assistantMessage(m.Content)
			out = append(out, msg)
		case "user":
			turn, err := userMessages(m.Content, calls)
			if err != nil {
				return nil, fmt.Errorf("messages[%d].content: %w", i, err)
			}
			out = append(out, turn...)
		case "system":
			// Many chat templates refuse a system message that is not the
			// first one. As a user's message in a tag that the model has been
			// trained on, it passes everywhere.
			if text := systemText(m.Content); len(text) > 0 {
				out = append(out, chatMessage{Role: "user", Content: lines([]jsonText{jsonText("<system-reminder>"), text, jsonText("</system-reminder>")})})
			}
		default:
			return nil, fmt.Errorf("messages[%d].role: %q is none of user, assistant, system", i, m.Role)
		}
	}
	return out, nil
}

// assistantMessage translates what the model said. It also returns the ids of
// its tool calls.
func assistantMessage(list []inBlock) (chatMessage, []string) {
	msg := chatMessage{Role: "assistant"}
	var text, thinking []jsonText
	var ids []string
	for _, b := range list {
		switch b.Type {
		case "text":
			text = append(text, b.Text)
		case "thinking":
			thinking = append(thinking, b.Thinking)
		case "tool_use":
			call := chatToolCall{ID: b.ID, Type: "function"}
			call.Function.Name = b.Name
			call.Function.Arguments = inputText(b.Input)
			msg.ToolCalls = append(msg.ToolCalls, call)
			ids = append(ids, b.ID)
		}
		// Others (redacted_thinking, server tools) hold nothing that this
		// model could read.
	}
	msg.Reasoning = join(thinking, "")
	if content := join(text, ""); len(content) > 0 || len(ids) == 0 {
		msg.Content = content
	}
	return msg, ids
}

// inputText is a tool_use's input as the chat API's arguments.
func inputText(raw json.RawMessage) string {
	if isNull(raw) {
		return "{}"
	}
	return string(raw)
}

// userMessages translates a user's turn: first a tool message for each tool
// result, since the chat API wants them right behind the calls, then what else
// the user said, with the images of the results.
//
// Claude Code sends the results of parallel calls in the order in which they
// ended. They are put into the order of the calls, because templates such as
// Qwen's render no ids, and the model has only the order to go by.
func userMessages(list []inBlock, calls []string) ([]chatMessage, error) {
	var results []chatMessage
	var rest []chatPart
	for _, b := range list {
		if b.Type != "tool_result" {
			rest = appendPart(rest, b)
			continue
		}
		inner, err := b.blocks()
		if err != nil {
			return nil, fmt.Errorf("tool_result %s: %w", b.ToolUseID, err)
		}
		var text []jsonText
		for _, p := range appendParts(nil, inner) {
			if p.ImageURL != nil {
				rest = append(rest, p)
			} else {
				text = append(text, p.Text)
			}
		}
		results = append(results, chatMessage{
			Role:       "tool",
			ToolCallID: b.ToolUseID,
			Content:    resultText(lines(text), b.IsError),
		})
	}
	rank := func(m chatMessage) int {
		if i := slices.Index(calls, m.ToolCallID); i >= 0 {
			return i
		}
		return len(calls)
	}
	slices.SortStableFunc(results, func(a, b chatMessage) int { return rank(a) - rank(b) })
	if len(rest) > 0 || len(results) == 0 {
		results = append(results, chatMessage{Role: "user", Content: partsContent(rest)})
	}
	return results, nil
}

// resultText marks a failed tool's text where it does not say so itself: the
// chat API has no flag for it.
func resultText(text jsonText, isError bool) jsonText {
	if !isError || bytes.HasPrefix(text, []byte("Exit code ")) || bytes.HasPrefix(text, []byte("Error")) || bytes.Contains(text, []byte("<tool_use_error>")) {
		return text
	}
	return append(jsonText("Error: "), text...)
}

func appendParts(parts []chatPart, list []inBlock) []chatPart {
	for _, b := range list {
		parts = appendPart(parts, b)
	}
	return parts
}

// appendPart adds what a content block says. A block of an unknown type that
// has no text adds nothing: a new client must not fail on an old gateway.
func appendPart(parts []chatPart, b inBlock) []chatPart {
	text := b.Text
	switch b.Type {
	case "image":
		if u := b.Source.dataURL(); len(u) > 0 {
			return append(parts, chatPart{ImageURL: u})
		}
	case "document":
		text = documentText(b)
	case "tool_reference":
		text = b.ToolName
	}
	if len(text) == 0 {
		return parts
	}
	return append(parts, chatPart{Text: text})
}

func (s *inSource) dataURL() jsonText {
	switch {
	case s == nil:
		return nil
	case s.Type == "base64" && len(s.Data) > 0:
		return append(newText("data:"+s.MediaType+";base64,"), s.Data...)
	}
	return s.URL
}

// documentText is a document that is plain text, or a note that one is
// missing: the chat API takes no PDF.
func documentText(b inBlock) jsonText {
	if b.Source == nil {
		return nil
	}
	if b.Source.Type == "text" {
		return b.Source.Data
	}
	name := b.Title
	if name == "" {
		name = "a document"
	}
	return newText("[" + name + " (" + b.Source.MediaType + ") was left out: this model reads text and images only]")
}

// partsContent is the content of a user's message: one string where all parts
// are text, or the parts.
func partsContent(parts []chatPart) any {
	var text []jsonText
	for _, p := range parts {
		if p.ImageURL != nil {
			return parts
		}
		text = append(text, p.Text)
	}
	return lines(text)
}
