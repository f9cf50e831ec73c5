package agents_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// waitFor polls until ok, which must come true however slow the machine is.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("waited a minute for %s", what)
			return
		}
	}
}

// running returns the lines of ps that hold the text.
func running(t *testing.T, text string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-axo", "pid=,stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) > 1 && !strings.HasPrefix(f[1], "Z") && strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func nothingLeft(t *testing.T, text string) {
	t.Helper()
	if left := running(t, text); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
}
