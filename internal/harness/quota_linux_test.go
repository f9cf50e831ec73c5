package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A real quota, where this machine lets us set one: the kernel's own files are
// read. In how much of the time it is felt is the machine's affair; from how much
// on it is flagged, TestAQuotaIsFlaggedAndCleared says.
func TestARealQuotaIsFlaggedAndCleared(t *testing.T) {
	group, quota := newGroup(t)
	if err := quota("30000 100000"); err != nil {
		t.Skipf("SKIP: no control group can be given a quota here: %v", err)
	}
	u := burnt(t, group)
	if u.Quota != 0.3 || u.CPUShare == 0 || u.Throttled == 0 {
		t.Errorf("under a quota of 0.3 cores: %+v", u)
	}
	if err := quota("max 100000"); err != nil {
		t.Fatal(err)
	}
	if u := burnt(t, group); u.Quota != 0 || u.Throttled != 0 {
		t.Errorf("without a quota: %+v", u)
	}
}

func burnt(t *testing.T, group string) Usage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), burnVar+"="+group)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var u Usage
	if err := json.Unmarshal(out, &u); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return u
}

// newGroup makes a control group, and says how it is given a quota.
func newGroup(t *testing.T) (dir string, quota func(string) error) {
	t.Helper()
	name := fmt.Sprintf("dail-test-%d", os.Getpid())
	base := "/sys/fs/cgroup"
	v1 := false
	if _, err := os.Stat(filepath.Join(base, "cpu", "cpu.cfs_quota_us")); err == nil {
		base, v1 = filepath.Join(base, "cpu"), true
	}
	dir = filepath.Join(base, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("SKIP: no control group can be made here: %v", err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir, func(max string) error {
		if !v1 {
			return os.WriteFile(filepath.Join(dir, "cpu.max"), []byte(max), 0o644)
		}
		var period int
		var value string
		if _, err := fmt.Sscan(max, &value, &period); err != nil {
			return err
		}
		if value == "max" {
			value = "-1"
		}
		return os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), []byte(value), 0o644)
	}
}
