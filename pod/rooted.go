package pod

import (
	"context"
	"io"
	"io/fs"
	"slices"

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

// keepWeights makes vLLM look for weights, and put them, where they are kept.
func keepWeights(args []string, folder string) []string {
	args = slices.Clone(args)
	if i := slices.Index(args, "--download-dir"); folder != "" && i >= 0 && i+1 < len(args) {
		args[i+1] = folder
	}
	return args
}
