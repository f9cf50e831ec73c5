//go:build unix && !linux

package machine

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// adoptOrphans does nothing: this system has no subreaper, so a descendant
// that has left its session and lost its parent cannot be found again.
func adoptOrphans() error { return nil }

// family are this process's living descendants, and what is in one of the
// sessions that it started, as ps tells.
func (d *initd) family() []int {
	text, self := d.ps()
	sessions := d.sessions()
	children := map[int][]int{}
	var out []int
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[3], "Z") {
			continue
		}
		pid, _ := strconv.Atoi(f[0])
		parent, _ := strconv.Atoi(f[1])
		group, _ := strconv.Atoi(f[2])
		if pid == self || pid == os.Getpid() {
			continue
		}
		children[parent] = append(children[parent], pid)
		if slices.Contains(sessions, group) {
			out = append(out, pid)
		}
	}
	for next := []int{os.Getpid()}; len(next) > 0; next = next[1:] {
		out = append(out, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return out
}

// sessions are the leaders of what was started; on systems where a lost
// descendant cannot be found by its ancestors it may be found by its group.
func (d *initd) sessions() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []int
	for pid := range d.groups {
		out = append(out, pid)
	}
	return out
}

// ps lists the system's processes, and says its own number.
func (d *initd) ps() (text string, self int) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", 0
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return "", 0
	}
	defer read.Close()
	d.mu.Lock() // even when nothing is to start any more
	p, err := d.spawn("/bin/ps", []string{"ps", "-axo", "pid=,ppid=,pgid=,stat="}, nil, "/", []*os.File{null, write, write})
	d.mu.Unlock()
	write.Close()
	if err != nil {
		return "", 0
	}
	all, err := io.ReadAll(read)
	<-p.done
	if err != nil {
		return "", 0
	}
	return string(all), p.pid
}
