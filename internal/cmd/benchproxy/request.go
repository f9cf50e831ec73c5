package main

import (
	"bytes"
	"fmt"
	"strings"
)

// minBody is the least that the fixed parts of a request take.
const minBody = 40_000

// nonce stands where each request differs from every other: in the last text
// of the last message, so that all before it is a prefix that two requests
// share, as in a conversation, and none is a re-send of another.
const nonce = "@000000000000000000@"

// A template is a request body with one place that varies.
type template struct {
	body []byte
	at   int // of the nonce
}

func newTemplate(body []byte) template {
	return template{body, bytes.LastIndex(body, []byte(nonce))}
}

// vary writes the nth nonce into a copy of the body.
func (t template) vary(copied []byte, n uint64) {
	copy(copied[t.at:], fmt.Appendf(nil, "@%018d@", n))
}

// bodies are the same request in both APIs: Claude Code's own shape (system
// blocks with the billing line, a dozen tools, a conversation of tool calls and
// results), and what a gateway makes of it.
func bodies(size int) (messages, chat template) {
	fixed := len(messagesBody(0))
	// What is added is written with escapes, so it is approached in steps.
	pad := size - fixed
	for range 8 {
		if off := size - len(messagesBody(pad)); off != 0 {
			pad = max(0, pad+off*9/10)
		}
	}
	return newTemplate(messagesBody(pad)), newTemplate(chatBody(pad))
}

// code is n bytes of what an agent reads all day.
func code(n int) string {
	const line = "func (s *store) get%d(key string) (\"value\", error) {\n\tif v, ok := s.m[key]; ok && v != nil { // <fast> path\n\t\treturn v, nil\n\t}\n\treturn nil, fmt.Errorf(\"get %%q: %%w\", key, errAbsent)\n}\n\n"
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()[:max(n, 0)]
}

// prose is n bytes of instructions.
func prose(n int) string {
	const line = "- Rule %d: when a command fails, read its output before you try again; never guess what a file holds. Use \"Read\" first.\n"
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()[:n]
}

type obj = map[string]any

func toolNames() []string {
	return []string{"Bash", "Read", "Write", "Edit", "Glob", "Grep", "Task", "TodoWrite", "WebFetch", "NotebookEdit", "KillShell", "Skill"}
}

// schema is a tool's parameters, as Claude Code writes them.
func schema(i int) obj {
	properties := obj{
		"command":     obj{"type": "string", "description": "The command to run, with its arguments"},
		"file_path":   obj{"type": "string", "description": "The absolute path of the file"},
		"content":     obj{"type": "string", "description": "What the file shall hold"},
		"timeout":     obj{"type": "number", "minimum": 0, "maximum": 600000},
		"replace_all": obj{"type": "boolean", "default": false},
	}
	properties[fmt.Sprintf("option_%d", i)] = obj{"anyOf": []obj{{"type": "string", "enum": []string{"content", "files", "count"}}, {"type": "null"}}}
	return obj{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": properties,
		"required": []string{"command"}, "additionalProperties": false}
}

// conversation calls its two functions for each turn; pad is shared out among
// the tool results.
func conversation(pad int, assistant func(i int, say, tool string, input obj), user func(i int, result, say string)) {
	const turns = 8
	user(0, "", "<system-reminder>\n"+prose(3000)+"</system-reminder>\nMake the counter's tests pass.")
	for i := 1; i <= turns; i++ {
		assistant(i, fmt.Sprintf("Step %d: I look at the file & its test.", i), toolNames()[i%3],
			obj{"command": fmt.Sprintf("go test ./count -run 'Test%d'", i), "file_path": "/work/count/main.go"})
		say := ""
		if i == turns {
			say = "Go on. " + nonce
		}
		user(i, code(1000+pad/turns), say)
	}
}

// messagesBody is the request in the Messages API.
func messagesBody(pad int) []byte {
	var messages, tools []obj
	conversation(pad, func(i int, say, tool string, input obj) {
		messages = append(messages, obj{"role": "assistant", "content": []obj{
			{"type": "thinking", "thinking": "The next thing to look at.", "signature": "ZGFpbA=="},
			{"type": "text", "text": say},
			{"type": "tool_use", "id": fmt.Sprintf("toolu_%02d", i), "name": tool, "input": input},
		}})
	}, func(i int, result, say string) {
		var content []obj
		if result != "" {
			content = append(content, obj{"type": "tool_result", "tool_use_id": fmt.Sprintf("toolu_%02d", i), "content": result, "is_error": false})
		}
		if say != "" {
			content = append(content, obj{"type": "text", "text": say, "cache_control": obj{"type": "ephemeral"}})
		}
		messages = append(messages, obj{"role": "user", "content": content})
	})
	for i, name := range toolNames() {
		tools = append(tools, obj{"name": name, "description": name + "\n" + prose(800), "input_schema": schema(i)})
	}
	// Keys in the client's order, since a map would sort them.
	var b bytes.Buffer
	b.WriteString(`{"model":"claude-bench","messages":`)
	b.Write(mustJSON(messages))
	b.WriteString(`,"system":`)
	b.Write(mustJSON([]obj{
		{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=sdk-cli;"},
		{"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude.", "cache_control": obj{"type": "ephemeral"}},
		{"type": "text", "text": prose(14_000), "cache_control": obj{"type": "ephemeral"}},
	}))
	b.WriteString(`,"tools":`)
	b.Write(mustJSON(tools))
	b.WriteString(`,"metadata":{"user_id":"user_0_account__session_0"},"max_tokens":32000,"thinking":{"type":"adaptive"},` +
		`"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"medium"},"stream":true}`)
	return b.Bytes()
}

// chatBody is the same in the chat API, without streaming.
func chatBody(pad int) []byte {
	var tools []obj
	messages := []obj{{"role": "system", "content": "You are Claude Code, Anthropic's official CLI for Claude.\n" + prose(14_000)}}
	conversation(pad, func(i int, say, tool string, input obj) {
		messages = append(messages, obj{"role": "assistant", "content": say, "reasoning": "The next thing to look at.", "reasoning_content": "The next thing to look at.",
			"tool_calls": []obj{{"id": fmt.Sprintf("toolu_%02d", i), "type": "function", "function": obj{"name": tool, "arguments": string(mustJSON(input))}}}})
	}, func(i int, result, say string) {
		if result != "" {
			messages = append(messages, obj{"role": "tool", "tool_call_id": fmt.Sprintf("toolu_%02d", i), "content": result})
		}
		if say != "" {
			messages = append(messages, obj{"role": "user", "content": say})
		}
	})
	for i, name := range toolNames() {
		tools = append(tools, obj{"type": "function", "function": obj{"name": name, "description": name + "\n" + prose(800), "parameters": schema(i)}})
	}
	var b bytes.Buffer
	b.WriteString(`{"model":"` + modelName + `","stream":false,"max_tokens":32000,"tools":`)
	b.Write(mustJSON(tools))
	b.WriteString(`,"messages":`)
	b.Write(mustJSON(messages))
	b.WriteString(`}`)
	return b.Bytes()
}

// streaming is a chat body that asks for a stream with its usage.
func streaming(t template) template {
	return newTemplate(bytes.Replace(t.body, []byte(`"stream":false`), []byte(`"stream":true,"stream_options":{"include_usage":true}`), 1))
}
