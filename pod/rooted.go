package pod

import (
	"context"
	"io"
	"io/fs"
	"strings"

	"github.com/x/dail/internal/remote"
)

// defaultRoot is where on a machine dail works, unless the machine says
// otherwise in DAIL_ROOT: a pod's volume is mounted there.
const defaultRoot = "/workspace"

// rooted makes a command work under root; empty is the machine's own choice.
func rooted(root, command string) string {
	if root == "" {
		return command
	}
	return "export DAIL_ROOT=" + remote.Quote(root) + "\n" + command
}

// ground is a machine that commands are run on, under one root.
type ground struct {
	link *remote.Link
	root string
}

// Run executes a shell command.
func (g ground) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	return g.link.Run(ctx, rooted(g.root, command), stdin)
}

// Upload writes a file at an absolute path.
func (g ground) Upload(ctx context.Context, path string, mode fs.FileMode, content []byte) error {
	return g.link.Upload(ctx, path, mode, content)
}

// rebase moves arguments that name the default root to where the root is.
func rebase(args []string, root string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if rest, ok := strings.CutPrefix(a, defaultRoot+"/"); ok && root != "" {
			a = root + "/" + rest
		}
		out[i] = a
	}
	return out
}
