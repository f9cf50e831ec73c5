// Package sim is a simulated inference engine: it behaves like a vLLM server
// on a GPU that is not there. Only the GPU is simulated. Clients are real,
// requests are real, the answers come from a recording, and the time that they
// take comes from a model of the card.
//
// Four things stand on one another, and each can be used without the next:
//
//   - A [StepModel] says how long one step of a batch takes: [Roofline] for a
//     model on a card, [Fixed] where the answer must be known beforehand.
//   - An [Engine] is vLLM's scheduler around it, without a clock: continuous
//     batching, chunked prefill, a paged KV cache with prefix caching,
//     queueing, preemption. It is deterministic, in integer time.
//   - A [Cassette] holds what the model says in each phase of a benchmark.
//   - A [Server] is an engine in real time behind vLLM's HTTP interface.
//
// A server for a composed run:
//
//	cfg, err := sim.ConfigOf(run)                                        // the model on the GPU
//	tape, err := sim.LoadCassette(run.Benchmark.Dir, "cassette.yaml", run.Benchmark.Task.Phases)
//	engine, err := sim.NewServer(cfg, tape)
//	defer engine.Close()
//	err = http.Serve(listener, engine)
//
// # What agrees with a real server, and what does not
//
// Step times agree with sums of measured kernels (vllm-litellm.md §8.4) within
// 15 % in every row: 23 combinations of models and cards, from 1 to 64
// sequences; prefill within 25 %. That is a fit, not a validation: most
// efficiencies come from the separate table §8.3, but the floors were solved
// from the very rows that they are compared with. Kernels are not a server:
// the CPU's share is an assumption (Roofline.CPU), and nothing here was held
// against a GPU.
//
// Scheduling follows vLLM's V1 engine: one token budget for prompts and
// answers, first come first served, the newest request preempted and
// recomputed, 16-token blocks found by the hash of all that precedes them, the
// last token of a prompt always computed. Left out: priorities, LoRA, beam
// search, images, structured output, CPU offload, several engines in one
// server, and CUDA graphs' padding of batches.
//
// Tokens are those of one [Tokenizer], not the simulated model's own.
//
// # Time
//
// A Server's engine keeps an absolute schedule. The wall clock decides when
// requests arrive and when answers leave, and nothing else: each figure in
// /metrics is a difference of an arrival and of scheduled times, so an answer
// that leaves late changes no figure. A client that is slowed down asks later,
// and then the load is another. Time is never scaled.
package sim
