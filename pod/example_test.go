package pod_test

import (
	"context"
	"fmt"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
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

// What a run would cost, before anything is created. Without URL it is RunPod
// that is asked; here it is its double.
func ExampleRunPod() {
	cloud, err := podtest.NewServer(podtest.Config{NoMachines: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	run, err := compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark:  "smoke", Model: "qwen3-coder", Hardware: "h100-sxm", GPUs: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := &pod.RunPod{Key: pod.Secret(cloud.Key), URL: cloud.URL}
	offers, err := p.Offers(context.Background(), run)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d × %s for $%.2f/h, says %s\n", offers[0].GPUs, offers[0].GPU, offers[0].USDPerHour, offers[0].PriceSource)
	fmt.Println(p.Key)
	// Output:
	// 2 × NVIDIA H100 80GB HBM3 for $7.98/h, says RunPod's catalogue
	// [redacted]
}
