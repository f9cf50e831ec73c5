// Toolchain installs the pinned programs that agents and gates use (Claude
// Code, TypeScript, Vitest), where they are not installed yet, and prints the
// folder. The test scripts use it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/x/dail"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := dail.Toolchain(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "toolchain:", err)
		os.Exit(1)
	}
	fmt.Println(dir.Dir)
}
