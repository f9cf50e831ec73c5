package pod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/x/dail/compose"
)

// This file puts fakeCloud behind HTTP, so that real processes can use it: the
// cloud stands in the test's process, its clients in programs and watchdogs.

// cloudKey is the key of the cloud, and the secret that is searched for.
const cloudKey = "planted-7d1f0c55-key"

// cloudServer serves a fakeCloud.
type cloudServer struct {
	*fakeCloud
	url string
	// late, under mu, is closed when the machine of a request is to come to be, whatever
	// has become of its client; nil is at once. asked gets a value for each late one.
	late  chan struct{}
	asked chan struct{}
}

func serveCloud(t *testing.T, clk Clock) *cloudServer {
	t.Helper()
	c := &cloudServer{fakeCloud: newFakeCloud(clk), asked: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /machines", c.create)
	mux.HandleFunc("GET /machines", func(w http.ResponseWriter, r *http.Request) {
		all, err := c.List(r.Context())
		reply(w, all, err)
	})
	mux.HandleFunc("GET /machines/{id}", func(w http.ResponseWriter, r *http.Request) {
		m, err := c.Get(r.Context(), r.PathValue("id"))
		reply(w, m, err)
	})
	mux.HandleFunc("DELETE /machines/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, c.Terminate(r.Context(), r.PathValue("id")))
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+cloudKey {
			reply(w, nil, &ProviderError{Provider: "cloud", Op: r.Method, Kind: ErrUnauthorized})
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	c.add("somebody-elses", nil)
	return c
}

func (c *cloudServer) create(w http.ResponseWriter, r *http.Request) {
	var spec struct {
		Name   string
		Marker Marker
	}
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	late := c.late
	c.mu.Unlock()
	if late != nil {
		c.asked <- struct{}{}
		<-late
	}
	reply(w, c.add(spec.Name, &spec.Marker), nil)
}

func reply(w http.ResponseWriter, body any, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		w.WriteHeader(http.StatusNotFound)
	case errors.Is(err, ErrUnauthorized):
		w.WriteHeader(http.StatusUnauthorized)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		_ = json.NewEncoder(w).Encode(body)
	}
}

// cloudClient is the provider that programs use.
type cloudClient struct {
	URL  string
	Key  Secret
	http *http.Client
}

func openCloud(public, secret []byte, _ Clock) (Provider, error) {
	if len(secret) == 0 {
		return nil, errors.New("no key came")
	}
	return &cloudClient{URL: string(public), Key: Secret(secret), http: &http.Client{Transport: &http.Transport{}}}, nil
}

func (c *cloudClient) Handover() (public, secret []byte, err error) {
	return []byte(c.URL), []byte(c.Key.Reveal()), nil
}

func (c *cloudClient) About() About { return About{Name: "cloud", Outlives: true, Paid: true} }

func (c *cloudClient) do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+"/machines"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Key.Reveal())
	fault := &ProviderError{Provider: "cloud", Op: method, ID: strings.TrimPrefix(path, "/"), Kind: ErrBusy}
	res, err := c.http.Do(req)
	if err != nil {
		fault.Err, fault.Message = err, err.Error()
		return fault
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	switch {
	case res.StatusCode == http.StatusNotFound:
		fault.Kind = ErrNotFound
	case res.StatusCode == http.StatusUnauthorized:
		fault.Kind = ErrUnauthorized
	case err == nil && res.StatusCode == http.StatusOK:
		return json.Unmarshal(text, out)
	}
	fault.Message = fmt.Sprintf("%s: %s", res.Status, text)
	return fault
}

func (c *cloudClient) Offers(context.Context, *compose.Run) ([]Offer, error) { return nil, nil }

func (c *cloudClient) Create(ctx context.Context, spec Spec) (m Machine, err error) {
	err = c.do(ctx, http.MethodPost, "", map[string]any{"Name": spec.Name, "Marker": spec.Marker}, &m)
	return m, err
}

func (c *cloudClient) Get(ctx context.Context, id string) (m Machine, err error) {
	err = c.do(ctx, http.MethodGet, "/"+id, nil, &m)
	return m, err
}

func (c *cloudClient) List(ctx context.Context) (all []Machine, err error) {
	err = c.do(ctx, http.MethodGet, "", nil, &all)
	return all, err
}

func (c *cloudClient) Terminate(ctx context.Context, id string) error {
	var none any
	return c.do(ctx, http.MethodDelete, "/"+id, nil, &none)
}

func (c *cloudClient) Logs(context.Context, string, int) ([]string, error) { return nil, nil }
