package compose_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/x/dail/compose"
)

// exampleRequest stands for configs.FS() and benchmarks.FS().
func exampleRequest() compose.Request {
	return compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: os.DirFS("testdata/good")}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: os.DirFS("testdata/good/bench")}},
		Benchmark:  "load", Model: "coder", Hardware: "mid", GPUs: 1,
	}
}

func ExampleMerge() {
	run, err := compose.Merge(exampleRequest())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s-%s on %d × %s for teams of %v, $%.2f per hour\n",
		run.Model.Family, run.Model.Quant, run.GPUs, run.Hardware.Key, run.Devs, run.CostPerHour())
	fmt.Println("vllm serve", strings.Join(run.VLLMArgs()[:5], " "), "…")
	// Output:
	// coder-fp8 on 1 × mid for teams of [4 8], $0.99 per hour
	// vllm serve Acme/Coder-30B-FP8 --host 127.0.0.1 --port 8000 …
}

func ExampleMerge_refused() {
	req := exampleRequest()
	req.Hardware, req.Quant, req.Devs = "smal", "bf16", []int{0}
	_, err := compose.Merge(req)
	for _, fault := range compose.Faults(err) {
		fmt.Println(fault)
	}
	// Output:
	// -devs: 0 is no team size; a team has at least 1 developer
	// -hardware: no hardware is called "smal"; did you mean small? there is mid, small
	// -quant: coder has no variant "bf16"; there is awq, fp8
}

func ExampleRun_Explain() {
	req := exampleRequest()
	req.Hardware = "small"
	run, err := compose.Merge(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(run.Explain()) {
		if strings.HasPrefix(line, "serving.max_") {
			fmt.Print(strings.Join(strings.Fields(line), " "), "\n")
		}
	}
	// Output:
	// serving.max_model_len 40960 configs/hardware/small.yaml:5 (the cap; benchmarks/load/scenario.yaml:8 asks for 65536)
	// serving.max_num_seqs 64 derived (serving.max_num_seqs, benchmarks/load/scenario.yaml:9, is above the largest team 8)
}

func ExampleRun_Memory() {
	run, err := compose.Merge(exampleRequest())
	if err != nil {
		fmt.Println(err)
		return
	}
	if m, ok := run.Memory(); ok {
		fmt.Printf("%.1f GB for the KV cache: %d tokens at %d bytes\n", m.KVGB(), m.KVTokens, m.KVBytesPerToken)
	}
	// Output:
	// 12.0 GB for the KV cache: 122576 tokens at 98304 bytes
}
