package machine

import (
	"syscall"
	"time"
)

// killAll kills whatever runs on the machine. It returns when nothing does,
// or after killTimeout.
//
// One look that finds nobody is not enough: whoever was looked at just before its
// parent died seemed to be nobody's child. By the next look it is ours.
func (d *initd) killAll() bool {
	nobody := 0
	for end := time.Now().Add(killTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left := d.family()
		if nobody++; len(left) > 0 {
			nobody = 0
		}
		if nobody == 2 {
			return true
		}
		for _, pid := range left { // a fork in between is found the next time
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return false
}

// close lets nothing start any more and kills the rest.
func (d *initd) close() bool {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	return d.killAll()
}

const killTimeout = 15 * time.Second
