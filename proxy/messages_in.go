package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// messagesRequest is what is understood of a Messages request. The rest
// (metadata, thinking, context_management, cache_control, …) has no meaning to
// the server and is left out, which also keeps the prompt's bytes stable. Raw
// values are pieces of the body.
type messagesRequest struct {
	Model         string
	MaxTokens     int
	Stream        bool
	System        []inBlock
	Messages      []inMessage
	Tools         []inTool
	ToolChoice    *inToolChoice
	StopSequences []string
	Temperature   json.RawMessage
	TopP          json.RawMessage
	TopK          json.RawMessage
	// Format is output_config's, or the older output_format.
	Format *inFormat
	// size is the body's length.
	size int
}

type inMessage struct {
	Role    string
	Content []inBlock
	// raw is the content as it came.
	raw json.RawMessage
}

// inBlock is a content block of any type.
type inBlock struct {
	Type      string
	Text      jsonText
	Thinking  jsonText
	ID        string
	Name      string
	Input     json.RawMessage // without white space
	ToolUseID string
	// Content is a text or, where it is no string, as it came.
	Content    jsonText
	RawContent json.RawMessage
	IsError    bool
	Source     *inSource
	ToolName   jsonText
	Title      string
}

type inSource struct {
	Type      string
	MediaType string
	Data      jsonText
	URL       jsonText
}

type inTool struct {
	Name        string
	Description jsonText
	InputSchema json.RawMessage // without white space
	Deferred    bool
}

type inToolChoice struct {
	Type            string
	Name            string
	DisableParallel bool
}

type inFormat struct {
	Type   string
	Schema json.RawMessage
}

// parseMessages reads a request's body.
func parseMessages(body []byte) (*messagesRequest, error) {
	req := &messagesRequest{size: len(body)}
	r := &jsonReader{b: body}
	var older, newer *inFormat
	r.object(func(key []byte) {
		switch string(key) {
		case "model":
			req.Model = r.str()
		case "max_tokens":
			req.MaxTokens = r.integer()
		case "stream":
			req.Stream = r.boolean()
		case "system":
			req.System = r.blocks()
		case "messages":
			r.array(func() { req.Messages = append(req.Messages, r.message()) })
		case "tools":
			r.array(func() { req.Tools = append(req.Tools, r.tool()) })
		case "tool_choice":
			req.ToolChoice = r.toolChoice()
		case "stop_sequences":
			r.array(func() { req.StopSequences = append(req.StopSequences, r.str()) })
		case "temperature":
			req.Temperature = r.raw()
		case "top_p":
			req.TopP = r.raw()
		case "top_k":
			req.TopK = r.raw()
		case "output_config":
			r.object(func(key []byte) {
				if string(key) == "format" {
					newer = r.format()
				} else {
					r.skip()
				}
			})
		case "output_format":
			older = r.format()
		default:
			r.skip()
		}
	})
	if err := r.done(); err != nil {
		return nil, err
	}
	if len(req.Messages) == 0 {
		return nil, errors.New("messages: at least one message is required")
	}
	if req.Format = newer; newer == nil {
		req.Format = older
	}
	return req, nil
}

func (r *jsonReader) message() (m inMessage) {
	r.object(func(key []byte) {
		switch string(key) {
		case "role":
			m.Role = r.str()
		case "content":
			r.next()
			start := r.at
			m.Content = r.blocks()
			m.raw = json.RawMessage(r.b[start:r.at:r.at])
		default:
			r.skip()
		}
	})
	return m
}

func (r *jsonReader) tool() (t inTool) {
	r.object(func(key []byte) {
		switch string(key) {
		case "name":
			t.Name = r.str()
		case "description":
			t.Description = r.text()
		case "input_schema":
			t.InputSchema = r.compact()
		case "defer_loading":
			t.Deferred = r.boolean()
		default:
			r.skip()
		}
	})
	return t
}

