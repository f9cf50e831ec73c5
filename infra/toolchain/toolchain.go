// Package toolchain is the list of what the agents and the gates use: Claude
// Code, TypeScript, Vitest and the types of Node, pinned by a lock file.
//
// A run installs them once, with `npm ci`, into the user's cache, so that no
// verdict depends on what a machine has installed or what an agent installs:
//
//	tools, err := agents.InstallToolchain(ctx, toolchain.FS(), cacheDir, os.Stderr)
//
// To move a pin, edit package.json here, run `npm install` in this folder, and
// commit both files.
package toolchain

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

//go:embed Dockerfile package.json package-lock.json inside/main.go inside/helper.mod inside/helper.sum
var files embed.FS

// FS returns Dockerfile, package.json and package-lock.json, at its root, and under
// inside/ the program that serves a container, with the go.mod and go.sum that it
// is built with (helper.mod, helper.sum).
func FS() fs.FS { return files }

// ClaudeCode is the pinned version of Claude Code.
func ClaudeCode() (string, error) {
	var list struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	text, err := files.ReadFile("package.json")
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	version := list.Dependencies["@anthropic-ai/claude-code"]
	if err == nil && version == "" {
		err = fmt.Errorf("it pins no Claude Code")
	}
	if err != nil {
		return "", fmt.Errorf("toolchain: package.json: %w", err)
	}
	return version, nil
}
