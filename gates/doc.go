// Package gates decides whether an agent did the work: a gate is a command that
// is run on a copy of what the agent left, and passes by its exit status.
//
// Gates are a filter for valid measurements, not a mark for quality. [Score]
// copies the workspace, adds the files that the agent never saw, links the
// pinned packages, and runs each gate there; the workspace itself is never
// changed, so it can be scored again at any time.
//
//	score, err := gates.Score(ctx, gates.Place{
//		Execer:      agents.Local{Path: []string{toolchain.Bin()}},
//		Workspace:   "artifacts/n4/agent0/workspace",
//		Files:       hidden, // fs.FS with acceptance.test.ts
//		NodeModules: toolchain.NodeModules(),
//	}, []gates.Gate{
//		{ID: "typecheck", Cmd: "npx tsc --noEmit"},
//		{ID: "acceptance", Cmd: "npx vitest run acceptance.test.ts", Timeout: time.Minute},
//	})
//
// A gate that fails says something about the agent. A gate that could not be
// judged, because the disk was full or node was not there, says something about
// this machine: its [Result] has an EnvError, and nobody should count it against
// the agent.
package gates
