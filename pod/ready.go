package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/x/dail/internal/clock"
)

// facts is what a ready server says of itself.
type facts struct {
	version     string
	simulated   bool
	maxModelLen int
}

// readyPoll is how often a server that does not answer yet is asked again.
const readyPoll = 500 * time.Millisecond

// errWrongServer marks an answer that waiting will not mend.
var errWrongServer = errors.New("not the server that was asked for")

// awaitReady asks the server until it is healthy and serves the model.
func awaitReady(ctx context.Context, clk clock.Clock, client *http.Client, base *url.URL, model string) (facts, error) {
	if client == nil {
		client = http.DefaultClient
	}
	for {
		f, err := inspect(ctx, client, base, model)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, errWrongServer) {
			return facts{}, err
		}
		if clk.Sleep(ctx, readyPoll) != nil {
			return facts{}, fmt.Errorf("not ready: %w (last answer: %w)", context.Cause(ctx), err)
		}
	}
}

// inspect asks /health, /v1/models and /version once.
func inspect(ctx context.Context, client *http.Client, base *url.URL, model string) (facts, error) {
	if err := getJSON(ctx, client, base.JoinPath("health"), nil); err != nil {
		return facts{}, err
	}
	var models struct {
		Data []struct {
			ID          string `json:"id"`
			MaxModelLen int    `json:"max_model_len"`
		} `json:"data"`
	}
	if err := getJSON(ctx, client, base.JoinPath("v1", "models"), &models); err != nil {
		return facts{}, err
	}
	var names []string
	var f facts
	for _, m := range models.Data {
		names = append(names, m.ID)
		if m.ID == model {
			f.maxModelLen = m.MaxModelLen
		}
	}
	if !slices.Contains(names, model) {
		return facts{}, fmt.Errorf("%w: it serves %s, the run needs %q; start it with --served-model-name %s, or choose the model that it serves",
			errWrongServer, strings.Join(names, ", "), model, model)
	}
	var v struct {
		Version string `json:"version"`
	}
	if err := getJSON(ctx, client, base.JoinPath("version"), &v); err != nil {
		return facts{}, err
	}
	f.version = v.Version
	f.simulated = strings.HasPrefix(v.Version, "dail-sim/")
	return f, nil
}

// getJSON reads one small answer; into may be nil where only the status counts.
func getJSON(ctx context.Context, client *http.Client, u *url.URL, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("GET %s: %w", u.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.200s", u.Path, resp.Status, body)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w", u.Path, err)
	}
	return nil
}
