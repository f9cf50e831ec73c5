package pod_test

import (
	"context"
	"fmt"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/pod"
)

// A simulated pod serves the composed model from this process, and says that it
// is simulated.
func ExampleUp() {
	run, err := compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark:  "smoke", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	p, err := pod.Up(ctx, &pod.Simulated{}, run, pod.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Provider, p.Simulated, p.MaxModelLen)
	fmt.Println(p.Down(ctx))
	// Output:
	// simulated true 65536
	// <nil>
}
