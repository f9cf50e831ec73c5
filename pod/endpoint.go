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
}

// Name is "endpoint".
func (Endpoint) Name() string { return "endpoint" }

// RealModel is false, because nothing is created: what stands behind the
// address is known when it has been asked.
func (Endpoint) RealModel() bool { return false }

// Start parses the address.
func (e Endpoint) Start(context.Context, *compose.Run) (Server, error) {
	u, err := e.parse()
	if err != nil {
		return nil, err
	}
	return fixedServer{u}, nil
}

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

type fixedServer struct{ base *url.URL }

func (s fixedServer) Endpoint() *url.URL         { return s.base }
func (s fixedServer) Stop(context.Context) error { return nil }
