package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/x/dail/proxy"
)

// sentBodies keeps what a client sends to the Messages API.
type sentBodies struct {
	next http.Handler
	mu   sync.Mutex
	list [][]byte
}

func (s *sentBodies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/v1/messages" {
		s.mu.Lock()
		s.list = append(s.list, body)
		s.mu.Unlock()
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.next.ServeHTTP(w, r)
}

// write stores the requests as test data: their whole shape, without what
// differs from machine to machine, and without the client's long texts, which
// are its maker's.
func (s *sentBodies) write(t *testing.T, work string) {
	t.Helper()
	for i, body := range s.list {
		dec := json.NewDecoder(strings.NewReader(strings.ReplaceAll(string(body), work, "/work")))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		v.(map[string]any)["metadata"] = map[string]any{"user_id": "…"}
		text, err := json.MarshalIndent(shortened(v), "", " ")
		if err == nil {
			err = os.MkdirAll("testdata/claude", 0o755)
		}
		if err == nil {
			err = os.WriteFile(claudeRequest(i), append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func claudeRequest(i int) string {
	return filepath.Join("testdata", "claude", fmt.Sprintf("request-%d.json", i+1))
}

// shortened returns v with every long text cut down to its beginning and its
// length.
func shortened(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = shortened(v[k])
		}
	case []any:
		for i := range v {
			v[i] = shortened(v[i])
		}
	case string:
		if r := []rune(v); len(r) > 100 {
			return fmt.Sprintf("%s… (%d characters)", string(r[:40]), len(r))
		}
	}
	return v
}

// TestClaudeRequests translates the three requests of a real session of Claude
// Code 2.1.330, which TestClaudeCode writes with -update.
func TestClaudeRequests(t *testing.T) {
	before := ""
	for i := range 3 {
		body, err := os.ReadFile(claudeRequest(i))
		if err != nil {
			t.Fatal(err)
		}
		u := newUpstream(t, func(int, string) reply { return text("Well.") })
		m := proxy.NewMessages(proxy.Config{Upstream: mustURL(t, u.URL), Model: "m"})
		m.CountIDs()
		srv := httptest.NewServer(m)
		status, header, answer := post(t, srv.URL+"/v1/messages", string(body))
		srv.Close()
		golden(t, fmt.Sprintf("claude-%d", i+1), u, status, header.Get("Content-Type"), answer)
		asked := u.seen()[0]
		if !strings.HasPrefix(asked, strings.TrimSuffix(before, "]}")) {
			t.Errorf("request %d does not begin with the one before it", i+1)
		}
		before = asked
	}
}
