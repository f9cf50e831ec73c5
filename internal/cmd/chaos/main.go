// Chaos kills runs at random points, with random faults of the cloud, and
// counts the pods that are left.
//
//	chaos [-trials 500] [-seed 1] [-at-once 4] [-control watchdog|switch]
//
// It prints a table, and as its last line one of JSON. It exits with 1 where a
// pod was left or somebody else's was touched. With -control it takes a guard
// out, and must then exit with 1. A pod is left that lives longer than promised,
// so the machine should have nothing else to do.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/x/dail/internal/chaos"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

func main() {
	pod.Main()
	podtest.Main()
	chaos.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	opts := chaos.Options{Progress: os.Stderr}
	flag.IntVar(&opts.Trials, "trials", 500, "how many `trials`")
	flag.Uint64Var(&opts.Seed, "seed", 1, "the same `seed` makes the same trials")
	flag.IntVar(&opts.AtOnce, "at-once", 4, "trials at the same time")
	control := flag.String("control", "", "take a `guard` out (watchdog, switch): this must be noticed")
	flag.Parse()
	opts.Control = chaos.Control(*control)

	began := time.Now()
	res, err := chaos.Run(ctx, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	fmt.Printf("%-28s %7s %6s %15s\n", "how the program ended", "trials", "left", "longest alive")
	for _, k := range slices.Sorted(maps.Keys(res.ByKill)) {
		row := res.ByKill[k]
		fmt.Printf("%-28s %7d %6d %14.0fs\n", k, row.Trials, row.Left, row.Longest.Seconds())
	}
	for _, f := range res.Failures {
		fmt.Println("FAILED", f)
	}
	fmt.Printf("%d trials with %d kills and %d faults in %v: %d pods left, %d of others touched\n",
		res.Trials, res.Kills, res.Faults, time.Since(began).Round(time.Second), res.PodsLeft, res.ForeignTouched)
	line, err := json.Marshal(struct {
		Bench          string  `json:"bench"`
		Trials         int     `json:"trials"`
		Kills          int     `json:"kills"`
		Faults         int     `json:"faults"`
		PodsLeft       int     `json:"pods_left"`
		ForeignTouched int     `json:"foreign_pods_touched"`
		LongestAlive   float64 `json:"longest_alive_s"`
	}{"chaos", res.Trials, res.Kills, res.Faults, res.PodsLeft, res.ForeignTouched, res.LongestAlive.Seconds()})
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	fmt.Println(string(line))
	if res.Err() != nil {
		return 1
	}
	return 0
}
