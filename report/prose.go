package report

import (
	"fmt"
	"regexp"
	"strings"
)

// screen is how wide prose is written: as wide as the narrowest screen that
// people use.
const screen = 80

// prose writes a text in lines of at most screen columns, unless a word is longer. What
// is not its first line stands two columns further in.
func (v *view) prose(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	line, at := indent, len(indent)
	for i, word := range strings.Fields(text) {
		n := len([]rune(escape.ReplaceAllString(word, "")))
		switch {
		case i == 0:
		case at+1+n > screen:
			v.line("%s", line)
			line, at = indent+"  ", len(indent)+2
		default:
			line, at = line+" ", at+1
		}
		line, at = line+word, at+n
	}
	v.line("%s", line)
}

// escape is a colour's code.
var escape = regexp.MustCompile("\x1b\\[[0-9]*m")
