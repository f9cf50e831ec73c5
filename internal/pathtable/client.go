package pathtable

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// A message is what a client of the Messages API makes of an answer.
type message struct {
	status int
	header http.Header
	blocks []block
	stop   string
	usage  tokens
	// kind and fault are the error's, from the body or an error event.
	kind, fault string
	// ended says that message_stop came.
	ended bool
}

type block struct{ kind, text, id, name string }

type tokens struct {
	Input     int `json:"input_tokens"`
	CacheRead int `json:"cache_read_input_tokens"`
	Output    int `json:"output_tokens"`
}

// of joins the texts of the blocks of a kind.
func (m *message) of(kind string) string {
	var s string
	for _, b := range m.blocks {
		if b.kind == kind {
			s += b.text
		}
	}
	return s
}

func (m *message) calls() (list []block) {
	for _, b := range m.blocks {
		if b.kind == "tool_use" {
			list = append(list, b)
		}
	}
	return list
}

// ask streams one request. line, if not nil, is called for each line that is
// not empty, as it comes.
func (s *Stand) ask(ctx context.Context, body string, line func(string)) (*message, error) {
	res, err := s.post(ctx, "/v1/messages", body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	m := &message{status: res.StatusCode, header: res.Header}
	if res.StatusCode != http.StatusOK {
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		m.error(b)
		return m, nil
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		text := lines.Text()
		if line != nil && text != "" {
			line(text)
		}
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			m.event([]byte(data))
		}
	}
	return m, lines.Err()
}

func (s *Stand) post(ctx context.Context, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Anthropic-Version", "2023-06-01")
	req.Header.Set("Authorization", "Bearer "+s.Token)
	return http.DefaultClient.Do(req)
}

func (m *message) error(body []byte) {
	var e struct {
		Error struct{ Type, Message string }
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Message == "" {
		m.fault = string(body[:min(len(body), 300)])
		return
	}
	m.kind, m.fault = e.Error.Type, e.Error.Message
}

func (m *message) event(data []byte) {
	var e struct {
		Type    string
		Index   int
		Message struct{ Usage json.RawMessage }
		Block   struct{ Type, ID, Name string } `json:"content_block"`
		Delta   struct {
			Text, Thinking string
			Partial        string `json:"partial_json"`
			StopReason     string `json:"stop_reason"`
		}
		Usage json.RawMessage
	}
	if json.Unmarshal(data, &e) != nil {
		return // such as [DONE]
	}
	switch e.Type {
	case "message_start":
		json.Unmarshal(e.Message.Usage, &m.usage) // without usage it stays 0
	case "content_block_start":
		m.blocks = append(m.blocks, block{kind: e.Block.Type, id: e.Block.ID, name: e.Block.Name})
	case "content_block_delta":
		if e.Index >= 0 && e.Index < len(m.blocks) {
			m.blocks[e.Index].text += e.Delta.Text + e.Delta.Thinking + e.Delta.Partial
		}
	case "message_delta":
		m.stop = e.Delta.StopReason
		json.Unmarshal(e.Usage, &m.usage) // keys that are absent keep their value
	case "message_stop":
		m.ended = true
	case "error":
		m.error(data)
	}
}
