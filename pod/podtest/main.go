package podtest

import (
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/x/dail/pod/podtest/internal/machine"
	"github.com/x/dail/pod/podtest/internal/program"
)

// mainCalled tells NewServer that a copy of this program started by it will
// become a machine, and not run the tests once more.
var mainCalled atomic.Bool

// Main is the first line of main, or of TestMain, of a program that calls
// [NewServer]: the machines, and the programs on them, are the same executable
// under other names. Under one of those it does not return.
func Main() {
	mainCalled.Store(true)
	name := filepath.Base(os.Args[0])
	if name == machine.Name {
		os.Exit(machine.Main())
	}
	for _, p := range program.Names() {
		if name != p {
			continue
		}
		if status, ok := program.Run(os.Args[0], os.Args[1:]); ok {
			os.Exit(status)
		}
	}
}
