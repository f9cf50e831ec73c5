package proxy

import (
	"encoding/json"
	"slices"
	"strings"
)

// parseQwenXML reads the form of Qwen3-Coder (and of MiMo, Seed-OSS with other
// outer tags):
//
//	<tool_call>
//	<function=Write>
//	<parameter=file_path>
//	/tmp/a.txt
//	</parameter>
//	</function>
//	</tool_call>
//
// The outer tags are often missing in a leak, the opening one because the
// server's parser has eaten it, the closing one because the model stopped.
func parseQwenXML(text string, tools map[string]toolSchema) (toolCall, string, bool) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "<tool_call>"))
	rest, ok := strings.CutPrefix(text, "<function=")
	if !ok {
		return toolCall{}, "", false
	}
	name, rest, ok := strings.Cut(rest, ">")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	schema, known := tools[name]
	if !ok || !known {
		return toolCall{}, "", false
	}
	var args arguments
	for {
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, "</function>"); ok {
			rest = after
			break
		}
		key, value, ok := enclosed(rest, "<parameter=", ">")
		if !ok {
			return toolCall{}, "", false
		}
		value, rest, ok = valueUntil(value, "</parameter>", "<parameter=", "</function>")
		if !ok || !args.add(strings.Trim(strings.TrimSpace(key), `"'`), oneLineLess(value), schema) {
			return toolCall{}, "", false
		}
	}
	return args.call(name), strings.TrimPrefix(strings.TrimSpace(rest), "</tool_call>"), true
}

// typedValue turns a parameter's text into JSON of a type that the schema
// allows. What fits none of them stays a string: the client's own check then
// tells the model.
func typedValue(text string, types []string) json.RawMessage {
	if len(types) > 0 && !slices.Equal(types, []string{"string"}) {
		trimmed := strings.TrimSpace(text)
		switch trimmed { // Python's words, which Qwen writes now and then
		case "True":
			trimmed = "true"
		case "False":
			trimmed = "false"
		case "None":
			trimmed = "null"
		}
		if raw := json.RawMessage(trimmed); json.Valid(raw) && slices.Contains(types, jsonType(raw, types)) {
			return raw
		}
	}
	return compact(text)
}

// jsonType is the JSON Schema type of a valid value; a number is an integer
// where that is what the schema wants and it has no fraction.
func jsonType(raw json.RawMessage, types []string) string {
	switch raw[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		// A text in quotes is more likely the text of a string than JSON.
		return ""
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if slices.Contains(types, "integer") && !strings.ContainsAny(string(raw), ".eE") {
		return "integer"
	}
	return "number"
}
