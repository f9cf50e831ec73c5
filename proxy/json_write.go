package proxy

import (
	"math/bits"
	"unicode/utf8"
)

// appendString appends s as a JSON string, in the bytes of marshal.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for from := 0; ; {
		i := from + plainRun(s[from:])
		dst = append(dst, s[from:i]...)
		if i == len(s) {
			return append(dst, '"')
		}
		from = i + 1
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			from = i + n
			switch {
			case r == utf8.RuneError && n == 1:
				dst = append(dst, `\ufffd`...)
			case r == '\u2028' || r == '\u2029': // line ends to JavaScript
				dst = append(dst, '\\', 'u', '2', '0', '2', hex[r&15])
			default:
				dst = append(dst, s[i:from]...)
			}
		}
	}
}

// plainRun returns how many bytes at the beginning of s stand for themselves in
// a JSON string.
func plainRun(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		// The compiler makes one load of these eight.
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		if m := stops(w) | w&eight(0x80); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// appendText appends a text as a JSON string.
func appendText(dst []byte, t jsonText) []byte {
	dst = append(dst, '"')
	dst = append(dst, t...)
	return append(dst, '"')
}

// appendMember appends a key, with the comma before it, and a text; nothing
// where the text is empty.
func appendMember(dst []byte, key string, t jsonText) []byte {
	if len(t) == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return appendText(dst, t)
}

// appendTo appends the message as JSON.
func (m *chatMessage) appendTo(dst []byte) []byte {
	dst = append(dst, `{"role":"`...)
	dst = append(dst, m.Role...) // one of ours
	dst = append(dst, `","content":`...)
	switch content := m.Content.(type) {
	case nil:
		dst = append(dst, "null"...)
	case jsonText:
		dst = appendText(dst, content)
	case []chatPart:
		for i := range content {
			dst = append(dst, "[,"[min(i, 1)])
			dst = content[i].appendTo(dst)
		}
		dst = append(dst, ']')
	}
	// Templates look for the one name or the other, by the server's version.
	dst = appendMember(dst, "reasoning", m.Reasoning)
	dst = appendMember(dst, "reasoning_content", m.Reasoning)
	if len(m.ToolCalls) > 0 {
		dst = append(dst, `,"tool_calls":`...)
	}
	for i := range m.ToolCalls {
		dst = append(dst, "[,"[min(i, 1)])
		call := &m.ToolCalls[i]
		dst = append(dst, `{"id":`...)
		dst = appendString(dst, call.ID)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = appendString(dst, call.Function.Name)
		dst = append(dst, `,"arguments":`...)
		dst = appendString(dst, call.Function.Arguments)
		dst = append(dst, '}', '}')
	}
	if len(m.ToolCalls) > 0 {
		dst = append(dst, ']')
	}
	if m.ToolCallID != "" {
		dst = append(dst, `,"tool_call_id":`...)
		dst = appendString(dst, m.ToolCallID)
	}
	return append(dst, '}')
}

// appendTo appends the part as JSON.
func (p *chatPart) appendTo(dst []byte) []byte {
	if p.ImageURL != nil {
		dst = append(dst, `{"type":"image_url","image_url":{"url":`...)
		return append(appendText(dst, p.ImageURL), '}', '}')
	}
	dst = append(dst, `{"type":"text"`...)
	return append(appendMember(dst, "text", p.Text), '}')
}

// appendTo appends the tool as JSON.
func (t *chatTool) appendTo(dst []byte) []byte {
	dst = append(dst, `{"type":"function","function":{"name":`...)
	dst = appendString(dst, t.Name)
	dst = appendMember(dst, "description", t.Description)
	dst = append(dst, `,"parameters":`...)
	dst = append(dst, t.Parameters...)
	return append(dst, '}', '}')
}
