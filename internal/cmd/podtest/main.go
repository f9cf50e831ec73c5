// Podtest is a double of RunPod's cloud on this machine, to try programs
// against that would rent a GPU: REST v2 as the OpenAPI document has it, and
// machines that one can log in to, whose vllm is a simulated engine.
//
//	podtest -benchmark dev-load -model qwen3-coder -hardware l40s -gpus 1
//	podtest -fault create-500=1 -fault ssh-drops=2 -fault create-late:40s=1
//	podtest -faults          # lists what can go wrong
//
// It prints the command line to use, shows every call on stderr, and runs until
// Ctrl-C. Then it prints the bill. Exit status: 0 when every pod was given
// back, 1 when one is still alive or the double broke its own contract, 2 for
// bad input.
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
	"text/tabwriter"

	"github.com/x/dail"
	"github.com/x/dail/pod/podtest"
)

func main() {
	podtest.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg := dail.Config{Benchmark: dail.DefaultBenchmark, Model: dail.DefaultModel, Hardware: dail.DefaultHardware, GPUs: 1}
	server := podtest.Config{Log: stderr}
	var faults faultFlags
	flags := flag.NewFlagSet("podtest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.Benchmark, "benchmark", cfg.Benchmark, "benchmark `name` whose answers the pods' vllm knows")
	flags.StringVar(&cfg.Model, "model", cfg.Model, "model `family` that they serve")
	flags.StringVar(&cfg.Hardware, "hardware", cfg.Hardware, "GPU type that the engine simulates: a file's `name` in configs/hardware")
	flags.IntVar(&cfg.GPUs, "gpus", cfg.GPUs, "`number` of GPUs")
	flags.StringVar(&cfg.Quant, "quant", "", "force this `variant` of the model")
	flags.StringVar(&cfg.Configs, "configs", "", "`folder` with models/ and hardware/ of your own, over the built-in ones")
	flags.StringVar(&server.Addr, "addr", "127.0.0.1:0", "loopback `address` to listen on")
	flags.StringVar(&server.Sshd, "sshd", "", "`path` of OpenSSH's sshd, to log in through it (default: a server of podtest's own)")
	flags.StringVar(&server.Root, "root", "", "`folder` to keep the machines' disks in (default: a temporary one)")
	flags.DurationVar(&server.Boot, "boot", 0, "`time` from a create to a machine that can be reached (default 200ms)")
	flags.DurationVar(&server.Startup, "startup", 0, "`time` that vllm takes to start (default 300ms)")
	flags.Float64Var(&server.Balance, "balance", 0, "the account's credit in `USD` (default 100)")
	flags.Var(&faults, "fault", "`NAME=TIMES` or NAME:PARAMETER=TIMES: what goes wrong, and how often (-1: always); may be given again")
	list := flags.Bool("faults", false, "list the faults, and stop")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "podtest: %q is no flag; see podtest -h\n", flags.Arg(0))
		return 2
	}
	if *list {
		for _, f := range podtest.Faults() {
			fmt.Fprintln(stdout, f)
		}
		return 0
	}
	plan, err := cfg.Plan()
	if err != nil {
		fmt.Fprintln(stderr, "podtest:", err)
		return 2
	}
	server.Run = plan.Run
	return serve(ctx, cfg, server, faults, stdout, stderr)
}

func serve(ctx context.Context, cfg dail.Config, server podtest.Config, faults faultFlags, stdout, stderr io.Writer) int {
	srv, err := podtest.NewServer(server)
	if err != nil {
		fmt.Fprintln(stderr, "podtest:", err)
		return 2
	}
	for _, f := range faults {
		srv.Inject(f.fault, f.times)
	}
	key, forget, err := sshKey()
	if err != nil {
		srv.Close()
		fmt.Fprintln(stderr, "podtest:", err)
		return 1
	}
	defer forget()
	fmt.Fprintf(stdout, "URL  %s\nkey  %s (good here only)\n\nRUNPOD_API_KEY=%s SSH_KEY_PATH=%s \\\n  bin/dev-load -provider runpod -runpod-url %s -runner local -allow-host-exec \\\n  -benchmark %s -model %s -hardware %s -gpus %d%s\n\n",
		srv.URL, srv.Key, srv.Key, key, srv.URL, cfg.Benchmark, cfg.Model, cfg.Hardware, cfg.GPUs, quant(cfg))
	fmt.Fprintln(stdout, "Ctrl-C ends it, and prints the bill.")
	<-ctx.Done()

	alive, touched := srv.Alive(), srv.Touched()
	bill(stdout, srv.Bill())
	status := 0
	for _, p := range alive {
		fmt.Fprintf(stdout, "STILL ALIVE: %s %s, %s, $%g an hour\n", p.ID, p.Name, p.Status, p.USDPerHour)
		status = 1
	}
	for _, p := range touched {
		fmt.Fprintf(stdout, "TOUCHED, though it is somebody else's: %s %s\n", p.ID, p.Name)
		status = 1
	}
	if err := srv.Close(); err != nil {
		fmt.Fprintln(stderr, "podtest:", err)
		status = 1
	}
	for _, v := range srv.Violations() {
		fmt.Fprintln(stderr, "podtest: BROKEN CONTRACT:", v)
		status = 1
	}
	return status
}

func quant(cfg dail.Config) string {
	if cfg.Quant == "" {
		return ""
	}
	return " -quant " + cfg.Quant
}

// bill prints what each pod cost.
func bill(w io.Writer, lines []podtest.Line) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\npod\tname\tseconds\tUSD/hour\tUSD")
	sum := 0.0
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.2f\t%.4f\n", l.PodID, l.Name, l.Seconds, l.USDPerHour, l.USD)
		sum += l.USD
	}
	fmt.Fprintf(t, "%d pods\t\t\t\t%.4f\n", len(lines), sum)
	t.Flush()
}

// faultFlags collects -fault NAME=TIMES.
type faultFlags []struct {
	fault podtest.Fault
	times int
}

func (f *faultFlags) String() string { return "" }

// Set implements [flag.Value].
func (f *faultFlags) Set(text string) error {
	name, count := text, "1"
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		name, count = text[:i], text[i+1:]
	}
	fault, err := podtest.ParseFault(name)
	if err != nil {
		return err
	}
	times, err := strconv.Atoi(count)
	if err != nil {
		return fmt.Errorf("%q is no number of times", count)
	}
	*f = append(*f, struct {
		fault podtest.Fault
		times int
	}{fault, times})
	return nil
}
