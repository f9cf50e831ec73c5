// Command benchtruth holds dail's figures to engines whose every token is known,
// and prints by how much they are off: make bench-truth.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/x/dail/internal/truth"
	"github.com/x/dail/slo"
)

func main() { os.Exit(run(os.Args[1:], truth.Grid, os.Stdout, os.Stderr)) }

// line is the last line of the output.
type line struct {
	Bench         string  `json:"bench"`
	Engines       int     `json:"engines"`
	Figures       int     `json:"figures"`
	WorstErrorPct float64 `json:"worst_error_pct"`
	OutsideBounds int     `json:"outside_bounds"`
	Certain       int     `json:"certain"`
	CertainWrong  int     `json:"certain_wrong"`
	Pass          bool    `json:"pass"`
}

func run(args []string, grid func() ([]truth.Case, error), stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("benchtruth", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprintf(stderr, "benchtruth compares every figure of a level with the engine's own log, over a grid of simulated engines.\n"+
			"The last line of its output is JSON. Exit status 1: a figure was wrong.\n")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return 2
	}
	cases, err := grid()
	if err != nil {
		fmt.Fprintln(stderr, "benchtruth:", err)
		return 1
	}
	sum := line{Bench: "truth", Engines: len(cases), Pass: true}
	var faults []string
	fmt.Fprintf(stdout, "%-46s %8s %13s %15s %9s %6s\n", "engine (simulated, in virtual time)", "figures", "worst error", "outside bounds", "certain", "wrong")
	for _, c := range cases {
		r, err := truth.Check(c, slo.Evaluate)
		if err != nil {
			fmt.Fprintln(stderr, "benchtruth:", err)
			return 1
		}
		fmt.Fprintf(stdout, "%-46s %8d %11.1g %% %15d %9d %6d\n", c.Name, r.Figures, 100*r.WorstError, r.OutsideBounds, r.Verdicts, r.CertainWrong)
		faults = append(faults, r.Faults...)
		sum.Figures += r.Figures
		sum.OutsideBounds += r.OutsideBounds
		sum.Certain += r.Verdicts
		sum.CertainWrong += r.CertainWrong
		sum.WorstErrorPct = math.Max(sum.WorstErrorPct, 100*r.WorstError)
	}
	for _, f := range faults {
		fmt.Fprintln(stdout, f)
	}
	sum.Pass = len(faults) == 0
	if err := json.NewEncoder(stdout).Encode(sum); err != nil || !sum.Pass {
		return 1
	}
	return 0
}
