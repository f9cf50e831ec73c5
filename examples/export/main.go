// Export writes what all reports say in a form that other programs read.
//
//	export -format csv -o levels.csv      # every level of every run, a line each
//	export -format markdown               # the answers, a table per benchmark
//	export -format openmetrics            # a snapshot for Prometheus and its kin
//
// Exit status: 0 when it is written, 1 when a report could not be read or the
// file not be written, 2 for a refusal.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/x/dail"
	"github.com/x/dail/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("export", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: export [flags]\n\nWrites what all reports say as a table or as metrics.\n\nflags:")
		flags.PrintDefaults()
	}
	results := flags.String("results", dail.DefaultResults, "`folder` of the reports")
	format := flags.String("format", "csv", "`form`: csv (every level), markdown (the answers), openmetrics (a snapshot)")
	out := flags.String("o", "", "`file` to write (default: the standard output)")
	latest := flags.Bool("latest", false, "only the latest run of each combination")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	write, ok := map[string]func(io.Writer, []report.File) error{
		"csv": report.WriteCSV, "markdown": report.Markdown, "openmetrics": report.OpenMetrics,
	}[*format]
	if !ok || flags.NArg() > 0 {
		fmt.Fprintf(stderr, "export: -format %q %v: want csv, markdown or openmetrics, and nothing else; see export -h\n", *format, flags.Args())
		return 2
	}
	files, bad := report.LoadDir(*results)
	if bad != nil {
		fmt.Fprintln(stderr, "export:", bad)
		if files == nil {
			return 1
		}
	}
	if *latest {
		files = report.Latest(files)
	}
	var b bytes.Buffer
	err := write(&b, files)
	if err == nil && *out != "" {
		err = os.WriteFile(*out, b.Bytes(), 0o644)
	} else if err == nil {
		_, err = stdout.Write(b.Bytes())
	}
	if err != nil {
		fmt.Fprintln(stderr, "export:", err)
	}
	if err != nil || bad != nil {
		return 1
	}
	return 0
}
