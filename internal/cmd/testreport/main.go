// Testreport reads the output of "go test -json" and prints what a person
// wants of it: a line per package, the output of what failed, and at the end
// the figures that tests logged (lines with "FIGURE: ") and the list of what was
// skipped and why. Its exit status is 1 if anything failed, or if nothing ran.
//
//	go test -json ./... | testreport
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	s, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	s.print(os.Stdout)
	// No test at all is go's failure to begin; it said why on stderr.
	if s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

// event is a line of test2json, see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
	Elapsed    float64
}

type skip struct{ pkg, test, why string }

type summary struct {
	passed, failed int
	skips          []skip
	figures        []string
	blamed         map[string]bool // packages with a failed test of their own
}

// summarize prints packages and failures as they come, and returns the sums.
func summarize(r io.Reader, w io.Writer) (*summary, error) {
	s := &summary{blamed: map[string]bool{}}
	output := map[string]*strings.Builder{}
	text := func(key string) *strings.Builder {
		if output[key] == nil {
			output[key] = &strings.Builder{}
		}
		return output[key]
	}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			fmt.Fprintln(w, in.Text()) // not an event: go's own complaint
			s.failed++
			continue
		}
		key := e.Package + "\x00" + e.Test
		switch e.Action {
		case "output":
			text(key).WriteString(e.Output)
			if _, figure, ok := strings.Cut(e.Output, "FIGURE: "); ok {
				s.figures = append(s.figures, strings.TrimSpace(figure))
			}
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "pass", "fail", "skip":
			if e.Action == "fail" && e.Test == "" {
				// A panic or a time-out leaves its tests without an end of
				// their own: what they printed is the evidence.
				for k, out := range output {
					if k != key && strings.HasPrefix(k, key) {
						fmt.Fprint(w, out)
					}
				}
			}
			s.finish(w, e, text(key).String())
			delete(output, key)
		}
	}
	return s, in.Err()
}

// finish books the end of one test or, where it names no test, one package.
func (s *summary) finish(w io.Writer, e event, out string) {
	if e.Test == "" {
		switch e.Action {
		case "pass":
			fmt.Fprintf(w, "ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
		case "fail":
			if !s.blamed[e.Package] {
				s.failed++
			}
			fmt.Fprintf(w, "%sFAIL\t%s\t%.1fs\n", out, e.Package, e.Elapsed)
		}
		return
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		s.blamed[e.Package] = true
		fmt.Fprint(w, out)
	case "skip":
		s.skips = append(s.skips, skip{e.Package, e.Test, reason(out)})
	}
}

// reason is what the test said when it skipped itself: the last line that is
// not go test's own.
func reason(out string) string {
	why := "no reason given"
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		why = line
	}
	return why
}

func (s *summary) print(w io.Writer) {
	for i, f := range s.figures {
		if i == 0 {
			fmt.Fprintln(w, "\nfigures:")
		}
		fmt.Fprintln(w, " ", f)
	}
	if len(s.skips) == 0 {
		fmt.Fprintln(w, "\nskipped: nothing")
	} else {
		fmt.Fprintln(w, "\nskipped:")
		for _, k := range s.skips {
			fmt.Fprintf(w, "  %s %s: %s\n", k.pkg, k.test, k.why)
		}
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, len(s.skips))
}
