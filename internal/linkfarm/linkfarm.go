// Package linkfarm lends a folder of installed packages to a project without
// letting the project write into it.
//
// A plain link from the project's node_modules to the shared folder would do
// for reading, but then npm install, or a tool that keeps its cache under
// node_modules, would change what all the others use. A farm is a real folder
// that holds one link per package: what is added there is the project's own,
// and what is removed there is only a link.
package linkfarm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Make makes the folder dir and links each package of the node_modules folder
// shared into it. Packages of a scope (@types/node) and the programs in .bin
// are linked one by one, so that both stay folders of the project. An entry
// that is there already is left as it is.
func Make(dir, shared string) error {
	shared, err := filepath.Abs(shared)
	if err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	entries, err := os.ReadDir(shared)
	if err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	for _, e := range entries {
		from, to := filepath.Join(shared, e.Name()), filepath.Join(dir, e.Name())
		switch name := e.Name(); {
		case name == ".bin" || strings.HasPrefix(name, "@"):
			if err := Make(to, from); err != nil {
				return err
			}
			continue
		case strings.HasPrefix(name, ".") && filepath.Base(dir) != ".bin":
			continue // npm's own notes and tools' caches
		}
		if err := os.Symlink(from, to); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("linking packages: %w", err)
		}
	}
	return nil
}
