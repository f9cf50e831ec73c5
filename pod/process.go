package pod

import (
	"errors"
	"os"
	"syscall"
)

// process names one process of this computer for good: a pid is used again, a
// pid with its start is not.
type process struct {
	PID int `json:"pid"`
	// Start is what [startOf] says; empty where it could not be had, and then
	// the pid alone has to do.
	Start string `json:"start,omitempty"`
}

func processOf(pid int) process { return process{PID: pid, Start: startOf(pid)} }

// alive reports whether the process still runs. One that has ended and was not
// waited for by its parent does not.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	if err := syscall.Kill(p.PID, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	return p.Start == "" || startOf(p.PID) == p.Start
}

// hostname is the computer that a process id is of; empty where it has no name.
func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return ""
	}
	return h
}
