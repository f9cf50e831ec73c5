// Smoke is the pre-flight: one agent, one small task, to see that serving,
// gateway, agent and gates work together before a capacity run is paid for.
//
//	smoke -hardware l40s
//
// Exit status: 0 where everything worked, 1 where it did not, 2 for a refusal.
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
	cfg := dail.Config{Benchmark: "smoke"}
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: smoke [flags]\n\nOne agent, one small task: does the whole chain work?\n\nflags:")
		flags.PrintDefaults()
	}
	cfg.Flags(flags)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "smoke: %q is no flag; see smoke -h\n", flags.Arg(0))
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
		plan.APIs = nil // one small task says nothing about a month's bill
		rep, err = dail.Run(ctx, plan)
	}
	if rep != nil {
		report.Table(stdout, rep)
	}
	if err != nil {
		fmt.Fprintln(stderr, "smoke:", err)
	}
	return dail.ExitStatus(rep, err)
}
