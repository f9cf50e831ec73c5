package container_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/x/dail/agents"
	"github.com/x/dail/agents/container"
	"github.com/x/dail/infra/toolchain"
)

// The image's name says all that it is made of; what is there is not built again.
func ExampleImage_Tag() {
	tag, err := container.Image{Toolchain: toolchain.FS()}.Tag()
	if err != nil {
		fmt.Println(err)
		return
	}
	name, hash, _ := strings.Cut(tag, ":")
	fmt.Println(name, len(hash))
	// Output: dail-toolchain 12
}

// One agent's place, in a container of its own. It needs an engine, so it is only
// compiled here; the tests of this package run the like.
func ExampleRunner() {
	ctx := context.Background()
	runner := &container.Runner{
		Source: container.Image{Toolchain: toolchain.FS()},
		Owner:  "kim@box", Run: "20261124-101500",
		Limits: container.Limits{MemoryMB: 2048},
	}
	if err := runner.Provision(ctx, os.Stderr); err != nil {
		fmt.Println(err)
		return
	}
	place, err := runner.Open(ctx, agents.PlaceSpec{Name: "n4-agent2", Workspace: "workspace", Gateway: "http://127.0.0.1:4000"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer place.Close(ctx)
	exit, err := place.Run(ctx, agents.Command{Argv: []string{"claude", "--version"}, Stdout: os.Stdout})
	fmt.Println(exit.Code, err)
}
