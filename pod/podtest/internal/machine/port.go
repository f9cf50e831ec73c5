package machine

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// held is a loopback port that is ours and where nobody listens, so that a
// connection is refused, and no other process is given the port.
type held struct {
	fd   int
	port int
}

// Hold takes a free loopback port on which nobody will listen until give is
// called: a connection to it is refused.
func Hold() (port int, give func(), err error) {
	h, err := hold(false)
	if err != nil {
		return 0, nil, err
	}
	return h.port, h.close, nil
}

// hold takes a free port. A shared one may be bound once more by whoever sets
// SO_REUSEPORT as well.
func hold(shared bool) (*held, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	unix.CloseOnExec(fd)
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("SO_REUSEPORT: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	in4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		unix.Close(fd)
		return nil, fmt.Errorf("getsockname: not IPv4")
	}
	return &held{fd, in4.Port}, nil
}

// listen begins to listen on the port, which it gives away.
func (h *held) listen() (net.Listener, error) {
	f := os.NewFile(uintptr(h.fd), "ssh")
	defer f.Close()
	if err := unix.Listen(h.fd, 128); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return net.FileListener(f)
}

func (h *held) close() { unix.Close(h.fd) }
