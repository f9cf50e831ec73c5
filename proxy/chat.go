package proxy

import (
	"bytes"
	"encoding/json"
)

// chatRequest is a chat completion request that Messages makes. It is held as
// the bytes that will be sent; tools and messages are pieces of them.
//
// The messages come last in the body, so that a request of a session is, but
// for its last two bytes, a byte prefix of the next one.
type chatRequest struct {
	// asked is the model's name, and stream the form of answer, that the client
	// asked for.
	asked  string
	stream bool

	head     chatHead
	whole    []byte
	tools    json.RawMessage
	messages json.RawMessage
}

// chatHead is everything small.
type chatHead struct {
	Model             string          `json:"model"`
	Stream            bool            `json:"stream"`
	MaxTokens         int             `json:"max_tokens,omitempty"`
	Stop              []string        `json:"stop,omitempty"`
	Temperature       json.RawMessage `json:"temperature,omitempty"`
	TopP              json.RawMessage `json:"top_p,omitempty"`
	TopK              json.RawMessage `json:"top_k,omitempty"`
	ToolChoice        any             `json:"tool_choice,omitempty"`
	ParallelToolCalls *bool           `json:"parallel_tool_calls,omitempty"`
	ResponseFormat    any             `json:"response_format,omitempty"`
}

type chatMessage struct {
	Role string
	// Content is a jsonText, []chatPart (one at least), or nil.
	Content    any
	Reasoning  jsonText
	ToolCalls  []chatToolCall
	ToolCallID string
}

// chatPart is an image where it has an ImageURL, or text.
type chatPart struct{ Text, ImageURL jsonText }

type chatToolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// chatTool is a function that the model may call.
type chatTool struct {
	Name        string
	Description jsonText
	Parameters  json.RawMessage
}

// ask returns the request as the core wants it.
func (r *chatRequest) ask(requestID string) ask {
	return ask{
		requestID: requestID,
		tools:     toolset{raw: r.tools},
		question:  [][]byte{r.tools, r.messages},
		body:      r.body,
		prompt:    r.prompt,
	}
}

// write encodes the request. size is about how long it becomes.
func (r *chatRequest) write(tools []chatTool, messages []chatMessage, size int) {
	head := compact(r.head)
	b := make([]byte, 0, len(head)+size+size/16+256)
	b = append(b, head[:len(head)-1]...)
	var toolsAt, toolsEnd int
	if len(tools) > 0 {
		b = append(b, `,"tools":`...)
		toolsAt = len(b)
	}
	for i := range tools {
		b = append(b, "[,"[min(i, 1)])
		b = tools[i].appendTo(b)
	}
	if len(tools) > 0 {
		b = append(b, ']')
		toolsEnd = len(b)
	}
	b = append(b, `,"messages":`...)
	messagesAt := len(b)
	b = append(b, '[')
	for i := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = messages[i].appendTo(b)
	}
	b = append(b, ']', '}')
	r.whole, r.tools, r.messages = b, b[toolsAt:toolsEnd:toolsEnd], b[messagesAt:len(b)-1:len(b)-1]
}

// body is the request with this limit of output tokens.
func (r *chatRequest) body(maxTokens int) []byte {
	if maxTokens == asAsked {
		return r.whole
	}
	head := r.head
	switch {
	case maxTokens > 0:
		head.MaxTokens = maxTokens
	case maxTokens == noLimit:
		head.MaxTokens = 0
	}
	return r.join(head)
}

// prompt is the /tokenize request for the same prompt.
func (r *chatRequest) prompt() []byte {
	return r.join(struct {
		Model               string `json:"model"`
		AddGenerationPrompt bool   `json:"add_generation_prompt"`
	}{r.head.Model, true})
}

// join appends tools and messages to the object head.
func (r *chatRequest) join(head any) []byte {
	small := compact(head)
	var b bytes.Buffer
	b.Grow(len(small) + len(r.tools) + len(r.messages) + 32)
	b.Write(small[:len(small)-1])
	if len(r.tools) > 0 {
		b.WriteString(`,"tools":`)
		b.Write(r.tools)
	}
	b.WriteString(`,"messages":`)
	b.Write(r.messages)
	b.WriteByte('}')
	return b.Bytes()
}
