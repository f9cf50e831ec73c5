package podtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/x/dail/pod/podtest"
)

func TestMain(m *testing.M) {
	podtest.Main()
	goleak.VerifyTestMain(m)
}
