package airlock

import "embed"

//go:embed inside.go stream.go tar.go
var source embed.FS

// Source is what the inside is made of: an image that was built of another one
// may speak another language.
func Source() []byte {
	var all []byte
	for _, name := range []string{"inside.go", "stream.go", "tar.go"} {
		b, err := source.ReadFile(name)
		if err != nil {
			return nil // cannot be: it is embedded
		}
		all = append(all, b...)
	}
	return all
}
