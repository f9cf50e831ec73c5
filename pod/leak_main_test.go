package pod_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/x/dail/pod"
)

// Nothing that a test started may outlive the tests. The same binary is the
// watchdog, and the programs that are watched.
func TestMain(m *testing.M) {
	pod.Main(pod.KindsOfTests()...)
	if pod.RunProgramOfTests() {
		return
	}
	goleak.VerifyTestMain(m)
}
