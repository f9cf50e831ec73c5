package proxy

import (
	"encoding/json"
	"strings"
)

// A leakFormat is one way in which models write tool calls as text. A format
// is one file: its parse function, and a line in leakFormats.
type leakFormat struct {
	// name appears in the trace as "leak:<name>".
	name string
	// markers are what such a call can begin with.
	markers []string
	// parse reads one call at the start of text, and returns what follows it.
	// It accepts only a complete call of a tool that the request offers.
	parse func(text string, tools map[string]toolSchema) (call toolCall, rest string, ok bool)
}

func leakFormats() []leakFormat {
	return []leakFormat{
		{"qwen_xml", []string{"<tool_call>", "<function="}, parseQwenXML},
		{"hermes_json", []string{"<tool_call>"}, parseHermesJSON},
		{"glm_xml", []string{"<tool_call>"}, parseGLM},
		{"minimax_xml", []string{"<minimax:tool_call>", "<invoke name="}, parseMiniMax},
	}
}

// maxLeakStarts bounds the places in one answer at which a leak is looked for,
// so that a hostile text costs little.
const maxLeakStarts = 64

// repair mends one choice in place and names what it did.
func repair(c *choice, tools toolset, newID func(string) string) (done []string) {
	if tag := splitReasoning(c); tag != "" {
		done = append(done, "reasoning:"+tag)
	}
	// Where the server parsed calls of its own, what is left in the text is
	// text.
	for i := range c.ToolCalls {
		done = append(done, mendArguments(&c.ToolCalls[i], tools, c.FinishReason == "length")...)
	}
	if len(c.ToolCalls) > 0 || len(tools.raw) == 0 {
		return done
	}
	found, ok := findLeak(c.Content, tools)
	switch {
	case ok:
		c.Content = found.before
	case strings.TrimSpace(c.Content) != "" || c.FinishReason == "length":
		return done
	default:
		// The model called while it was still thinking, and a reasoning parser
		// looks for no calls.
		if found, ok = findLeak(c.Reasoning, tools); !ok {
			return done
		}
		c.Reasoning = found.before
		done = append(done, "leak:in_reasoning")
	}
	for i := range found.calls {
		found.calls[i].ID = newID("call_")
	}
	c.ToolCalls, c.FinishReason = found.calls, "tool_calls"
	return append(done, found.names...)
}

// A leak is the tool calls at the end of a text.
type leak struct {
	before string
	calls  []toolCall
	names  []string
}

// findLeak looks for tool calls that were left in an answer. A model stops
// after its calls, so they count only where nothing but white space follows
// them; that, a complete call, and the name of a tool that the request offers
// tell a leak from prose that mentions <tool_call>. A text in backticks is
// never a leak.
func findLeak(text string, tools toolset) (leak, bool) {
	if !endsLikeCall(text) {
		return leak{}, false
	}
	if found, ok := parseLlama(text, tools); ok {
		return found, true
	}
	formats := leakFormats()
	var known map[string]toolSchema
	for at, tries := 0, 0; tries < maxLeakStarts; tries++ {
		i := nextMarker(text[at:], formats)
		if i < 0 {
			return leak{}, false
		}
		at += i
		if !quoted(text, at) {
			if known == nil {
				known = tools.schemas()
			}
			if calls, names, ok := parseCalls(text[at:], known, formats); ok {
				return leak{strings.TrimRight(text[:at], " \t\r\n"), calls, names}, true
			}
		}
		at++
	}
	return leak{}, false
}

// nextMarker returns the index of the first marker of any format; -1 if there
// is none.
func nextMarker(text string, formats []leakFormat) int {
	first := -1
	for _, f := range formats {
		for _, m := range f.markers {
			if i := strings.Index(text, m); i >= 0 && (first < 0 || i < first) {
				first = i
			}
		}
	}
	return first
}

// endsLikeCall is a quick look at the end of a text: a call closes with a tag
// or with JSON.
func endsLikeCall(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasSuffix(text, ">") || strings.HasSuffix(text, "}")
}

// quoted reports whether the place stands in an open code fence or right
// behind a backtick, or inside a call that has been looked at already.
func quoted(text string, at int) bool {
	before := text[:at]
	return strings.HasSuffix(before, "`") ||
		strings.HasSuffix(strings.TrimSpace(before), "<tool_call>") ||
		strings.Count(before, "```")%2 == 1
}

// parseCalls reads calls up to the end of text.
func parseCalls(text string, tools map[string]toolSchema, formats []leakFormat) (calls []toolCall, names []string, ok bool) {
	for {
		text = strings.TrimSpace(text)
		// A second closing tag is a usual rest of a half-parsed call.
		text = strings.TrimSpace(strings.TrimPrefix(text, "</tool_call>"))
		if text == "" {
			return calls, names, len(calls) > 0
		}
		found := false
		for _, f := range formats {
			if call, rest, ok := f.parse(text, tools); ok {
				calls, names = append(calls, call), append(names, "leak:"+f.name)
				text, found = rest, true
				break
			}
		}
		if !found {
			return nil, nil, false
		}
	}
}

// A toolset is the tools of a request, in the chat API's form; they are parsed
// only when a leak is suspected.
type toolset struct{ raw json.RawMessage }

// A toolSchema is what a repair must know of a tool: the JSON types that each
// parameter may have; none where the schema does not say.
type toolSchema map[string][]string

func (t toolset) schemas() map[string]toolSchema {
	var list []struct {
		Function struct {
			Name       string
			Parameters struct {
				Properties map[string]json.RawMessage
			}
		}
	}
	// A tool whose schema is odd is still a tool: take what can be read.
	_ = json.Unmarshal(t.raw, &list)
	out := make(map[string]toolSchema, len(list))
	for _, tool := range list {
		if tool.Function.Name == "" {
			continue
		}
		s := toolSchema{}
		for name, raw := range tool.Function.Parameters.Properties {
			s[name] = schemaTypes(raw)
		}
		out[tool.Function.Name] = s
	}
	return out
}

// schemaTypes lists the JSON types that a property's schema allows.
func schemaTypes(raw json.RawMessage) []string {
	var s struct {
		Type  json.RawMessage
		AnyOf []json.RawMessage
		OneOf []json.RawMessage
	}
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	var one string
	if json.Unmarshal(s.Type, &one) == nil && one != "" {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(s.Type, &many) == nil && len(many) > 0 {
		return many
	}
	for _, alt := range append(s.AnyOf, s.OneOf...) {
		many = append(many, schemaTypes(alt)...)
	}
	return many
}
