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
	"io/fs"
)

//go:embed Dockerfile package.json package-lock.json inside/main.go inside/helper.mod inside/helper.sum
var files embed.FS

// FS returns Dockerfile, package.json and package-lock.json, at its root, and under
// inside/ the program that serves a container, with the go.mod and go.sum that it
// is built with (helper.mod, helper.sum).
func FS() fs.FS { return files }
