package pod_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

// Nothing that a test started may outlive the tests. The same binary is the
// watchdog, and the programs that are watched.
func TestMain(m *testing.M) {
	pod.Main(pod.KindsOfTests()...)
	podtest.Main()
	if pod.RunProgramOfTests() {
		return
	}
	code := m.Run()
	// The watchdogs of the last tests are processes, which may still be about to
	// end: longer than a look of goleak's takes.
	left := goleak.Find()
	for until := time.Now().Add(time.Minute); left != nil && time.Now().Before(until); {
		left = goleak.Find()
	}
	if left != nil && code == 0 {
		fmt.Fprintln(os.Stderr, left)
		code = 1
	}
	os.Exit(code)
}
