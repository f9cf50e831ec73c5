package pod

import (
	"fmt"
	"os"
	"strings"
)

// startOf is the boot and the clock tick of it at which a process started
// (proc_pid_stat(5), field 22); empty for one that does not run.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field, a name in parentheses, may hold anything.
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return f[19]
	}
	return strings.TrimSpace(string(boot)) + "/" + f[19]
}
