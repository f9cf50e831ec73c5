//go:build !linux

package pod

import (
	"os/exec"
	"strconv"
	"strings"
)

// startOf is the second at which a process started, as ps says it; empty for
// one that does not run, and where there is no ps. Unlike on Linux, a pid that
// is used again within the same second cannot be told from the first.
func startOf(pid int) string {
	cmd := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid))
	cmd.Env = []string{"PATH=/bin:/usr/bin", "LC_ALL=C", "TZ=UTC"}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	status, start, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if strings.HasPrefix(status, "Z") {
		return ""
	}
	return strings.Join(strings.Fields(start), " ")
}
