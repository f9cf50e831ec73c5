package proxy

import "strings"

// parseMiniMax reads the form of MiniMax-M2:
//
//	<minimax:tool_call>
//	<invoke name="Write">
//	<parameter name="file_path">/tmp/a.txt</parameter>
//	</invoke>
//	</minimax:tool_call>
//
// There may be several invokes between the outer tags, which a server may have
// eaten.
func parseMiniMax(text string, tools map[string]toolSchema) (toolCall, string, bool) {
	const outerEnd = "</minimax:tool_call>"
	text = strings.TrimSpace(strings.TrimPrefix(text, "<minimax:tool_call>"))
	name, rest, ok := enclosed(text, "<invoke name=", ">")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	schema, known := tools[name]
	if !ok || !known {
		return toolCall{}, "", false
	}
	var args arguments
	for {
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, "</invoke>"); ok {
			after = strings.TrimPrefix(strings.TrimSpace(after), outerEnd)
			return args.call(name), after, true
		}
		key, value, ok := enclosed(rest, "<parameter name=", ">")
		if !ok {
			return toolCall{}, "", false
		}
		value, rest, ok = valueUntil(value, "</parameter>", "<parameter name=", "</invoke>")
		if !ok || !args.add(strings.Trim(strings.TrimSpace(key), `"'`), oneLineLess(value), schema) {
			return toolCall{}, "", false
		}
	}
}
