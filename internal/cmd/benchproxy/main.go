// Benchproxy measures what a gateway adds to a model request, on one machine
// and in one run: the gateways of package proxy, a proxy that copies bytes and
// looks at none of them, no proxy at all, and LiteLLM where it is asked for.
//
//	benchproxy [-quick] [-litellm] [-long 20m [-claude PATH]] [-o FILE]
//
// Every path is a process of its own: this program, started again. Behind all
// of them stands one double of vLLM that answers after -upstream-delay. The
// paths take turns, a short while each, so that a drift of the machine hits
// all alike. The workers of a turn begin one after another, spread over the time
// of one answer: agents do not act in step.
//
// It prints a table, the targets with their figures, and as its last line the
// same as one line of JSON. It exits with 1 where a target was missed, a
// request failed, or it was interrupted; with 2 where a flag makes no sense.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/x/dail/internal/harness"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == roleFlag {
		os.Exit(roleMain(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags.
type options struct {
	concurrency []int
	paths       []string
	rounds      int
	slice       time.Duration
	warmUp      time.Duration
	delay       time.Duration
	bodyBytes   int
	soak        int
	long        time.Duration
	claude      string
	litellm     bool
	out         string
	profile     string
	quick       bool
}

const usage = `Measures what a gateway adds to a model request, in one run on this machine.

  direct    client -> server, no gateway
  copy      client -> a proxy that copies bytes -> server: the least that any gateway costs
  native    client (Claude Messages, streaming) -> proxy.Messages -> server
  destream  client (OpenAI chat, streaming) -> proxy.Destream -> server
  litellm   client (Claude Messages, streaming) -> LiteLLM -> server; only with -litellm

The server is a double of vLLM. Figures are in milliseconds; "+direct" and
"+copy" are what a path adds to those paths' figures.

`

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("benchproxy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	levels := fs.String("concurrency", "1,8,64", "requests at the same time, a `list`")
	paths := fs.String("paths", "direct,copy,native,destream", "which `list` of paths to measure")
	fs.IntVar(&o.rounds, "rounds", 10, "turns of each path, at each concurrency")
	fs.DurationVar(&o.slice, "slice", 2*time.Second, "how `long` a path's turn is")
	fs.DurationVar(&o.warmUp, "warm-up", time.Second, "how `long` each path runs before its figures count")
	fs.DurationVar(&o.delay, "upstream-delay", 50*time.Millisecond, "how `long` the server takes for an answer")
	fs.IntVar(&o.bodyBytes, "body", 75_000, "`bytes` of a request")
	fs.IntVar(&o.soak, "soak", 100_000, "`requests` for the memory test of the native gateway; 0 leaves it out")
	fs.DurationVar(&o.long, "long", 0, "also one answer that takes this `long`, through the native gateway")
	fs.StringVar(&o.claude, "claude", "", "`path` of a Claude Code that asks for the -long answer too")
	fs.BoolVar(&o.litellm, "litellm", false, "measure the pinned LiteLLM too (installed on first use; needs Python 3.10)")
	fs.StringVar(&o.out, "o", "", "also write the JSON to this `file`")
	fs.StringVar(&o.profile, "profile", "", "write the native gateway's CPU profile to this `file`")
	fs.BoolVar(&o.quick, "quick", false, "a few hundred requests, to see that it works; its figures are not judged")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		quicken(&o, fs)
	}
	o.paths = strings.Split(*paths, ",")
	if o.litellm && !slices.Contains(o.paths, "litellm") {
		o.paths = append(o.paths, "litellm")
	}
	err := o.check(fs.Args())
	for _, s := range strings.Split(*levels, ",") {
		n, bad := strconv.Atoi(strings.TrimSpace(s))
		if bad != nil || n < 1 || n > maxAgents {
			err = errors.Join(err, fmt.Errorf("-concurrency %q: each must be a number from 1 to %d", s, maxAgents))
		}
		o.concurrency = append(o.concurrency, n)
	}
	if err != nil {
		fmt.Fprintln(stderr, "benchproxy:", err)
	}
	return o, err
}

// quicken replaces the defaults, not what was asked for, by small figures.
func quicken(o *options, fs *flag.FlagSet) {
	asked := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { asked[f.Name] = true })
	for name, value := range map[string]string{
		"rounds": "2", "slice": "100ms", "warm-up": "50ms", "upstream-delay": "5ms", "soak": "200", "concurrency": "1,8",
	} {
		if !asked[name] {
			fs.Set(name, value)
		}
	}
}

func (o *options) check(rest []string) error {
	var err error
	known := []string{"direct", "copy", "native", "destream", "litellm"}
	for _, p := range o.paths {
		if !slices.Contains(known, p) {
			err = errors.Join(err, fmt.Errorf("-paths %q: the paths are %s", p, strings.Join(known, ", ")))
		}
	}
	if o.rounds < 1 || o.slice <= 0 || o.delay < 0 || o.warmUp < 0 || o.long < 0 {
		err = errors.Join(err, errors.New("-rounds and -slice must be positive, the other times not negative"))
	}
	if o.bodyBytes < minBody {
		err = errors.Join(err, fmt.Errorf("-body %d: a request of Claude Code has at least %d bytes", o.bodyBytes, minBody))
	}
	if o.soak != 0 && o.soak < soakSamples {
		err = errors.Join(err, fmt.Errorf("-soak %d: at least %d, or 0 for none", o.soak, soakSamples))
	}
	if o.claude != "" && o.long == 0 {
		err = errors.Join(err, errors.New("-claude is for -long: say how long its answer takes"))
	}
	if len(rest) > 0 {
		err = errors.Join(err, fmt.Errorf("unexpected arguments: %q", rest))
	}
	return err
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	rep, err := measure(ctx, o, stderr)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(stderr, "benchproxy:", err)
		return 1
	}
	rep.print(stdout)
	line, err := json.Marshal(rep)
	if err == nil && o.out != "" {
		err = os.WriteFile(o.out, append(line, '\n'), 0o644)
	}
	if err != nil {
		fmt.Fprintln(stderr, "benchproxy:", err)
		return 1
	}
	fmt.Fprintf(stdout, "%s\n", line)
	if !rep.Pass {
		return 1
	}
	return 0
}

// measure runs all parts.
func measure(ctx context.Context, o options, stderr io.Writer) (*report, error) {
	began := time.Now()
	machine := harness.Start()
	stopped := false
	stop := func() harness.Usage { stopped = true; return machine.Stop() }
	defer func() {
		if !stopped {
			stop()
		}
	}()
	rep := newReport(o, began)
	rows, err := compare(ctx, o, stderr)
	if err != nil {
		return nil, err
	}
	rep.Rows = rows
	if o.soak > 0 {
		if rep.Soak, err = soak(ctx, o, stderr); err != nil {
			return nil, fmt.Errorf("soak: %w", err)
		}
	}
	if o.long > 0 {
		if rep.Long, err = long(ctx, o, stderr); err != nil {
			return nil, fmt.Errorf("long: %w", err)
		}
	}
	rep.judge(o)
	u := stop()
	rep.Machine.CPUShare, rep.Machine.TimerDelayP99MS = u.CPUShare, ms(u.DelayP99)
	rep.WallS = time.Since(began).Seconds()
	return rep, nil
}
