// Toolchain installs the pinned programs that agents and gates use (Claude
// Code, TypeScript, Vitest), where they are not installed yet, and prints the
// folder. The test scripts use it.
//
//	toolchain                            the programs on this machine
//	toolchain -image                     the image that holds them, in the Docker engine
//	toolchain -image -benchmark NAME     a benchmark's own, over that
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/x/dail"
)

func main() {
	image := flag.Bool("image", false, "build the agents' container image and print its name")
	benchmark := flag.String("benchmark", dail.DefaultBenchmark, "benchmark `name`, or the path of a scenario.yaml, whose image it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name, err := ensure(ctx, *image, *benchmark)
	if err != nil {
		fmt.Fprintln(os.Stderr, "toolchain:", err)
		os.Exit(1)
	}
	fmt.Println(name)
}

func ensure(ctx context.Context, image bool, benchmark string) (string, error) {
	if !image {
		tc, err := dail.Toolchain(ctx, os.Stderr)
		return tc.Dir, err
	}
	plan, err := dail.Config{Benchmark: benchmark}.Plan()
	if err != nil {
		return "", err
	}
	env, err := dail.LoadEnv()
	if err != nil {
		return "", err
	}
	r, err := dail.Containers(env, plan.Run)
	if err != nil {
		return "", err
	}
	err = r.Provision(ctx, os.Stderr)
	return r.Image, err
}
