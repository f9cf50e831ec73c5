package linkfarm

import (
	"embed"
	"io/fs"
)

//go:embed linkfarm.go
var source embed.FS

// Source is this package's own, of which the program in the agents' image is built.
func Source() fs.FS { return source }
