package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// sshKey is the user's key, as $SSH_KEY_PATH names it, or one for this run
// only, so that the printed command works as it stands. forget removes it.
func sshKey() (path string, forget func(), err error) {
	if path := os.Getenv("SSH_KEY_PATH"); path != "" {
		return path, func() {}, nil
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", nil, fmt.Errorf("SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "podtest")
	if err != nil {
		return "", nil, fmt.Errorf("SSH key: %w", err)
	}
	dir, err := os.MkdirTemp("", "podtest-key-")
	if err != nil {
		return "", nil, fmt.Errorf("SSH key: %w", err)
	}
	path = filepath.Join(dir, "id_ed25519")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("SSH key: %w", err)
	}
	return path, func() { os.RemoveAll(dir) }, nil
}
