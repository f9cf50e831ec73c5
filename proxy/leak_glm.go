package proxy

import "strings"

// parseGLM reads the form of GLM-4.5 and later:
//
//	<tool_call>Write
//	<arg_key>file_path</arg_key>
//	<arg_value>/tmp/a.txt</arg_value>
//	</tool_call>
//
// From GLM-4.7 on there are no line breaks between the tags. A value is taken
// as it stands: the template writes no white space around it.
func parseGLM(text string, tools map[string]toolSchema) (toolCall, string, bool) {
	rest, ok := strings.CutPrefix(text, "<tool_call>")
	if !ok {
		return toolCall{}, "", false
	}
	end := strings.IndexAny(rest, "<\n")
	if end < 0 {
		return toolCall{}, "", false
	}
	name := strings.TrimSpace(rest[:end])
	schema, known := tools[name]
	if !known {
		return toolCall{}, "", false
	}
	var args arguments
	for rest = rest[end:]; ; {
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, "</tool_call>"); ok {
			return args.call(name), after, true
		}
		if rest == "" && len(args) > 0 { // the server has eaten the closing tag
			return args.call(name), "", true
		}
		key, after, ok := enclosed(rest, "<arg_key>", "</arg_key>")
		if !ok {
			return toolCall{}, "", false
		}
		value, ok := strings.CutPrefix(strings.TrimSpace(after), "<arg_value>")
		if !ok {
			return toolCall{}, "", false
		}
		value, rest, ok = valueUntil(value, "</arg_value>", "<arg_key>", "</tool_call>", "")
		if !ok || !args.add(strings.TrimSpace(key), value, schema) {
			return toolCall{}, "", false
		}
	}
}
