package pod

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/clock"
)

// Clock is the time that a pod's life goes by. A nil Clock is the wall clock.
type Clock = clock.Clock

// Address is where a machine's SSH server listens, and who logs in there.
type Address struct {
	User, Host string
	Port       int
}

func (a Address) String() string {
	return a.User + "@" + net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// Provider is a source of machines. It knows one cloud's calls and nothing of
// a pod's life: [Up] is the same for all of them. Its methods may be called by
// several goroutines. Errors of a cloud are *[ProviderError].
type Provider interface {
	About() About
	// Offers says what a machine for run costs now and where it can be had,
	// the best candidate first. Nowhere is [ErrNoCapacity].
	Offers(ctx context.Context, run *compose.Run) ([]Offer, error)
	// Create asks for one machine, once, and never again by itself. An error
	// that is not [ErrUnclear] promises that no machine was made.
	Create(ctx context.Context, spec Spec) (Machine, error)
	// Get returns one machine, or [ErrNotFound].
	Get(ctx context.Context, id string) (Machine, error)
	// List returns every machine of the account, also those that are not ours,
	// or an error: never a part of them.
	List(ctx context.Context) ([]Machine, error)
	// Terminate asks for the end of a machine. A nil error means that the
	// request was taken; [ErrNotFound] that there is no such machine.
	Terminate(ctx context.Context, id string) error
	// Logs returns the last lines that the provider has of the machine's start
	// and of its container, oldest first.
	Logs(ctx context.Context, id string, lines int) ([]string, error)
}

// About is what a provider is, whatever it is asked for.
type About struct {
	// Name is the provider's name as it stands in the report.
	Name string
	// RealModel reports whether Create brings a real model, whose tool calls are
	// of unknown content: a program that would run them unprotected can then
	// refuse before anything is created. A provider that starts nothing says
	// false; what answers there is asked itself (Pod.Simulated).
	RealModel bool
	// Paid reports whether a machine costs money while it exists.
	Paid bool
	// Outlives reports whether a machine lives on when this process dies. Then
	// its life is guarded by the ledger, the watchdog and the switch inside the
	// machine.
	Outlives bool
	// Borrowed reports whether machines are neither started nor ended by us:
	// Create and Terminate are then no more than words.
	Borrowed bool
	// Stays reports whether a machine lives on when it is terminated: only what
	// was started on it ends.
	Stays bool
	// EndSelf is a shell program that ends a machine from the inside, for the
	// switch; empty where there is none. $DAIL_NAME is the machine's name. It
	// prints no secret and holds none.
	EndSelf string
}

// Offer is a machine that could be had.
type Offer struct {
	GPU        string  // the provider's name of the GPU type
	GPUs       int     // how many of them
	Zone       string  // data centre; empty: the provider chooses
	USDPerHour float64 // the whole machine, all GPUs together
	// PriceSource says where the price comes from, in words: "RunPod's catalogue",
	// "configs/hardware/l40s.yaml", "-usd-per-hour".
	PriceSource string
	Stock       string // the provider's word for how many there are, for people
	// Weights is the folder on the machine in which weights are kept beyond its
	// life; empty: none, they are downloaded to where the run says.
	Weights string
}

// Spec is one machine that is asked for.
type Spec struct {
	Name   string // unique; see [NewName]
	Run    *compose.Run
	Offer  Offer
	Marker Marker
	// PublicKey is the line of authorized_keys that may log in; empty where the
	// machine is not reached by SSH.
	PublicKey string
	// Boot is a shell program that the machine runs at its start in the place of
	// the image's own command, which it starts itself; empty for none. It holds
	// no secret.
	Boot string
}

// State is how far a machine is, in words that all providers share.
type State int

// The states of a machine.
const (
	Pending State = iota // being allocated or started
	Running              // the container runs; nothing is said about SSH
	Failed               // stopped or broken: it will not serve, and may still be billed
	Gone                 // no longer there
)

func (s State) String() string {
	return [...]string{"pending", "running", "failed", "gone"}[s]
}

// Machine is what a provider says of one machine.
type Machine struct {
	ID     string
	Name   string
	State  State
	Status string  // the provider's own word
	Marker *Marker // nil where the machine does not carry ours
	// SSH is where its SSH server is published; nil until it is known, and on a
	// machine that is reached by URL.
	SSH *Address
	// URL is the base URL of a server that needs neither SSH nor starting.
	URL        *url.URL
	USDPerHour float64 // what the provider really charges, all GPUs together; 0 where it does not say
	Zone       string
	Created    time.Time
	// Pin is the name under which its host key is pinned; empty: its ID.
	Pin string
	// Root is the folder on it that is ours; empty: what DAIL_ROOT says there,
	// else /workspace.
	Root string
}

// Kinds of a provider's refusals, for errors.Is.
var (
	ErrUnclear      = errors.New("it is not known whether this happened")
	ErrNoCapacity   = errors.New("no capacity")
	ErrDenied       = errors.New("this pool is not open to the account") // the next candidate may be
	ErrUnauthorized = errors.New("the key is not accepted")
	ErrNoCredit     = errors.New("not enough credit")
	ErrInvalid      = errors.New("the request is not accepted") // it never will be
	ErrNotFound     = errors.New("there is no such machine")
	ErrConflict     = errors.New("the machine's state forbids it")
	ErrBusy         = errors.New("the provider cannot answer now") // asking again may help
)

// ProviderError is a refusal or a failure of a provider.
type ProviderError struct {
	Provider  string
	Op        string // "create", "terminate", …
	ID        string // the machine's, where there is one
	Message   string // what happened, in the provider's own words
	RequestID string // the provider's id of the request; empty where it gave none
	Hint      string // what to do about it; may be empty
	Kind      error  // one of the Err… values
	Err       error  // the cause; may be nil
}

func (e *ProviderError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Provider, e.Op)
	if e.ID != "" {
		fmt.Fprintf(&b, " %s", e.ID)
	}
	fmt.Fprintf(&b, ": %v", e.Kind)
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

// Unwrap makes errors.Is find the kind and the cause.
func (e *ProviderError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
