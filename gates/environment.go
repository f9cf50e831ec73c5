package gates

import (
	"fmt"
	"regexp"
	"strings"
)

// scarce are the words by which programs say that the machine, not the work,
// was at fault.
var scarce = []struct {
	pattern *regexp.Regexp
	means   string
}{
	{regexp.MustCompile(`(?i)\bENOSPC\b|no space left on device|disk quota exceeded`), "the disk is full: free some space and score again"},
	{regexp.MustCompile(`(?i)\bENOMEM\b|cannot allocate memory`), "memory ran out: score again with fewer at once"},
	{regexp.MustCompile(`\b(EMFILE|ENFILE)\b|(?i)too many open files`), "too many files are open: raise ulimit -n and score again"},
	{regexp.MustCompile(`npm (ERR!|error) code (ENOTCACHED|EAI_AGAIN|ENOTFOUND|ENETUNREACH|ECONNREFUSED)`), "npx looked for a package that the toolchain does not have: install the toolchain, or add the package to it"},
}

// killed is 128 + SIGKILL. A gate's own timeout is known as such.
const killed = 137

// envError tells a machine that could not judge from work that failed: it
// returns what is wrong with the machine, or "" for a gate that simply failed.
func envError(code int, output string) string {
	switch code {
	case 126, 127:
		return fmt.Sprintf("exit status %d: a program of the gate is missing or cannot be run%s", code, lastLine(output))
	case killed:
		return "the gate was killed (SIGKILL), as the system does when memory runs out: score again with fewer at once"
	}
	for _, s := range scarce {
		if s.pattern.MatchString(output) {
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

// text returns the tail as valid UTF-8, cut at a character's edge.
func (t *tail) text() string { return strings.ToValidUTF8(string(t.buf), "") }
