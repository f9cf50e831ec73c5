// Import turns the published measurements of the original lab (37 levels on real
// GPUs) into reports, so that there is something true to look at before anything
// was rented. Their source is "imported" wherever they are shown.
//
//	import -results results              # what is published
//	import -csv mine.csv -name "My lab"  # a table of the same columns
//
// Exit status: 0 when the reports are written, 1 when not, 2 for bad input, of
// which nothing was written.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/x/dail"
	"github.com/x/dail/report"
)

// The table is part of github.com/dpoblacion/developer-ai-lab, under the MIT
// licence; its columns that begin with DERIVED are sums of others.
//
//go:embed measured.csv
var published []byte

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	origin := report.Origin{
		Name: "developer-ai-lab", URL: "https://github.com/dpoblacion/developer-ai-lab", Licence: "MIT",
		Note: "read from its published reports; its dev-load is another task of the same kind, an agent's context was smaller on small cards, and its gates did not count for valid",
	}
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: import [flags]\n\nWrites measurements of the original lab as reports, whose source is imported.\n\nflags:")
		flags.PrintDefaults()
	}
	results := flags.String("results", dail.DefaultResults, "`folder` that takes the reports")
	table := flags.String("csv", "", "another `file` of the same columns (default: what is published)")
	flags.StringVar(&origin.Name, "name", origin.Name, "who measured")
	flags.StringVar(&origin.URL, "url", origin.URL, "where it was published")
	flags.StringVar(&origin.Licence, "licence", origin.Licence, "under which it may be passed on")
	flags.StringVar(&origin.Note, "note", origin.Note, "what the figures must not be taken for")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "import: %q is no flag; see import -h\n", flags.Arg(0))
		return 2
	}
	data := published
	if *table != "" {
		var err error
		if data, err = os.ReadFile(*table); err != nil {
			fmt.Fprintln(stderr, "import:", err)
			return 2
		}
	}
	reports, err := report.ReadOriginal(bytes.NewReader(data), origin)
	if err != nil {
		fmt.Fprintln(stderr, "import:", err)
		return 2
	}
	for _, r := range reports {
		place := report.Place{Root: *results, Family: r.Family, Quant: r.Quant, Hardware: r.Hardware, GPUs: r.GPUCount, Benchmark: r.Benchmark, RunID: r.RunID}
		err := os.MkdirAll(place.Dir(), 0o755)
		if err == nil {
			err = r.Write(place.Report())
		}
		if err != nil {
			fmt.Fprintln(stderr, "import:", err)
			return 1
		}
		fmt.Fprintln(stdout, place.Report())
	}
	return 0
}
