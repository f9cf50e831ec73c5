package airlock

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Limits of what is taken out of a place: an agent that fills its disk must not
// fill ours.
const (
	maxBytes = 2 << 30
	maxFiles = 200_000
)

// pack writes a folder's files, folders and symbolic links as a tar. What is
// something else (a socket, a device) is left out.
func pack(w io.Writer, dir fs.FS) error {
	out := tar.NewWriter(w)
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		link := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if link, err = fs.ReadLink(dir, name); err != nil {
				return err
			}
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name = name
		h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
		if err := out.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		// A file that grows while it is read is cut off where it was.
		_, err = io.CopyN(out, f, h.Size)
		return err
	})
	return errors.Join(err, out.Close())
}

// unpack writes a tar below a folder that exists. The tar is not trusted: an
// os.Root keeps every name within the folder, also through links that an earlier
// entry made; links that lead out of it are refused.
func unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in := tar.NewReader(r)
	left := int64(maxBytes)
	for n := 0; ; n++ {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("airlock: the files that came are broken: %w", err)
		case n >= maxFiles:
			return fmt.Errorf("airlock: more than %d files", maxFiles)
		}
		name := path.Clean(h.Name)
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("airlock: a file called %q", h.Name)
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("airlock: more than %d MiB of files", maxBytes>>20)
		}
		if err := place(root, in, h, name); err != nil {
			return fmt.Errorf("airlock: %s: %w", name, err)
		}
	}
}

// place writes one entry.
func place(root *os.Root, in io.Reader, h *tar.Header, name string) error {
	mode := h.FileInfo().Mode().Perm()
	if parent := path.Dir(name); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, mode|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeSymlink:
		if !leadsWithin(name, h.Linkname) {
			return nil // it leads out: it means something in there, and nothing here
		}
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, in, h.Size)
		return errors.Join(err, f.Close())
	}
	return nil
}

// leadsWithin reports whether a link's target lies in the folder.
func leadsWithin(name, target string) bool {
	if path.IsAbs(target) || strings.Contains(target, `\`) {
		return false
	}
	return filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), target)))
}
