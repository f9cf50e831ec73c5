// Package report is what a run writes down: report.json with every type in it,
// where it lies, and how it is shown in a terminal.
//
// A run makes a report, writes it after every level, and finishes the levels
// when their gates have run:
//
//	place := report.Place{Root: "results", Family: "qwen3-coder", Quant: "fp8", Hardware: "l40s", GPUs: 1, Benchmark: "dev-load"}
//	err := place.Create(time.Now()) // sets place.RunID
//	r := &report.Report{RunID: place.RunID, Source: report.Simulated, PriceUSDPerGPUHour: 0.79, GPUCount: 1, …}
//	r.ByDevs = append(r.ByDevs, r.NewLevel(8, figures, agents)) // valid: null, gates: pending
//	err = r.Write(place.Report())                               // atomic
//	… gates run …
//	r.ByDevs[0].Agents[i].Gates = verdict.Results
//	r.ByDevs[0] = report.Finish(r.ByDevs[0])
//	r.AddStep("generation", took)
//	err = r.Write(place.Report())
//	err = report.Table(os.Stdout, r)
//
// # What a reader may rely on
//
// The keys of the original lab's report.json keep their names, their meaning
// and their plain numbers; new figures have keys of their own ("bounds",
// "perceived", "window", …). [Load] reads the original's files too, whichever
// way their folders are nested, and calls their source "imported", so that
// nothing shows them as measured by these definitions. Where something was not
// measured the key is missing or null, never 0.
//
// schema.json describes what [Report.Write] writes; [Schema] returns it.
package report
