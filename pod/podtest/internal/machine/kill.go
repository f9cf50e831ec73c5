package machine

import (
	"syscall"
	"time"
)

// killAll kills whatever runs on the machine. It returns when nothing does,
// or after killTimeout.
func (d *initd) killAll() bool {
	for end := time.Now().Add(killTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left := d.family()
		if len(left) == 0 {
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
