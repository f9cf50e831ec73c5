// Podtest is a double of RunPod's cloud on this machine: a server that answers
// REST v2, whose pods are processes here that one can log in to. It is for
// trying -provider runpod without a key and without money.
//
//	podtest [-model qwen3-coder] [-hardware l40s] [-fault NAME[:PARAM][=TIMES]]… [-sshd PATH]
//
// It prints what to run against it, stays until Ctrl-C, and then prints the
// bill. It exits with 1 where a pod is still billed then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/x/dail"
	"github.com/x/dail/pod/podtest"
)

func main() {
	podtest.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cfg dail.Config
	var srv podtest.Config
	faults := map[podtest.Fault]int{}
	flags := flag.NewFlagSet("podtest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.Benchmark, "benchmark", dail.DefaultBenchmark, "benchmark `name`, whose cassette the pods' vLLM plays")
	flags.StringVar(&cfg.Model, "model", dail.DefaultModel, "model `family` that the pods' vLLM serves")
	flags.StringVar(&cfg.Hardware, "hardware", dail.DefaultHardware, "GPU type that the engine is a model of")
	flags.IntVar(&cfg.GPUs, "gpus", 1, "`number` of GPUs")
	flags.StringVar(&srv.Sshd, "sshd", "", "`path` of OpenSSH's sshd, to serve logins with")
	flags.Func("fault", "a `fault` that happens, and how often, such as create-500 or delete-500=3 or create-late:20s; may be repeated; \"list\" lists them", func(s string) error {
		return addFault(faults, s)
	})
	verbose := flags.Bool("v", false, "print every call")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	plan, err := cfg.Plan()
	if err != nil {
		fmt.Fprintln(stderr, "podtest:", err)
		return 2
	}
	srv.Run = plan.Run
	if *verbose {
		srv.Log = stderr
	}
	s, err := podtest.NewServer(srv)
	if err != nil {
		fmt.Fprintln(stderr, "podtest:", err)
		return 1
	}
	for f, times := range faults {
		s.Inject(f, times)
	}
	fmt.Fprintf(stdout, "A double of RunPod's REST v2 is at %s until Ctrl-C. In another terminal:\n\n", s.URL)
	fmt.Fprintf(stdout, "  [ -e /tmp/dail-podtest-key ] || ssh-keygen -q -t ed25519 -N \"\" -f /tmp/dail-podtest-key\n")
	fmt.Fprintf(stdout, "  export RUNPOD_API_KEY=%s SSH_KEY_PATH=/tmp/dail-podtest-key\n", s.Key)
	fmt.Fprintf(stdout, "  make run PROVIDER=runpod RUNPOD_URL=%s ALLOW_HOST_EXEC=1 BENCHMARK=%s MODEL=%s HARDWARE=%s GPUS=%d\n\n",
		s.URL, cfg.Benchmark, cfg.Model, cfg.Hardware, cfg.GPUs)
	<-ctx.Done()
	alive := s.Alive()
	bill(stdout, s.Bill())
	status := 0
	for _, p := range alive {
		fmt.Fprintf(stderr, "podtest: pod %s (%s) was still alive, and billed\n", p.ID, p.Name)
		status = 1
	}
	for _, v := range s.Violations() {
		fmt.Fprintln(stderr, "podtest: against the contract:", v)
		status = 1
	}
	if err := s.Close(); err != nil {
		fmt.Fprintln(stderr, "podtest:", err)
		status = 1
	}
	return status
}

func addFault(faults map[podtest.Fault]int, text string) error {
	if text == "list" {
		var names []string
		for _, f := range podtest.Faults() {
			names = append(names, string(f))
		}
		return errors.New("the faults are: " + strings.Join(names, " "))
	}
	name, count, counted := strings.Cut(text, "=")
	f, err := podtest.ParseFault(name)
	if err != nil {
		return err
	}
	faults[f] = 1
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil {
			return fmt.Errorf("%q is no number of times", count)
		}
		faults[f] = n
	}
	return nil
}

func bill(w io.Writer, lines []podtest.Line) {
	fmt.Fprintf(w, "\n%-16s %-34s %8s %9s %9s\n", "pod", "name", "seconds", "$/h", "$")
	total := 0.0
	for _, l := range lines {
		fmt.Fprintf(w, "%-16s %-34s %8.1f %9.2f %9.4f\n", l.PodID, l.Name, l.Seconds, l.USDPerHour, l.USD)
		total += l.USD
	}
	fmt.Fprintf(w, "%-16s %-34s %8s %9s %9.4f\n", "together", "", "", "", total)
}
