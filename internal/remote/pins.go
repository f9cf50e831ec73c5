package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// Pins remembers the host keys of machines, by a name that stays when address
// and port change: one small file each, so that several processes may use the
// folder at once.
type Pins struct{ dir string }

// OpenPins uses a folder, and makes it where it is missing.
func OpenPins(dir string) (*Pins, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("host keys: %w", err)
	}
	return &Pins{dir}, nil
}

// HostKeyError is a machine that shows another key than at the first contact.
type HostKeyError struct {
	ID, Pinned, Shown string // fingerprints
	File              string
}

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("machine %s shows the host key %s, and at first it showed %s: somebody may stand in between, or the machine was made anew; nothing was sent to it. If you know why, remove %s",
		e.ID, e.Shown, e.Pinned, e.File)
}

// Callback checks the host key of the machine of that name, and pins the first
// one that it shows.
func (p *Pins) Callback(id string) ssh.HostKeyCallback {
	file := p.file(id)
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		// The link is made from a whole file, and only one process can make it: of
		// two first contacts one pins, and the other compares.
		line := ssh.MarshalAuthorizedKey(key)
		tmp, err := os.CreateTemp(p.dir, ".pin-*")
		if err != nil {
			return fmt.Errorf("host keys: %w", err)
		}
		defer os.Remove(tmp.Name())
		_, err = tmp.Write(line)
		if err = errors.Join(err, tmp.Close()); err != nil {
			return fmt.Errorf("host keys: %w", err)
		}
		if err := os.Link(tmp.Name(), file); err == nil {
			return nil
		} else if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("host keys: %w", err)
		}
		pinned, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("host keys: %w", err)
		}
		old, _, _, _, err := ssh.ParseAuthorizedKey(pinned)
		if err != nil {
			return fmt.Errorf("host keys: %s is damaged; remove it if you trust the machine", file)
		}
		if !bytes.Equal(old.Marshal(), key.Marshal()) {
			return &HostKeyError{id, ssh.FingerprintSHA256(old), ssh.FingerprintSHA256(key), file}
		}
		return nil
	}
}

// Forget removes the pin of a machine that is gone.
func (p *Pins) Forget(id string) error {
	if err := os.Remove(p.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (p *Pins) file(id string) string { return filepath.Join(p.dir, url.PathEscape(id)+".pub") }
