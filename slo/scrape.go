package slo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Scrape reads base's /metrics, for example of "http://127.0.0.1:8000". The
// snapshot's time is the middle between question and answer. A nil client is
// http.DefaultClient; the context bounds the wait.
func Scrape(ctx context.Context, client *http.Client, base string) (*Snapshot, error) {
	if client == nil {
		client = http.DefaultClient
	}
	url := strings.TrimSuffix(base, "/") + "/metrics"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("slo: scrape %s: %w", url, err)
	}
	// OpenMetrics is a dialect that the parser takes for counters without a
	// type, so ask for the classic text.
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	asked := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("slo: scrape: %w", err) // holds the method and the URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		head, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return nil, fmt.Errorf("slo: scrape %s: HTTP %s: %s", url, resp.Status, strings.TrimSpace(string(head)))
	}
	// Where the connection breaks, reading the body fails before Parse sees
	// an end.
	s, err := Parse(resp.Body, asked)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", url, err)
	}
	s.At = asked.Add(time.Since(asked) / 2)
	return s, nil
}
