package main

import "syscall"

// ownGroup puts a child into a process group of its own, so that a Ctrl-C
// reaches this program only, which then ends its children in order; and has
// the child killed should this program die without that.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
