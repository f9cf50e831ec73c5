package proxy

import (
	"bytes"
	"encoding/json"
	"strings"
)

// chat translates the request. What a message becomes depends on nothing that
// follows it, so an earlier request of a session is a prefix of a later one.
func (req *messagesRequest) chat(model string) (*chatRequest, error) {
	out := &chatRequest{asked: req.Model, stream: req.Stream, head: chatHead{
		Model:       model,
		MaxTokens:   max(req.MaxTokens, 0),
		Stop:        req.StopSequences,
		Temperature: optional(req.Temperature),
		TopP:        optional(req.TopP),
		TopK:        optional(req.TopK),
	}}
	if model == "" {
		out.head.Model = req.Model
	}
	tools := req.chatTools()
	if len(tools) > 0 {
		out.head.ToolChoice = req.ToolChoice.chat()
		if req.ToolChoice != nil && req.ToolChoice.DisableParallel {
			out.head.ParallelToolCalls = new(bool)
		}
	}
	out.head.ResponseFormat = req.responseFormat()
	messages, err := req.chatMessages()
	if err != nil {
		return nil, err
	}
	out.write(tools, messages, req.size)
	return out, nil
}

func optional(raw json.RawMessage) json.RawMessage {
	if isNull(raw) {
		return nil
	}
	return bytes.Clone(raw)
}

// chatTools translates the tools. A tool without a schema is one that
// Anthropic's own servers run; ours cannot, so the model is not offered it.
// Nor is a deferred one: it is to be shown only once a search has found it,
// and what Claude Code 2.1.330 defers is an empty placeholder.
func (req *messagesRequest) chatTools() []chatTool {
	var out []chatTool
	for _, t := range req.Tools {
		if t.Name == "" || isNull(t.InputSchema) || t.Deferred && !req.refers(t.Name) {
			continue
		}
		out = append(out, chatTool{t.Name, t.Description, objectSchema(t.InputSchema)})
	}
	return out
}

// refers reports whether a tool search has found the tool.
func (req *messagesRequest) refers(tool string) bool {
	for _, m := range req.Messages {
		if bytes.Contains(m.raw, []byte(`"tool_reference"`)) && bytes.Contains(m.raw, compact(tool)) {
			return true
		}
	}
	return false
}

// objectSchema adds the "type":"object" that the chat API wants and the
// Messages API lets a client leave out.
func objectSchema(schema json.RawMessage) json.RawMessage {
	keys := 0
	r := jsonReader{b: schema}
	r.object(func(key []byte) {
		if keys++; string(key) == "type" {
			r.fail(jsonError{text: "typed"}) // the rest need not be looked at
		}
		r.skip()
	})
	if r.done() != nil {
		return schema
	}
	if keys == 0 {
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	rest := strings.TrimLeft(string(schema), " \t\r\n{")
	return json.RawMessage(`{"type":"object",` + rest)
}

func (t *inToolChoice) chat() any {
	if t == nil {
		return nil
	}
	switch t.Type {
	case "any":
		return "required"
	case "none":
		return "none"
	case "tool":
		var named struct {
			Type     string `json:"type"`
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		}
		named.Type, named.Function.Name = "function", t.Name
		return named
	}
	return nil // auto is the default
}

func (req *messagesRequest) responseFormat() any {
	f := req.Format
	if f == nil || f.Type != "json_schema" || isNull(f.Schema) {
		return nil
	}
	type schema struct {
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
	}
	return struct {
		Type       string `json:"type"`
		JSONSchema schema `json:"json_schema"`
	}{"json_schema", schema{"answer", f.Schema}}
}