// toolChoice is nil for null, as format is.
func (r *jsonReader) toolChoice() *inToolChoice {
	if r.next() == 'n' {
		r.skip()
		return nil
	}
	c := &inToolChoice{}
	r.object(func(key []byte) {
		switch string(key) {
		case "type":
			c.Type = r.str()
		case "name":
			c.Name = r.str()
		case "disable_parallel_tool_use":
			c.DisableParallel = r.boolean()
		default:
			r.skip()
		}
	})
	return c
}

func (r *jsonReader) format() *inFormat {
	if r.next() == 'n' {
		r.skip()
		return nil
	}
	f := &inFormat{}
	r.object(func(key []byte) {
		switch string(key) {
		case "type":
			f.Type = r.str()
		case "schema":
			f.Schema = bytes.Clone(r.raw())
		default:
			r.skip()
		}
	})
	return f
}

// blocks reads content that is a string, null, or a list of blocks. A string
// is one text block, so both forms of the same content become the same prompt.
func (r *jsonReader) blocks() (list []inBlock) {
	if r.next() == '"' {
		return []inBlock{{Type: "text", Text: r.text()}}
	}
	r.array(func() { list = append(list, r.block()) })
	return list
}

// blocks reads the content of a tool's result, which other types of block use
// for what they like.
func (b *inBlock) blocks() ([]inBlock, error) {
	if isNull(b.RawContent) {
		return []inBlock{{Type: "text", Text: b.Content}}, nil
	}
	r := &jsonReader{b: b.RawContent}
	list := r.blocks()
	return list, r.done()
}

func (r *jsonReader) block() (b inBlock) {
	r.object(func(key []byte) {
		switch string(key) {
		case "type":
			b.Type = r.str()
		case "text":
			b.Text = r.text()
		case "thinking":
			b.Thinking = r.text()
		case "id":
			b.ID = r.str()
		case "name":
			b.Name = r.str()
		case "input":
			b.Input = r.compact()
		case "tool_use_id":
			b.ToolUseID = r.str()
		case "content":
			if r.next() == '"' {
				b.Content = r.text()
			} else {
				b.RawContent = r.raw()
			}
		case "is_error":
			b.IsError = r.boolean()
		case "source":
			b.Source = r.source()
		case "tool_name":
			b.ToolName = r.text()
		case "title":
			b.Title = r.str()
		default:
			r.skip()
		}
	})
	return b
}

func (r *jsonReader) source() *inSource {
	if r.next() == 'n' {
		r.skip()
		return nil
	}
	s := &inSource{}
	r.object(func(key []byte) {
		switch string(key) {
		case "type":
			s.Type = r.str()
		case "media_type":
			s.MediaType = r.str()
		case "data":
			s.Data = r.text()
		case "url":
			s.URL = r.text()
		default:
			r.skip()
		}
	})
	return s
}

// billingPrefix opens a system block in which Claude Code names its version
// and a hash of the first prompt. It says nothing to a model, and as it stands
// at the very beginning, two agents would share no prefix with it.
const billingPrefix = "x-anthropic-billing-header:"

// systemText joins the text of a system prompt's blocks.
func systemText(list []inBlock) jsonText {
	var texts []jsonText
	for _, b := range list {
		text := b.Text
		if bytes.HasPrefix(text, []byte(billingPrefix)) {
			_, rest, _ := strings.Cut(text.String(), "\n")
			text = newText(rest)
		}
		if len(text) > 0 {
			texts = append(texts, text)
		}
	}
	return lines(texts)
}

// lines joins texts with line breaks.
func lines(texts []jsonText) jsonText { return join(texts, `\n`) }

// join joins texts with what stands for sep in a JSON string.
func join(texts []jsonText, sep string) jsonText {
	if len(texts) == 1 {
		return texts[0]
	}
	size := 0
	for _, t := range texts {
		size += len(t) + len(sep)
	}
	b := make(jsonText, 0, size)
	for i, t := range texts {
		if i > 0 {
			b = append(b, sep...)
		}
		b = append(b, t...)
	}
	return b
}
