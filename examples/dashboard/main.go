// Dashboard shows all reports as one page: the answer first, then what it rests
// on. It writes results/dashboard.html, one file that opens anywhere without a
// network, and serves it on this machine, live: a level that a run has just
// finished appears by itself.
//
//	dashboard                      # writes results/dashboard.html, serves it
//	dashboard -o team.html         # writes that file, and stops
//
// Exit status: 0 when it was stopped or the file is written, 1 when a report or
// the file could not be read or written, 2 for a refusal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/x/dail"
	"github.com/x/dail/report/dashboard"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("dashboard", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: dashboard [flags]\n\nOne page of all reports: which GPU serves the team, at what price, and on what evidence.\n\nflags:")
		flags.PrintDefaults()
	}
	results := flags.String("results", dail.DefaultResults, "`folder` of the reports")
	out := flags.String("o", "", "write this `file` only, and serve nothing")
	listen := flags.String("listen", "127.0.0.1:8090", "`address` to serve on; it should be this machine's own")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "dashboard: %q is no flag; see dashboard -h\n", flags.Arg(0))
		return 2
	}
	path := *out
	if path == "" {
		path = filepath.Join(*results, "dashboard.html")
	}
	n, err := dashboard.WriteFile(path, *results)
	if err != nil {
		fmt.Fprintln(stderr, "dashboard:", err)
		if n == 0 {
			return 1
		}
	}
	fmt.Fprintf(stdout, "%s: %d reports\n", path, n)
	if *out != "" {
		if err != nil {
			return 1
		}
		return 0
	}
	err = dashboard.Serve(ctx, *listen, *results, func(url string) {
		fmt.Fprintf(stdout, "%s shows them, and new ones as they come; Ctrl-C ends it\n", url)
	})
	if err != nil {
		fmt.Fprintln(stderr, "dashboard:", err)
		return 1
	}
	return 0
}
