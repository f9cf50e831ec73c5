package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Key is a private key that logs in. It shows only its public half.
type Key struct{ signer ssh.Signer }

// LoadKey reads a private key without a passphrase. ~ is the user's home.
func LoadKey(path string) (*Key, error) {
	if path == "" {
		return nil, errors.New("no SSH key is named: SSH_KEY_PATH is the path of a private key without a passphrase")
	}
	path = ExpandHome(path)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf(`SSH key %s: there is no such file; ssh-keygen -t ed25519 -N "" -f %s makes one`, path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("SSH key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	switch {
	case err == nil:
		return &Key{signer}, nil
	case errors.As(err, new(*ssh.PassphraseMissingError)):
		return nil, fmt.Errorf(`SSH key %s has a passphrase, and nobody is there to type it; ssh-keygen -t ed25519 -N "" -f ~/.ssh/dail makes one without`, path)
	}
	if _, _, _, _, perr := ssh.ParseAuthorizedKey(text); perr == nil {
		return nil, fmt.Errorf("SSH key %s is the public half; name the private one, %s", path, strings.TrimSuffix(path, ".pub"))
	}
	// The library's error may quote the file, so it is not passed on.
	return nil, fmt.Errorf("SSH key %s holds no private key that can be read", path)
}

// ExpandHome replaces a leading ~ by the user's home folder.
func ExpandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// Authorized is the public half as a line of authorized_keys.
func (k *Key) Authorized() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())))
}

// Signer is the key as the SSH library takes it.
func (k *Key) Signer() ssh.Signer { return k.signer }

// String is the public half's fingerprint.
func (k *Key) String() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// GoString is String: a key never prints itself.
func (k *Key) GoString() string { return k.String() }

// LogValue implements slog.LogValuer.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Address is where an SSH server listens, and who logs in there.
type Address struct {
	User, Host string
	Port       int
}

// ParseAddress reads user@box, user@box:port or user@[::1]:port.
func ParseAddress(s string) (Address, error) {
	bad := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%q: %s; want user@box or user@box:port", s, why)
	}
	user, rest, ok := strings.Cut(s, "@")
	if !ok || user == "" {
		return bad("it names no user")
	}
	if strings.ContainsAny(s, " \t\r\n/'\"") {
		return bad("it holds what no address has")
	}
	a := Address{User: user, Host: rest, Port: 22}
	if host, port, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return bad("the port is none")
		}
		a.Host, a.Port = host, n
	} else if strings.Count(rest, ":") == 1 {
		return bad("the port is none")
	}
	a.Host = strings.TrimSuffix(strings.TrimPrefix(a.Host, "["), "]")
	if a.Host == "" || strings.ContainsAny(a.Host, "@[]") {
		return bad("it names no machine")
	}
	return a, nil
}

func (a Address) String() string { return a.User + "@" + a.dial() }

func (a Address) dial() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// Quote writes an argument list as words of a POSIX shell.
func Quote(args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
