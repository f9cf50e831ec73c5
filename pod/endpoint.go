package pod

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/x/dail/compose"
)

// Endpoint is a server that already runs. Nothing is started, nothing stopped.
type Endpoint struct {
	// URL is the server's base, with or without /v1.
	URL string
	// USDPerHour is what the whole machine behind it costs; 0: the composed
	// hardware's list price.
	USDPerHour float64
}

// About implements [Provider]. What stands behind the address is known when it
// has been asked.
func (Endpoint) About() About { return About{Name: "endpoint", Borrowed: true} }

// Offers is the one server, at its price.
func (e Endpoint) Offers(_ context.Context, run *compose.Run) ([]Offer, error) {
	return []Offer{ownOffer(run, e.USDPerHour)}, nil
}

// ownOffer is a machine that the user has: at the user's price where there is
// one, else at the hardware's.
func ownOffer(run *compose.Run, usdPerHour float64) Offer {
	o := listOffer(run)
	if usdPerHour > 0 {
		o.USDPerHour, o.PriceSource = usdPerHour, "-usd-per-hour"
	}
	return o
}

// Create only parses the address.
func (e Endpoint) Create(_ context.Context, spec Spec) (Machine, error) {
	u, err := e.parse()
	if err != nil {
		return Machine{}, err
	}
	return Machine{ID: u.Host, Name: spec.Name, State: Running, Status: "not ours", URL: u}, nil
}

// Get implements [Provider].
func (e Endpoint) Get(_ context.Context, id string) (Machine, error) {
	u, err := e.parse()
	if err != nil {
		return Machine{}, err
	}
	if u.Host != id {
		return Machine{}, &ProviderError{Provider: "endpoint", Op: "get", ID: id, Kind: ErrNotFound}
	}
	return Machine{ID: u.Host, State: Running, Status: "not ours", URL: u}, nil
}

// List is empty: nothing there is ours.
func (Endpoint) List(context.Context) ([]Machine, error) { return nil, nil }

// Terminate does nothing, because nothing was started.
func (Endpoint) Terminate(context.Context, string) error { return nil }

// Logs implements [Provider]. There are none to be had.
func (Endpoint) Logs(context.Context, string, int) ([]string, error) { return nil, nil }

func (e Endpoint) parse() (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.TrimRight(e.URL, "/"), "/v1"))
	if err != nil {
		return nil, fmt.Errorf("-endpoint: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("-endpoint %q: want the address of a running server, such as http://127.0.0.1:8000", e.URL)
	}
	return u, nil
}

// Check refuses an address that cannot be one, before anything is started.
func (e Endpoint) Check() error {
	_, err := e.parse()
	return err
}
