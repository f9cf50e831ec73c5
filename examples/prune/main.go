// Prune removes the heavy half of runs: agents' workspaces and transcripts. The
// reports, time series and traces stay.
//
//	prune                 # says what could go, and how much it is
//	prune -yes            # removes it
//	prune -yes -age 168h  # only of runs that ended a week ago
//
// Exit status: 0 when all is as it should be, 1 when something could not be read
// or removed, 2 for a refusal.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prune", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: prune [flags]\n\nRemoves agents' workspaces and transcripts of runs whose gates were judged; reports stay.\n\nflags:")
		flags.PrintDefaults()
	}
	results := flags.String("results", dail.DefaultResults, "`folder` of the reports")
	yes := flags.Bool("yes", false, "remove them; without it nothing is touched")
	age := flags.Duration("age", 0, "only of runs whose report is at least so old, such as 168h")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "prune: %q is no flag; see prune -h\n", flags.Arg(0))
		return 2
	}
	all, err := report.FindArtifacts(*results)
	if err != nil {
		fmt.Fprintln(stderr, "prune:", err)
	}
	var bytes int64
	for _, a := range all {
		size := fmt.Sprintf("%8.1f MB  %6d files", float64(a.Bytes)/1e6, a.Files)
		switch young := tooYoung(a, *age); {
		case a.Needed != "":
			fmt.Fprintf(stdout, "kept          %s  %s: %s\n", size, a.Path, a.Needed)
			continue
		case young:
			fmt.Fprintf(stdout, "kept          %s  %s: younger than %v\n", size, a.Path, *age)
			continue
		case !*yes:
			fmt.Fprintf(stdout, "would remove  %s  %s\n", size, a.Path)
		default:
			if e := a.Remove(); e != nil {
				fmt.Fprintln(stderr, "prune:", e)
				err = e
				continue
			}
			fmt.Fprintf(stdout, "removed       %s  %s\n", size, a.Path)
		}
		bytes += a.Bytes
	}
	if *yes {
		fmt.Fprintf(stdout, "%.1f MB freed\n", float64(bytes)/1e6)
	} else {
		fmt.Fprintf(stdout, "%.1f MB could be freed: -yes does it\n", float64(bytes)/1e6)
	}
	if err != nil {
		return 1
	}
	return 0
}

// tooYoung reports whether a run ended less than age ago.
func tooYoung(a report.Artifacts, age time.Duration) bool {
	info, err := os.Stat(filepath.Join(filepath.Dir(a.Path), report.FileName))
	return err != nil || time.Since(info.ModTime()) < age
}
