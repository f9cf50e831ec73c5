package litellm

import "syscall"

// withUs puts the child into a group of its own, and has the kernel end it
// with us.
func withUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
