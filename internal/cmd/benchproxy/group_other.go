//go:build !linux

package main

import "syscall"

// ownGroup puts a child into a process group of its own, so that a Ctrl-C
// reaches this program only, which then ends its children in order. Should it
// be killed, its own roles end with their stdin; LiteLLM would stay, for this
// system has no signal on the death of a parent.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
