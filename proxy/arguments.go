package proxy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// mendArguments mends the arguments of a call that the server has parsed, where
// only one reading is possible, and names what it did: "arguments:…", or
// "bad_arguments" where they are no JSON object and stay so. cut says that the
// answer was cut off at its limit of tokens: what is missing then is unknown.
func mendArguments(call *toolCall, tools toolset, cut bool) (names []string) {
	text, name := objectText(call.Arguments, cut)
	if text == "" {
		return []string{"bad_arguments"}
	}
	if name != "" {
		call.Arguments, names = text, append(names, "arguments:"+name)
	}
	members := membersOf(text)
	// The schemas of all tools are long, and mostly not needed.
	schema := sync.OnceValue(func() toolSchema { return tools.schemas()[call.Name] })
	closing := trimClosing(members)
	types := retype(members, schema)
	if closing {
		names = append(names, "arguments:closing_tags")
	}
	if types {
		names = append(names, "arguments:types")
	}
	if closing || types {
		call.Arguments = arguments(members).call("").Arguments
	}
	return names
}

// objectText returns the JSON object that a text of arguments is, and what had
// to be done for it; "" where it is none.
func objectText(text string, cut bool) (object, name string) {
	if isObject([]byte(text)) {
		return text, ""
	}
	var inner string
	if json.Unmarshal([]byte(text), &inner) == nil {
		if isObject([]byte(inner)) {
			return inner, "double_encoded"
		}
		return "", ""
	}
	if s := escapeControls(text); s != text && isObject([]byte(s)) {
		return s, "control_characters"
	}
	r := &jsonReader{b: []byte(text)}
	if r.next() == '{' {
		if r.skip(); r.err == nil {
			if isClosing(text[r.at:]) {
				return text[:r.at], "trailing"
			}
			return "", ""
		}
	}
	if s := closeBrackets(text); !cut && s != "" && isObject([]byte(s)) {
		return s, "unclosed"
	}
	return "", ""
}

// isClosing reports whether a text is nothing but closing brackets and tags of
// calls: the rest of what a server's parser should have eaten.
func isClosing(text string) bool {
	for {
		text = strings.TrimLeft(text, " \t\r\n}]")
		if text == "" {
			return true
		}
		rest, ok := cutAny(strings.CutPrefix, text, closingTags())
		if !ok {
			return false
		}
		text = rest
	}
}

// escapeControls writes line breaks and tabs inside JSON strings as JSON does.
func escapeControls(text string) string {
	if !strings.ContainsAny(text, "\n\r\t") {
		return text
	}
	var out strings.Builder
	inside, escaped := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if inside && !escaped {
			if w := map[byte]string{'\n': `\n`, '\r': `\r`, '\t': `\t`}[c]; w != "" {
				out.WriteString(w)
				continue
			}
		}
		if c == '"' && !escaped {
			inside = !inside
		}
		escaped = inside && c == '\\' && !escaped
		out.WriteByte(c)
	}
	return out.String()
}

// closeBrackets closes what a JSON text leaves open; "" where a string is open,
// whose end nobody knows.
func closeBrackets(text string) string {
	var open []byte
	inside, escaped := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inside:
			if c == '"' && !escaped {
				inside = false
			}
			escaped = c == '\\' && !escaped
		case c == '"':
			inside = true
		case c == '{':
			open = append(open, '}')
		case c == '[':
			open = append(open, ']')
		case c == '}' || c == ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return ""
			}
			open = open[:len(open)-1]
		}
	}
	if inside || len(open) == 0 {
		return ""
	}
	slices.Reverse(open)
	return strings.TrimRight(text, " \t\r\n") + string(open)
}

// membersOf reads a valid object.
func membersOf(text string) (members []argument) {
	r := &jsonReader{b: []byte(text)}
	r.object(func(key []byte) {
		k := string(key)
		members = append(members, argument{k, r.raw()})
	})
	return members
}

// closingTags end calls and their parts, in the formats of leakFormats.
func closingTags() []string {
	return []string{"</parameter>", "</function>", "</tool_call>", "</arg_value>", "</invoke>", "</minimax:tool_call>"}
}

// trimClosing takes closing tags off the end of the last value: vLLM's
// qwen3_xml parser leaves them there. A value that holds any other tag is
// markup, and may end as it likes.
func trimClosing(members []argument) bool {
	if len(members) == 0 {
		return false
	}
	last := &members[len(members)-1]
	if !bytes.Contains(last.value, []byte("</")) || last.value[0] != '"' {
		return false
	}
	var text string
	if json.Unmarshal(last.value, &text) != nil {
		return false
	}
	value, found := text, false
	for {
		rest, ok := cutAny(strings.CutSuffix, strings.TrimRight(value, " \t\r\n"), closingTags())
		if !ok {
			break
		}
		value, found = rest, true
	}
	if !found || strings.TrimSpace(value) == "" || hasTag(value) {
		return false
	}
	last.value = appendString(nil, strings.TrimSuffix(value, "\n"))
	return true
}

// hasTag reports whether a text holds what looks like a tag.
func hasTag(text string) bool {
	for {
		i := strings.IndexByte(text, '<')
		if i < 0 || i+1 == len(text) {
			return false
		}
		text = text[i+1:]
		if c := text[0] | 0x20; text[0] == '/' || text[0] == '!' || text[0] == '?' || 'a' <= c && c <= 'z' {
			return true
		}
	}
}

// retype turns strings into the numbers, booleans, lists and objects that the
// schema wants in their place, where they are just that.
func retype(members []argument, schema func() toolSchema) (changed bool) {
	for i, m := range members {
		if !mayBeTyped(m.value) {
			continue
		}
		types := schema()[m.key]
		if len(types) == 0 || slices.Contains(types, "string") {
			continue
		}
		var text string
		if json.Unmarshal(m.value, &text) != nil {
			continue
		}
		if v := typedValue(text, types); v[0] != '"' {
			members[i].value, changed = v, true
		}
	}
	return changed
}

// mayBeTyped reports whether a JSON value is a string whose text could be a
// value of another type. Most are not, and so need no schema.
func mayBeTyped(value []byte) bool {
	if value[0] != '"' || len(value) < 3 {
		return false
	}
	switch text := bytes.TrimSpace(value[1 : len(value)-1]); string(text) {
	case "true", "false", "null", "True", "False", "None":
		return true
	default:
		return len(text) > 0 && bytes.IndexByte([]byte("{[-0123456789"), text[0]) >= 0
	}
}

// cutAny cuts the first of the tags off that is there.
func cutAny(cut func(s, tag string) (string, bool), s string, tags []string) (rest string, ok bool) {
	for _, tag := range tags {
		if rest, ok := cut(s, tag); ok {
			return rest, true
		}
	}
	return s, false
}
