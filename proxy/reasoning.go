package proxy

import "strings"

// reasoningTags are the tags between which models think, when the server's
// reasoning parser has not taken it out of the answer.
func reasoningTags() []string { return []string{"think", "mm:think"} }

// splitReasoning moves what the model thought from the text to the reasoning,
// and returns the tag's name; "" where there was none. Only the beginning of an
// answer can be that: later, a tag is prose about one.
func splitReasoning(c *choice) string {
	if !strings.Contains(c.Content, "think>") {
		return ""
	}
	text := strings.TrimLeft(c.Content, " \t\r\n")
	for _, tag := range reasoningTags() {
		open, end := "<"+tag+">", "</"+tag+">"
		if inner, ok := strings.CutPrefix(text, open); ok {
			thought, rest, closed := strings.Cut(inner, end)
			if !closed && c.FinishReason != "length" {
				continue // it never stopped thinking, and yet it stopped: a text
			}
			c.think(thought, rest)
			return tag
		}
		// The template has opened it in the prompt, so that the answer only
		// closes it, on a line of its own.
		thought, rest, closed := strings.Cut(text, end)
		if closed && c.Reasoning == "" && ownLine(thought, rest) && !strings.Contains(thought, "`"+open) && strings.Count(thought, "```")%2 == 0 {
			c.think(thought, rest)
			return tag
		}
	}
	return ""
}

// ownLine reports whether nothing else is in the line between the two.
func ownLine(before, after string) bool {
	before, after = strings.TrimRight(before, " \t"), strings.TrimLeft(after, " \t")
	return (before == "" || strings.HasSuffix(before, "\n")) && (after == "" || strings.HasPrefix(after, "\n"))
}

func (c *choice) think(thought, rest string) {
	thought = strings.TrimSpace(thought)
	if c.Reasoning != "" && thought != "" {
		thought = strings.TrimRight(c.Reasoning, "\n") + "\n" + thought
	}
	if thought != "" {
		c.Reasoning = thought
	}
	c.Content = strings.TrimLeft(rest, " \t\r\n")
}
