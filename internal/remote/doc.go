// Package remote runs commands on a machine over SSH, and reaches its ports.
//
// A [Conn] is one connection: it runs commands with a stdin, uploads files,
// and notices by keepalives when the other side is gone. A [Link] keeps one
// connection alive for as long as the machine lives, asking each time anew
// where it is, because a cloud moves its ports; a [Tunnel] is a free port of
// this machine that leads to one of the other, whatever happens to the
// connection in between. A machine is known by its host key, which is pinned
// on first contact ([Pins]): nothing is sent to a machine that changed it.
//
//	link := remote.NewLink(ctx, func(context.Context) (remote.Config, error) {
//		return remote.Config{Address: where(), Key: key, HostKey: pins.Callback(id)}, nil
//	})
//	defer link.Close()
//	out, err := link.Run(ctx, "nvidia-smi -L", nil)
package remote
