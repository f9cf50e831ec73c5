// Package plain makes text of what a program or a model printed: what would move
// a terminal's cursor, set its title or its clipboard, or turn a line around is
// taken out, so that it can stand in a terminal, a report and a page.
//
//	plain.Text("\x1b[31mred\x1b[0m\n") // "red\n"
package plain

import (
	"regexp"
	"strings"
	"unicode"
)

// sequence is an escape sequence as ECMA-48 has it: CSI, or a string (OSC, DCS,
// SOS, PM, APC) up to its end, or two characters.
var sequence = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]`)

// Text is s as valid UTF-8, with lines and tabs, and without escape sequences,
// other control characters, and those that change the direction of writing.
func Text(s string) string {
	s = sequence.ReplaceAllString(strings.ToValidUTF8(s, ""), "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}
