package pod_test

import (
	"testing"

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
	goleak.VerifyTestMain(m)
}
