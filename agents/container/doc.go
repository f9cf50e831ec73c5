// Package container runs agents, and gates, in containers without a network: what
// a model wrote never runs beside your keys.
//
//	runner := &container.Runner{Run: "20261124-101500", Owner: "kim@box"}
//	err := runner.Provision(ctx, os.Stderr)        // builds the image where it is missing
//	fleet := agents.Fleet{Runner: runner, …}       // each agent in a container of its own
//	verdict, err := gates.Score(ctx, gates.Place{Execer: runner, …}, list) // each workspace in a fresh one
//	removed, err := container.Reap(ctx, container.Engine{}, container.ReapOptions{Owner: "kim@box"})
//
// # What a container is
//
// One container is one agent's place for all of its phases, or one workspace's
// for all of its gates. It has no network but its own loopback, a read-only
// root, no capability and no way to get one, an unprivileged user, bounds on
// processes, CPU, memory and disk, and no folder of this machine. Its folders are
// in memory, count against its bound, and are gone with it.
//
// The only way in and out is the container's stdin and stdout, over which a small
// program of ours in the image speaks ([internal/airlock]): commands go in, what
// they print comes out, the workspace is carried in and home as an archive, and
// connections to one port of its loopback lead to the gateway, whatever they ask
// for. So nothing is mounted, published or routed, and an engine on another
// machine (DOCKER_HOST, a context) serves as well as one on this.
//
// # What ends it
//
// The container ends when its stdin does, so also when this program is killed,
// and the engine removes it then. [Runner] removes it by name besides, and [Reap]
// finds by its labels what an engine that died has left.
//
// No command in there can prevent it: the container's first process, which only
// the kernel or the engine can stop, ends the container also when the program that
// serves is stopped, or does not end with the stream; and commands cannot open the
// stream to hold it open, since both processes are closed to them. What holds it
// open from outside, such as an engine that froze with the stream full, is bounded
// by the container's lifetime ([Limits]; 24 h).
//
// # The engine
//
// Everything is asked of the docker command, or of podman's, which takes the same
// words. It sees of this program's environment what it needs to find its engine,
// and no key.
package container
