// Package agents runs coding agents, many at once, against a model's gateway.
//
// A [Fleet] is N agents that do the same phases at the same time. Each works in
// a place of its own, with its own workspace, home folder, configuration and
// gateway token; a phase is one headless session of the client, and only files
// pass from one phase to the next.
//
//	fleet := agents.Fleet{
//		N:       4,
//		Agent:   agents.ClaudeCode{Path: toolchain.Claude()},
//		Runner:  agents.Local{Path: []string{toolchain.Bin()}, NodeModules: toolchain.NodeModules()},
//		Dir:     "results/…/artifacts/n4",
//		Name:    "n4",
//		Phases:  []agents.Phase{{ID: "spec", Prompt: "Write docs/spec.md …", AllowedTools: []string{"Read", "Write"}}},
//		BaseURL: "http://127.0.0.1:4000",
//		Model:   "qwen3-coder",
//		Token:   func(agent int, phase string) string { return tokens.Issue(…) },
//		Observe: func(e agents.Event) { … },
//	}
//	results, err := fleet.Run(ctx)
//
// # What can be relied on
//
// One agent's failure never touches its neighbours; it is in that agent's
// [Result]. Phases run in their order, and a phase that failed is followed by
// the next one, as a developer would go on, with one exception: after an error
// of the model's API, or of the client itself, what follows would be load on a
// broken base, so the agent stops there.
//
// A phase succeeded only where everything says so: exit status, result event,
// is_error, subtype, and an answer that is not empty ([PhaseResult].OK). Each
// of them alone was seen to claim success for a run that had failed.
//
// Every end of a command, by itself, by its time limit or by ctx, is the end of
// all that it had started. [Local] says how far that goes on which system.
//
// What an agent prints lies in Dir/agent<i>/phases/<id>.jsonl as it was
// printed, with one change: its token is replaced by the variable's name, since
// an agent that prints its environment must not put a key into a results
// folder.
//
// # To add an agent or a runner
//
// Another client is one type that implements [Agent]: the command for a phase,
// and a reader for its output. Another place to work is one that implements
// [Runner].
package agents
