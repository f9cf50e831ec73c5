// Gates judges a workspace that was kept once more, by the gates of its run's
// benchmark, and shows what the failing ones printed.
//
//	gates -workspace results/…/artifacts/n4/agent2/workspace
//
// The work of a real model is judged in a container; see dev-load's -runner. Exit
// status: 0 all gates pass, 1 one does not, 2 bad input or a refusal.
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
	"strings"
	"syscall"

	"github.com/x/dail"
	"github.com/x/dail/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cfg dail.Config
	flags := flag.NewFlagSet("gates", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: gates -workspace DIR [flags]\n\nJudges a kept workspace by its benchmark's gates; it is only read.\n\nflags:")
		flags.PrintDefaults()
	}
	workspace := flags.String("workspace", "", "the `folder` to judge")
	flags.StringVar(&cfg.Benchmark, "benchmark", "", "benchmark `name`, or the path of a scenario.yaml (default: what the run's report above the workspace says)")
	flags.StringVar(&cfg.Runner, "runner", "", "where the gates run: auto, local or docker (default: auto)")
	flags.BoolVar(&cfg.AllowHostExec, "allow-host-exec", false, "run what a real model wrote on this machine, with your rights")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	refuse := func(err error) int {
		fmt.Fprintln(stderr, "gates:", err)
		return 2
	}
	if info, err := os.Stat(*workspace); *workspace == "" || flags.NArg() > 0 || err != nil || !info.IsDir() {
		return refuse(fmt.Errorf("-workspace %q %v: want the folder of an agent's work, and nothing else; see gates -h", *workspace, flags.Args()))
	}
	real := true
	if rep, ok := dail.RunOf(*workspace); ok {
		real = rep.Source != report.Simulated
		if cfg.Benchmark == "" {
			cfg.Benchmark = filepath.Base(rep.Benchmark) // a name: a report sends nobody to a scenario of its own
		}
	} else if cfg.Benchmark == "" {
		return refuse(fmt.Errorf("there is no report above %s that names its benchmark: say -benchmark", *workspace))
	}
	plan, err := cfg.Plan()
	if err != nil {
		return refuse(err)
	}
	plan.Progress = stderr
	v, err := dail.Score(ctx, plan, *workspace, real)
	if errors.As(err, new(*dail.InputError)) {
		return refuse(err)
	}
	for _, g := range v.Results {
		word := "passed"
		if !g.Passed {
			word = "FAILED"
		}
		fmt.Fprintf(stdout, "%s  %-14s %6.1f s  exit status %d\n", word, g.ID, g.Seconds, g.ExitCode)
		if g.EnvError != "" {
			fmt.Fprintf(stdout, "        could not be judged: %s\n", g.EnvError)
		}
		if !g.Passed && g.Output != "" {
			fmt.Fprintln(stdout, "        "+strings.ReplaceAll(strings.TrimSpace(g.Output), "\n", "\n        "))
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "gates:", err)
	}
	if err != nil || !v.Passed {
		return 1
	}
	return 0
}
