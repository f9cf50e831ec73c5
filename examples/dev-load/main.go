// Dev-load is the capacity run: N real Claude Code agents at once build the
// same TypeScript library, for each team size N, against one model on one GPU
// type. At the end stands which sizes hold the SLO, and what a developer costs.
//
//	dev-load -model qwen3-coder -hardware l40s -devs 4,8
//
// The default provider is a simulated GPU: it costs nothing, and every figure
// is labelled so. Exit status: 0 for a valid, complete run (also where no size
// holds the SLO: that is an answer), 1 for a failed, truncated or invalid one,
// 2 for a refusal, before which nothing was created.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/x/dail"
	"github.com/x/dail/pod"
	"github.com/x/dail/report"
)

func main() {
	pod.Main() // so that no pod is left behind if this program is killed
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program: flags in, a table on stdout, progress on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cfg dail.Config
	flags := flag.NewFlagSet("dev-load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: dev-load [flags]\n\nWhich team sizes does one model on one GPU type hold within the SLO, and at what $/dev-month?\n\nflags:")
		flags.PrintDefaults()
	}
	cfg.LoadFlags(flags)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "dev-load: %q is no flag; see dev-load -h\n", flags.Arg(0))
		return 2
	}

	plan, err := cfg.Plan()
	if err == nil && cfg.Explain {
		fmt.Fprint(stdout, plan.Run.Explain())
		return 0
	}
	var rep *report.Report
	if err == nil {
		plan.Progress = stderr
		rep, err = dail.Run(ctx, plan)
	}
	if rep != nil {
		report.Table(stdout, rep)
	}
	if err != nil {
		fmt.Fprintln(stderr, "dev-load:", err)
	}
	return dail.ExitStatus(rep, err)
}
