package proxy

import (
	"encoding/json"
	"strings"
)

// parseHermesJSON reads the form of Hermes and of Qwen2.5 and Qwen3:
//
//	<tool_call>
//	{"name": "Write", "arguments": {"file_path": "/tmp/a.txt"}}
//	</tool_call>
//
// The closing tag may be missing where the text ends.
func parseHermesJSON(text string, tools map[string]toolSchema) (toolCall, string, bool) {
	rest, ok := strings.CutPrefix(text, "<tool_call>")
	if !ok {
		return toolCall{}, "", false
	}
	dec := json.NewDecoder(strings.NewReader(rest))
	var call struct {
		Name       string
		Arguments  json.RawMessage
		Parameters json.RawMessage
	}
	if err := dec.Decode(&call); err != nil {
		return toolCall{}, "", false
	}
	if _, known := tools[call.Name]; !known {
		return toolCall{}, "", false
	}
	raw := call.Arguments
	if isNull(raw) {
		raw = call.Parameters
	}
	arguments := argumentText(raw)
	if !isObject([]byte(arguments)) {
		return toolCall{}, "", false
	}
	rest = strings.TrimSpace(rest[dec.InputOffset():])
	after, closed := strings.CutPrefix(rest, "</tool_call>")
	if !closed && rest != "" {
		return toolCall{}, "", false
	}
	return toolCall{Name: call.Name, Arguments: string(compact(json.RawMessage(arguments)))}, after, true
}
