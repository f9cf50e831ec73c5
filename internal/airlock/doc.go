// Package airlock carries everything that passes between a sealed place and this
// program over one stream: the stdin and stdout of a container that has no
// network at all.
//
// Inside, [Serve] answers on its own stdin and stdout. Outside, [Connect] gives a
// [Client], which runs commands in there, sends files in and fetches them back,
// and listens on the inside's loopback for connections that it carries to the one
// address that it was told:
//
//	cmd := exec.Command("docker", "run", "-i", "--network", "none", image, "inside")
//	… pipes …
//	c, err := airlock.Connect(ctx, pipes)
//	addr, err := c.Expose("127.0.0.1:41234")  // the gateway, as commands in there reach it
//	err = c.Put("workspace", os.DirFS(seed))
//	exit, err := c.Run(ctx, airlock.Command{Argv: []string{"claude", "-p", …}, Env: env}, kill)
//	err = c.Get("workspace", here)
//
// The stream speaks SSH, whose channels are a well-tested multiplexer with flow
// control for each of them, and whose requests know commands, signals, exit
// statuses and forwarded ports. Nobody is authenticated: whoever holds the other
// end of the stream started it.
//
// What comes out of a place is not trusted. [Client.Get] writes below the folder
// it was given and nowhere else, makes no devices and no links that lead out,
// whatever other links they go through, and stops at a limit of bytes, files and
// folders; a connection from the inside leads to the one address, whatever it asks
// for, and there are no more than 64 at a time. An inside that was taken over may
// stop answering, and [Client.Close] lets go of it then.
package airlock
