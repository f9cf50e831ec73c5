// Reap is the panic button: it ends every machine of ours that a provider
// still has, whatever started it, and says what it left alone and why.
//
//	reap              # mine at RunPod: those with my name and marker
//	reap -dry-run     # only says what it would do
//	reap -all         # my colleagues' too; asks first
//	reap -provider ssh -host kim@box  # what I started on a box, and its lease
//	reap -provider docker   # containers of agents only
//
// Machines that cost money come first. Containers of agents are removed after
// them, whichever the provider, where a container engine answers.
//
// A machine that is kept (-keep) is left until its own time, and one without
// dail's marker is never touched. Exit status: 0 when nothing is left that was
// to be ended, 1 when something could not be ended or seen, 2 for a refusal,
// before which nothing was ended.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/x/dail"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/pod"
)

func main() {
	pod.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program: flags in, a line for each machine on stdout.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var opts pod.ReapOptions
	flags := flag.NewFlagSet("reap", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cfg := dail.Config{Provider: "runpod"}
	flags.StringVar(&cfg.Provider, "provider", cfg.Provider, "whose machines: runpod (its key is RUNPOD_API_KEY), ssh (your own box), docker (no machines: only containers of agents)")
	flags.StringVar(&cfg.RunPodURL, "runpod-url", "", "the API's base `URL`, where it is not RunPod's own")
	flags.StringVar(&cfg.Host, "host", "", "`user@box[:port]` of your own machine, for -provider ssh")
	yes := flags.Bool("yes", false, "with -all: do not ask")
	flags.BoolVar(&opts.All, "all", false, "the machines of other owners too; asks first")
	flags.DurationVar(&opts.Age, "age", 0, "only machines that are at least so old, such as 90m")
	flags.BoolVar(&opts.DryRun, "dry-run", false, "end nothing, and say what would be ended")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "reap: %q is no flag; see reap -h\n", flags.Arg(0))
		return 2
	}
	if cfg.Provider == "docker" {
		return containers(ctx, opts, true, stdout, stderr)
	}
	p, err := cfg.Landlord()
	if err != nil {
		fmt.Fprintf(stderr, "reap: %v; -provider docker removes containers of agents only\n", err)
		return 2
	}
	opts.Confirm = func(machines []pod.Machine) bool { return *yes || ask(machines, stdin, stderr) }
	results, err := pod.Reap(ctx, p, opts)
	for _, r := range results {
		fmt.Fprintf(stdout, "%-10s  %s  %s  $%.2f/h  %s\n", r.Action, r.Machine.ID, r.Machine.Name, r.Machine.USDPerHour, r.Reason)
	}
	switch {
	case errors.Is(err, pod.ErrNotConfirmed):
		fmt.Fprintln(stderr, "reap:", err)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "reap:", err)
	case len(results) == 0:
		fmt.Fprintln(stdout, "nothing of ours is there")
	}
	left := containers(ctx, opts, false, stdout, stderr)
	if err != nil {
		return 1
	}
	return left
}

// containers removes what agents' containers a run has left, and returns the exit
// status. That no engine answers matters only to whoever asked for one.
func containers(ctx context.Context, opts pod.ReapOptions, asked bool, stdout, stderr io.Writer) int {
	engine := container.Engine{}
	if err := engine.Check(ctx); err != nil {
		if asked {
			fmt.Fprintln(stderr, "reap:", err)
			return 2
		}
		return 0
	}
	// Mine only, also with -all: a colleague's costs nothing, and may be at work.
	found, err := container.Reap(ctx, engine, container.ReapOptions{Owner: pod.Owner(), Age: opts.Age, DryRun: opts.DryRun})
	for _, f := range found {
		action := pod.ActionLeft
		switch {
		case f.Removed:
			action = pod.ActionEnded
		case f.Err != nil:
			action = pod.ActionFailed
		case opts.DryRun:
			action = pod.ActionWouldEnd
		}
		fmt.Fprintf(stdout, "%-10s  container %s  of %s, run %s\n", action, f.Name, f.Owner, f.Run)
	}
	if err != nil {
		fmt.Fprintln(stderr, "reap:", err)
		return 1
	}
	if asked && len(found) == 0 {
		fmt.Fprintln(stdout, "no container of ours is there")
	}
	return 0
}

// ask shows what would be ended, and waits for a yes on a terminal.
func ask(machines []pod.Machine, stdin io.Reader, stderr io.Writer) bool {
	for _, m := range machines {
		fmt.Fprintf(stderr, "%s  %s  $%.2f/h  of %s, run %s\n", m.ID, m.Name, m.USDPerHour, m.Marker.Owner, m.Marker.Run)
	}
	if f, ok := stdin.(*os.File); ok {
		if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
			fmt.Fprintln(stderr, "reap: this is no terminal where anybody could be asked: say -yes")
			return false
		}
	}
	fmt.Fprintf(stderr, "end these %d machines? [y/N] ", len(machines))
	answer, _ := bufio.NewReader(stdin).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(answer), "y") || strings.EqualFold(strings.TrimSpace(answer), "yes")
}
