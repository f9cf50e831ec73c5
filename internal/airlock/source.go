package airlock

import (
	"embed"
	"io/fs"
)

//go:embed inside.go stream.go tar.go
var source embed.FS

// Source is what the inside is made of: the program in an image is built of it,
// and an image of another one may speak another language.
func Source() fs.FS { return source }
