package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// messagesRequest is what is understood of a Messages request. The rest
// (metadata, thinking, context_management, cache_control, …) has no meaning to
// the server and is left out, which also keeps the prompt's bytes stable.
type messagesRequest struct {
	Model         string          `json:"model"`
	MaxTokens     int             `json:"max_tokens"`
	Stream        bool            `json:"stream"`
	System        json.RawMessage `json:"system"`
	Messages      []inMessage     `json:"messages"`
	Tools         []inTool        `json:"tools"`
	ToolChoice    *inToolChoice   `json:"tool_choice"`
	StopSequences []string        `json:"stop_sequences"`
	Temperature   json.RawMessage `json:"temperature"`
	TopP          json.RawMessage `json:"top_p"`
	TopK          json.RawMessage `json:"top_k"`
	OutputConfig  *struct {
		Format *inFormat
	} `json:"output_config"`
	OutputFormat *inFormat `json:"output_format"`
}

type inMessage struct {
	Role    string
	Content json.RawMessage
}

// inBlock is a content block of any type.
type inBlock struct {
	Type      string
	Text      string
	Thinking  string
	ID        string
	Name      string
	Input     json.RawMessage
	ToolUseID string `json:"tool_use_id"`
	Content   json.RawMessage
	IsError   bool `json:"is_error"`
	Source    *inSource
	ToolName  string `json:"tool_name"`
	Title     string
}

type inSource struct {
	Type      string
	MediaType string `json:"media_type"`
	Data      string
	URL       string
}

type inTool struct {
	Type        string
	Name        string
	Description string
	InputSchema json.RawMessage `json:"input_schema"`
	Deferred    bool            `json:"defer_loading"`
}

type inToolChoice struct {
	Type            string
	Name            string
	DisableParallel bool `json:"disable_parallel_tool_use"`
}

type inFormat struct {
	Type   string
	Schema json.RawMessage
}

// parseMessages reads a request's body.
func parseMessages(body []byte) (*messagesRequest, error) {
	var req messagesRequest
	if err := decodeObject(body, &req); err != nil {
		return nil, err
	}
	if len(req.Messages) == 0 {
		return nil, errors.New("messages: at least one message is required")
	}
	return &req, nil
}

// blocks reads content that is a string, null, or a list of blocks. A string
// is one text block, so both forms of the same content become the same prompt.
func blocks(raw json.RawMessage) ([]inBlock, error) {
	if isNull(raw) {
		return nil, nil
	}
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		return []inBlock{{Type: "text", Text: s}}, nil
	}
	var list []inBlock
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("must be a string or a list of blocks: %w", err)
	}
	return list, nil
}

// billingPrefix opens a system block in which Claude Code names its version
// and a hash of the first prompt. It says nothing to a model, and as it stands
// at the very beginning, two agents would share no prefix with it.
const billingPrefix = "x-anthropic-billing-header:"

// systemText joins the text of a system prompt's blocks.
func systemText(raw json.RawMessage) (string, error) {
	list, err := blocks(raw)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, b := range list {
		text := b.Text
		if strings.HasPrefix(text, billingPrefix) {
			_, text, _ = strings.Cut(text, "\n")
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n"), nil
}

// chat translates the request. What a message becomes depends on nothing that
// follows it, so an earlier request of a session is a prefix of a later one.
func (req *messagesRequest) chat(model string) (*chatRequest, error) {
	out := &chatRequest{head: chatHead{
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
		out.tools = compact(tools)
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
	out.messages = compact(messages)
	return out, nil
}

func optional(raw json.RawMessage) json.RawMessage {
	if isNull(raw) {
		return nil
	}
	return raw
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
		tool := chatTool{Type: "function"}
		tool.Function.Name = t.Name
		tool.Function.Description = t.Description
		tool.Function.Parameters = objectSchema(t.InputSchema)
		out = append(out, tool)
	}
	return out
}

// refers reports whether a tool search has found the tool.
func (req *messagesRequest) refers(tool string) bool {
	for _, m := range req.Messages {
		if bytes.Contains(m.Content, []byte(`"tool_reference"`)) && bytes.Contains(m.Content, compact(tool)) {
			return true
		}
	}
	return false
}

// objectSchema adds the "type":"object" that the chat API wants and the
// Messages API lets a client leave out.
func objectSchema(schema json.RawMessage) json.RawMessage {
	var s map[string]json.RawMessage
	if json.Unmarshal(schema, &s) != nil || s["type"] != nil {
		return schema
	}
	if len(s) == 0 {
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
	f := req.OutputFormat
	if req.OutputConfig != nil && req.OutputConfig.Format != nil {
		f = req.OutputConfig.Format
	}
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
