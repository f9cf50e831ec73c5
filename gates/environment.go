package gates

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/x/dail/internal/plain"
)

// scarce are the words by which programs say that the machine, not the work,
// was at fault.
var scarce = []struct {
	pattern *regexp.Regexp
	means   string
	bounded bool // a sealed place has a bound of its own on it
}{
	{regexp.MustCompile(`(?i)\bENOSPC\b|no space left on device|disk quota exceeded`), "the disk is full: free some space and score again", true},
	{regexp.MustCompile(`(?i)\bENOMEM\b|cannot allocate memory`), "memory ran out: score again with fewer at once", true},
	{regexp.MustCompile(`\b(EMFILE|ENFILE)\b|(?i)too many open files`), "too many files are open: raise ulimit -n and score again", true},
	{regexp.MustCompile(`npm (ERR!|error) code (ENOTCACHED|EAI_AGAIN|ENOTFOUND|ENETUNREACH|ECONNREFUSED)`), "npx looked for a package that the toolchain does not have: install the toolchain, or add the package to it", false},
}

// envError tells a machine that could not judge from work that failed: it
// returns what is wrong with the machine, or "" for a gate that simply failed.
//
// sealed is a place with bounds of its own, in which nothing else runs: what is
// scarce there was used up by the work itself, and one agent's must not excuse
// all others'.
func envError(code int, output string, sealed bool) string {
	switch {
	case code == 126, code == 127:
		return fmt.Sprintf("exit status %d: a program of the gate is missing or cannot be run%s", code, lastLine(output))
	case code == 137 && !sealed: // 128 + SIGKILL; a gate's own timeout is known as such
		return "the gate was killed (SIGKILL), as the system does when memory runs out: score again with fewer at once"
	}
	for _, s := range scarce {
		if s.pattern.MatchString(output) && !(sealed && s.bounded) {
			return s.means
		}
	}
	return ""
}

func lastLine(output string) string {
	output = strings.TrimSpace(output)
	if output == "" {
		return ""
	}
	return " (" + output[strings.LastIndexByte(output, '\n')+1:] + ")"
}

// tail keeps the last max bytes of what is written to it.
type tail struct {
	max int
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// text returns the tail as plain text: a model wrote what printed it.
func (t *tail) text() string { return plain.Text(string(t.buf)) }
