//go:build !linux

package litellm

import "syscall"

// withUs puts the child into a group of its own. There is no Pdeathsig here:
// only Close ends it.
func withUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
