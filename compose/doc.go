// Package compose merges the three axes of a run, a benchmark, a model and a
// hardware, into one flat configuration, and refuses what could not be served
// before anything is created or paid for.
//
// Each axis is a YAML file in an [io/fs.FS]: models/*.yaml and hardware/*.yaml
// in the configuration layers, <name>/scenario.yaml in the benchmark layers.
// Adding a model, a GPU or a benchmark is adding a file. A later layer shadows
// an earlier one, so that a local folder overlays what a program embeds.
//
//	run, err := compose.Merge(compose.Request{
//		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
//		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
//		Benchmark:  "dev-load", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
//	})
//	if err != nil {
//		for _, fault := range compose.Faults(err) {
//			fmt.Fprintln(os.Stderr, fault) // file:line:column: key: what; what to do
//		}
//	}
//	fmt.Print(run.Explain())          // each key, its value, and where it came from
//	fmt.Println(run.VLLMArgs())       // what follows "vllm serve"
//
// Beside the axes, [APIs] reads apis/*.yaml of the same layers: hosted APIs whose
// bill a run's cost is compared with.
//
// # What is refused
//
// Files are read strictly: an unknown key, a wrong type, a repeated key or a
// missing required one is a fault, which names the file, the line, the column,
// the key and the nearest known name. So is a model, hardware, benchmark or
// quant that does not exist, and two model files that describe the same
// variant. All faults that can be found are reported at once, as *[Error]s
// joined by [errors.Join].
//
// A combination is refused if its weights do not fit the GPUs, if the KV cache
// that is left cannot hold one context ([Run.Memory]), or if the model cannot
// be cut into as many parts as there are GPUs; the message has the numbers, and
// what would do. Where a model's architecture or a hardware's gpu facts are not
// given, this cannot be checked, and is not.
//
// # Precedence
//
// For a key of [Serving]: constants < model < hardware < benchmark.serving. A
// key is replaced whole. Three are derived: tensor_parallel_size is the number
// of GPUs; max_num_seqs is max(devs, serving.max_num_seqs,
// saturation_probe.concurrency); max_model_len is what is asked for, but at
// most the hardware's and the model's cap.
//
// A saturation probe is the scenario's saturation_probe, or [DefaultProbe] where
// the request asks for one; its prompts have [ProbePromptRatio] times the tokens
// of its answers where prompt_tokens is not given.
package compose
