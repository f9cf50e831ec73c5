package gates

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxCopy bounds a copy, so that an agent that filled its workspace does not
// fill the disk a second time. In bytes.
const maxCopy = 2 << 30

// copyTree copies the folder src to dst, which it makes. Left out are folders
// called node_modules, whatever is no file, folder or link, and links that lead
// out of src or nowhere: what gates judge is the work, not what it points to.
func copyTree(dst, src string) error {
	src, err := filepath.EvalSymlinks(src)
	if err != nil {
		return err
	}
	if src, err = filepath.Abs(src); err != nil {
		return err
	}
	left := int64(maxCopy)
	return filepath.WalkDir(src, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case e.Name() == "node_modules" && rel != ".":
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return os.MkdirAll(to, 0o755)
		case e.Type()&fs.ModeSymlink != 0:
			return copyLink(to, name, src)
		case e.Type().IsRegular():
			n, err := copyFile(to, name, left)
			left -= n
			return err
		}
		return nil
	})
}

// copyLink makes a link like name, if it leads to something inside root. An
// absolute one becomes relative, since it would lead out of the copy.
func copyLink(to, name, root string) error {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil // it leads nowhere
	}
	in, err := filepath.Rel(root, target)
	if err != nil || !filepath.IsLocal(in) {
		return nil // it leads out
	}
	rel, err := filepath.Rel(filepath.Dir(name), target)
	if err != nil {
		return err
	}
	return os.Symlink(rel, to)
}

// copyFile copies one file of at most left bytes, and whether it is a program.
func copyFile(to, name string, left int64) (int64, error) {
	in, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	mode := fs.FileMode(0o644)
	if info, err := in.Stat(); err == nil && info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	if n > left {
		err = fmt.Errorf("the workspace holds more than %d MiB", int64(maxCopy)>>20)
	}
	return n, errors.Join(err, out.Close())
}

// overlay writes the files into dir, in place of whatever stands in their way:
// an agent must not keep a hidden test out by a folder or a link of its name.
func overlay(dir string, files fs.FS) error {
	root, err := os.OpenRoot(dir) // nothing is written outside of it
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, statErr := root.Lstat(name)
		if e.IsDir() {
			if statErr == nil && info.IsDir() {
				return nil
			}
			if err := root.RemoveAll(name); err != nil {
				return err
			}
			return root.Mkdir(name, 0o755)
		}
		if statErr == nil {
			if err := root.RemoveAll(name); err != nil {
				return err
			}
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return root.WriteFile(name, b, 0o644)
	})
}

// removeAll removes a copy, also where a gate took away the right to.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
