// Package benchmarks holds the benchmarks that come with dail, one folder each:
//
//	smoke     one agent, one tiny task: the pre-flight
//	dev-load  N agents at once, each building the same small TypeScript library
//
// # How to add one
//
// A benchmark is a folder with YAML and text, never code. Outside this
// repository any folder will do: give its path as the benchmark
// (BENCHMARK=./mine/scenario.yaml). To ship one, put the folder here and name
// it in the embed directive below.
//
//	mine/scenario.yaml   what is run: team sizes, SLO, phases, gates
//	mine/phases/*.md     one prompt for each phase
//	mine/cassette.yaml   what the simulated model says (only for simulated runs)
//	mine/gates/          files that only the gates see
//
// A scenario, as short as it can be:
//
//	name: mine
//	description: Agents write one file.
//	devs: [2, 4]
//	slo: {max_ttft: 10, min_tps: 20} # s and tokens/s, medians
//	serving: {max_model_len: 65536}
//	task:
//	  phases:
//	    - id: write
//	      title: Write the file
//	      prompt: Create hello.txt with the word PONG.
//	      allowed_tools: [Read, Write]
//	      max_turns: 8
//	  gates:
//	    - {id: hello, cmd: grep -q PONG hello.txt, expect_exit: 0}
//	cassette: cassette.yaml
//
// Each phase is a new session of the agent in the same workspace, so a later
// phase knows only what an earlier one left in files. A gate is a shell command
// at the root of a copy of the workspace, to which the files of gate_files are
// added. The pinned toolchain lies there as node_modules: call a tool by its
// path under node_modules/.bin, with a configuration of your own, so that the
// verdict does not depend on what an agent wrote or installed.
//
// A cassette is real work: Claude Code carries out its tool calls, and the gates
// judge what came of them. Package sim documents the format (sim.LoadCassette).
// What Claude Code asks of a call holds here too: a file must be read before it
// is edited or overwritten, in the same session; old_string must occur once.
// The tests of this package play every cassette against a workspace without any
// model (set DAIL_TOOLCHAIN to a folder that has the toolchain's node_modules),
// and fail if a turn does not end as the cassette expects.
package benchmarks

import (
	"embed"
	"io/fs"
)

// all: keeps the names that begin with a dot: dev-load's gate files live in
// .gates, out of the way of an agent's own files.
//
//go:embed all:smoke all:dev-load
var files embed.FS

// FS returns the benchmarks, each as <name>/scenario.yaml with its files beside
// it.
func FS() fs.FS { return files }
