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
// fill ours, nor make folders so deep that nothing can remove them.
const (
	maxBytes = 2 << 30
	maxFiles = 200_000 // files, links and folders
	maxName  = 4096    // bytes of one name, with its folders
	maxDepth = 100     // folders in one another
)

// tooLong reports whether no place may send a name.
func tooLong(name string) bool {
	return len(name) > maxName || strings.Count(name, "/") >= maxDepth
}

var errTooLong = fmt.Errorf("the name is longer than %d bytes or %d folders", maxName, maxDepth)

// pack writes a folder's files, folders and symbolic links as a tar. What is
// something else (a socket, a device) is left out. What cannot be read is left
// out, too, and the error says which: the rest is there.
func pack(w io.Writer, dir fs.FS) error {
	out := tar.NewWriter(w)
	var left skipped
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return err
		case err == nil && tooLong(name):
			err = errTooLong
		}
		if err != nil {
			left.add(name, err)
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if name == "." {
			return nil
		}
		unread, err := packOne(out, dir, name, e)
		if unread != nil {
			left.add(name, unread)
		}
		return err
	})
	return errors.Join(err, out.Close(), left.err())
}

// packOne writes one entry. unread is why it could not be read, and nothing of it
// was written; err is why nothing more can be written.
func packOne(out *tar.Writer, dir fs.FS, name string, e fs.DirEntry) (unread, err error) {
	info, err := e.Info()
	if err != nil {
		return err, nil
	}
	link := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if link, err = fs.ReadLink(dir, name); err != nil {
			return err, nil
		}
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, nil
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err, nil
	}
	h.Name = name
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if !info.Mode().IsRegular() {
		return nil, out.WriteHeader(h)
	}
	f, err := dir.Open(name)
	if err != nil {
		return err, nil
	}
	defer f.Close()
	if err := out.WriteHeader(h); err != nil {
		return nil, err
	}
	// A file that grows while it is read is cut off where it was.
	_, err = io.CopyN(out, f, h.Size)
	return nil, err
}

// skipped names what was left behind, as far as anybody reads.
type skipped struct {
	some []string
	more int
}

func (s *skipped) add(name string, why error) {
	if len(s.some) == 5 {
		s.more++
		return
	}
	s.some = append(s.some, fmt.Sprintf("%.200q (%v)", name, bare(why)))
}

func (s *skipped) err() error {
	if len(s.some) == 0 {
		return nil
	}
	all := strings.Join(s.some, ", ")
	if s.more > 0 {
		all += fmt.Sprintf(" and %d more", s.more)
	}
	return fmt.Errorf("what could not be read was left out: %s", all)
}

// bare is an error without the file's name in it, which a place chose: it stands
// beside it, quoted.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

// unpack writes a tar below a folder that exists. The tar is not trusted: an
// os.Root keeps every name within the folder, no entry may stand behind a link,
// and a link that leads out of the folder is left out.
func unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in := tar.NewReader(r)
	u := unpacking{root: root}
	for left := int64(maxBytes); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the files that came are broken: %w", err)
		}
		name := path.Clean(h.Name)
		switch {
		case len(h.Name) > maxName || tooLong(name):
			return fmt.Errorf("a file called %.200q…: %w", h.Name, errTooLong)
		case !filepath.IsLocal(filepath.FromSlash(name)):
			return fmt.Errorf("a file called %q", h.Name)
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("more than %d MiB of files", maxBytes>>20)
		}
		if err := u.place(in, h, name); err != nil {
			return fmt.Errorf("%q: %w", name, bare(err))
		}
	}
}

// unpacking is a folder that is being filled.
type unpacking struct {
	root *os.Root
	made int // files, links and folders
}

// count counts what is about to be made.
func (u *unpacking) count() error {
	if u.made++; u.made > maxFiles {
		return fmt.Errorf("more than %d files and folders", maxFiles)
	}
	return nil
}

// folder makes a folder, and those that it stands in, where they are missing.
// What stands there must be a folder itself, and no link to one: the targets of
// links are judged by where their names say that they are.
func (u *unpacking) folder(name string, mode fs.FileMode) error {
	if name == "." {
		return nil
	}
	info, err := u.root.Lstat(name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%q is not a folder", name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := u.folder(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	return u.root.Mkdir(name, mode)
}

// place writes one entry.
func (u *unpacking) place(in io.Reader, h *tar.Header, name string) error {
	mode := h.FileInfo().Mode().Perm()
	if h.Typeflag == tar.TypeDir {
		return u.folder(name, mode|0o700)
	}
	if err := u.folder(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		if !leadsWithin(name, h.Linkname) {
			return nil // it leads out: it means something in there, and nothing here
		}
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, in, h.Size)
		return errors.Join(err, f.Close())
	}
	return nil
}

// leadsWithin reports whether a link's target lies in the folder, whatever other
// links there are. The link's own folder is a real one, so that the target's
// leading ".." go to real folders, too; after them come names only, and each of
// these is either real or a link that was judged by the same rule. A ".." behind
// a name would be one too many: the name may be a link, and lead elsewhere.
func leadsWithin(name, target string) bool {
	if path.IsAbs(target) || len(target) > maxName || strings.Contains(target, `\`) {
		return false
	}
	if strings.TrimSuffix(strings.TrimPrefix(target, "./"), "/") != path.Clean(target) {
		return false
	}
	return filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), target)))
}
