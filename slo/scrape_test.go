package slo_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/x/dail/slo"
)

func TestScrape(t *testing.T) {
	page := file(t, "vllm-0.13.after.prom")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Header.Get("Accept") != "text/plain;version=0.0.4" {
			http.Error(w, "not what a scraper asks", http.StatusBadRequest)
			return
		}
		w.Write([]byte(page))
	}))
	defer srv.Close()
	for _, base := range []string{srv.URL, srv.URL + "/"} {
		s, err := slo.Scrape(t.Context(), srv.Client(), base)
		if err != nil {
			t.Fatal(err)
		}
		if s.At.IsZero() || len(s.Engines) != 1 || s.Engines[0].Model != "qwen3-coder-30b-fp8" {
			t.Errorf("snapshot %+v", s)
		}
	}
	if _, err := slo.Scrape(t.Context(), nil, srv.URL); err != nil {
		t.Errorf("without a client: %v", err)
	}
}

func TestScrapeFails(t *testing.T) {
	page := file(t, "vllm-0.13.after.prom")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name    string
		ctx     context.Context
		handler http.HandlerFunc
		want    string
	}{
		{"error status", t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "engine is dead", http.StatusServiceUnavailable)
		}, "503 Service Unavailable: engine is dead"},
		{"broken connection", t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(page)))
			// Up to the end of a family, so that nothing but the length tells.
			w.Write([]byte(page[:strings.Index(page, "# HELP vllm:cache_config_info")]))
		}, "unexpected EOF"},
		{"broken page", t.Context(), func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(page[:5000])) }, "/metrics: slo: metrics page of 5000 bytes is broken"},
		{"cancelled", cancelled, func(http.ResponseWriter, *http.Request) {}, "context canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			s, err := slo.Scrape(c.ctx, srv.Client(), srv.URL)
			if err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an error that says %q", s, err, c.want)
			}
			if c.ctx == cancelled && !errors.Is(err, context.Canceled) {
				t.Errorf("%v does not wrap context.Canceled", err)
			}
		})
	}
	if _, err := slo.Scrape(t.Context(), nil, "http://[bad"); err == nil {
		t.Error("a bad address was no error")
	}
}
