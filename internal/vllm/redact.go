package vllm

import (
	"regexp"
	"strings"
	"unicode"
)

// secrets are the shapes of what must not be repeated: tokens of Hugging Face
// and RunPod, credentials in URLs and headers, and what is called a token.
var secrets = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b(hf|hf_oauth|api_org|rpa|ghp|gho)_[A-Za-z0-9]{16,}`), "${1}_[redacted]"},
	{regexp.MustCompile(`\bgithub_pat_[A-Za-z0-9_]{16,}`), "github_pat_[redacted]"},
	{regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{8,}`), "sk-[redacted]"},
	{regexp.MustCompile(`(://)[^/\s@"']+@`), "${1}[redacted]@"},
	{regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}`), "$1$2[redacted]"},
	{regexp.MustCompile(`(?i)((?:api[_-]?key|token|secret|password|passwd|signature|credential)s?["']?\s*[=:]\s*["']?)[^\s"',;&)}\]]{8,}`), "${1}[redacted]"},
}

// redact takes secrets out of a line of a log.
func redact(line string) string {
	for _, s := range secrets {
		line = s.re.ReplaceAllString(line, s.with)
	}
	return line
}

var ansiRE = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// clean makes a line of a log fit to be shown: valid text without control
// characters or colours, of a bounded length.
func clean(line string) string {
	line = ansiRE.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")
	line = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, line)
	return clip(strings.TrimRight(line, " "), 4096)
}

// clip cuts s to about n bytes, at a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + " …"
}
