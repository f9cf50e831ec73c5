package proxy

import "strings"

// llamaTag stands before Llama's calls, or has been eaten.
const llamaTag = "<|python_tag|>"

// parseLlama reads the form of Llama 3, which has no closing tag: the whole
// text is calls, with semicolons between them.
//
//	{"name": "Write", "parameters": {"file_path": "/tmp/a.txt"}}
//
// An object with any other key is somebody's JSON, and no call.
func parseLlama(text string, tools toolset) (leak, bool) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), llamaTag))
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return leak{}, false
	}
	var found leak
	known := tools.schemas()
	for {
		r := &jsonReader{b: []byte(text)}
		var call toolCall
		foreign := false
		r.object(func(key []byte) {
			switch string(key) {
			case "name":
				call.Name = r.str()
			case "parameters", "arguments":
				foreign = foreign || call.Arguments != ""
				call.Arguments = argumentText(r.compact())
			case "type":
				foreign = foreign || r.str() != "function"
			default:
				foreign = true
				r.skip()
			}
		})
		if _, ok := known[call.Name]; r.err != nil || foreign || !ok || !isObject([]byte(call.Arguments)) {
			return leak{}, false
		}
		found.calls, found.names = append(found.calls, call), append(found.names, "leak:llama_json")
		if text = strings.TrimSpace(text[r.at:]); text == "" {
			return found, true
		}
		next, ok := strings.CutPrefix(text, ";")
		if text = strings.TrimSpace(next); !ok || text == "" {
			return leak{}, false
		}
	}
}
