// Package pathtable finds out what each way from an agent to an engine
// preserves, and writes it down as docs/paths.md.
//
// Each row of the page is a probe: a small client of the Messages API that asks
// through one path, with a scripted engine at its end where the path can have
// one, and says in a word what became of the thing. The tests run the probes of
// the native path every time, those of the others where their programs are at
// hand, and keep what they found in testdata; the page is made of that.
package pathtable

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/x/dail/internal/fakevllm"
)

// The verdicts, from the best to none at all.
const (
	Kept      = "kept"
	Partly    = "partly"
	Lost      = "lost"
	NotProbed = "not probed"
)

// A Cell is what one path does with one thing.
type Cell struct {
	Verdict string `json:"verdict"`
	// Reason is half a sentence for people.
	Reason string `json:"reason"`
}

func kept(reason string) Cell   { return Cell{Kept, reason} }
func partly(reason string) Cell { return Cell{Partly, reason} }
func lost(format string, args ...any) Cell {
	return Cell{Lost, fmt.Sprintf(format, args...)}
}

// A Stand is a path to be probed.
type Stand struct {
	// URL is where an agent would be pointed, Token what it would send, Model
	// the name it would use.
	URL, Token, Model string
	// Late is where what comes late is asked for: a path like that of URL, whose
	// client soon hears something. Empty: at URL.
	Late string
	// Metrics is where a real engine's /metrics is; empty where it is not known.
	Metrics string
	// Engine is the scripted engine at the path's end; nil where it is real.
	Engine *fakevllm.Server
}

// late is the stand of the probes of late things.
func (s *Stand) late() *Stand {
	late := *s
	late.URL = cmp.Or(s.Late, s.URL)
	return &late
}

// A Row is one thing that an agent needs preserved.
type Row struct {
	ID, Title string
	// Scripted probes a path whose engine is scripted, Real one whose engine
	// is not; nil where that cannot be provoked.
	Scripted, Real func(context.Context, *Stand) Cell
}

// Rows are the page's rows, in order.
func Rows() []Row {
	return []Row{
		{"text", "Text", text, realText},
		{"thinking", "Thinking, shown and handed back in the next turn", thinking, nil},
		{"parallel_tools", "Parallel tool calls: order, ids, results in the order of the calls", parallelTools, nil},
		{"arguments", "Tool arguments, byte for byte", arguments, nil},
		{"leaks", "Tool calls that the engine's parser left in the text", leaks, nil},
		{"usage", "Usage: the engine's own numbers, cached tokens apart", usage, realUsage},
		{"cancel", "A client that leaves ends the work on the GPU", cancellation, realCancellation},
		{"silence", "Answers of 30 minutes: the client hears something meanwhile", silence, nil},
		{"overflow", "Prompt too long: a 400 on which Claude Code compacts", overflow, realOverflow},
		{"clamp", "`max_tokens` beyond what the context leaves is lowered", clamp, realClamp},
		{"rate_limit", "429 with its Retry-After", rateLimit, nil},
		{"overloaded", "503/529: the client hears 529 `overloaded_error`", overloaded, nil},
		{"late_error", "An engine that fails in mid-stream: an error event", lateError, nil},
		{"prefix", "Stable prefix: Claude Code's billing line does not reach the engine", prefix, realPrefix},
		{"count_tokens", "count_tokens: the engine's own count", countTokens, realCountTokens},
	}
}

// Probe runs every row's probe.
func Probe(ctx context.Context, s *Stand) map[string]Cell {
	cells := map[string]Cell{}
	for _, r := range Rows() {
		probe := r.Real
		if s.Engine != nil {
			probe = r.Scripted
		}
		if probe == nil {
			cells[r.ID] = Cell{NotProbed, "cannot be provoked on a real engine"}
			continue
		}
		cells[r.ID] = probe(ctx, s)
	}
	return cells
}

// Findings are a path's cells, and what they were found on.
type Findings struct {
	// Programs names the programs on the path, with versions.
	Programs string `json:"programs"`
	// Date is the day of the probes, as 2006-01-02; "" where they run in every
	// make test.
	Date  string          `json:"date,omitempty"`
	Cells map[string]Cell `json:"cells"`
}

// Load reads findings; a file that is not there holds none.
func Load(file string) (Findings, error) {
	var f Findings
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return f, fmt.Errorf("pathtable: %s: %w; write it again with -update", file, err)
	}
	return f, nil
}

// Save writes findings.
func Save(file string, f Findings) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// A Path is a column of the page.
type Path struct {
	Name, Route string
	Findings
}

const head = `# What each path preserves

There are three ways to let Claude Code, or another client of the Messages API, use a vLLM server:

`

const foot = `
**kept**: arrives as it is. **partly**: arrives changed, as the cell says. **lost**: does not arrive. **not probed**: nobody has
looked; it is not a guess.

This page is generated: each cell is the result of a probe in
[internal/pathtable](../internal/pathtable) that asks through the path and looks at both of its ends. ` + "`go test ./internal/pathtable -update`" + `
writes it again; ` + "`make test`" + ` fails where the native column no longer says the truth, ` + "`make test-real`" + ` probes the litellm column, and the
straight one where ` + "`DAIL_VLLM_URL`" + ` names a vLLM server.

Time is scaled in the probe of long answers: three keep-alives must come before the engine says anything. That the real
Claude Code waits for an answer of 20 minutes with them, and does not without, is
[claude_long_test.go](../proxy/claude_long_test.go), on a clock that runs 30 times as fast.
`

// Page is docs/paths.md.
func Page(paths []Path) string {
	var b strings.Builder
	b.WriteString(head)
	for _, p := range paths {
		on := p.Programs
		if on == "" {
			on = "nothing was at hand to probe it on"
		}
		if p.Date != "" {
			on += ", " + p.Date
		}
		fmt.Fprintf(&b, "- **%s**: %s (%s)\n", p.Name, p.Route, on)
	}
	b.WriteString("\n|")
	for _, p := range paths {
		b.WriteString(" | " + p.Name)
	}
	b.WriteString(" |\n| ---" + strings.Repeat(" | ---", len(paths)) + " |\n")
	for _, r := range Rows() {
		b.WriteString("| " + r.Title)
		for _, p := range paths {
			c, ok := p.Cells[r.ID]
			switch {
			case !ok:
				b.WriteString(" | " + NotProbed)
			case c.Reason == "":
				b.WriteString(" | **" + c.Verdict + "**")
			default:
				b.WriteString(" | **" + c.Verdict + "**: " + strings.ReplaceAll(c.Reason, "|", `\|`))
			}
		}
		b.WriteString(" |\n")
	}
	b.WriteString(foot)
	return b.String()
}
