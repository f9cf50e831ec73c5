package pod

import (
	"os"
	"slices"
	"sync/atomic"
)

// Survivor is a [Provider] whose machines outlive this process, and which
// another process can therefore be handed: the watchdog. An Outlives provider
// that is no Survivor is refused.
type Survivor interface {
	Provider
	// Handover returns what [Kind.Open] makes the same provider of. The public
	// half names the account (its base URL, the key's fingerprint) and holds no
	// secret: it is written to the ledger. The secret half only ever goes through
	// a pipe.
	Handover() (public, secret []byte, err error)
}

// Kind is a sort of provider that a watchdog can open.
type Kind struct {
	// Name is the providers' About().Name.
	Name string
	// Open makes a provider of what Handover returned. clk is the clock of the
	// program that is watched.
	Open func(public, secret []byte, clk Clock) (Provider, error)
}

// builtin are the kinds of this package.
func builtin() []Kind { return []Kind{{"runpod", openRunPod}, {"ssh", openHost}} }

// watchdogArg, as the only argument, makes a program a watchdog.
const watchdogArg = "dail-watchdog"

// mainKinds are the kinds that Main was called with; nil until then. It is a
// variable of the package because it is a fact of the process: only a program
// whose main begins with Main may be executed again as a watchdog.
var mainKinds atomic.Pointer[[]Kind]

// Main belongs at the very start of the main function of a program that may
// spend money, and of its TestMain:
//
//	func main() {
//		pod.Main()
//		…
//	}
//
// A machine must be given back even if the program is killed so that it can do
// nothing any more. That needs a second process, the watchdog, and it is the
// same program, executed again: then Main does that work and never returns.
// Else it returns at once. A paid provider refuses to start without it.
//
// Kinds are those of providers of your own, beside the ones in this package.
func Main(kinds ...Kind) {
	all := slices.Concat(builtin(), kinds)
	mainKinds.Store(&all)
	if len(os.Args) == 2 && os.Args[1] == watchdogArg {
		os.Exit(beWatchdog(all))
	}
}

// kindOf finds the kind of a name.
func kindOf(kinds []Kind, name string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}
