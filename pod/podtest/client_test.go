package podtest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/pod/podtest"
)

// patience is how long a test waits for what must happen; it is never waited
// out where all is well.
const patience = 60 * time.Second

// api is a client that knows nothing: it sends and shows.
type api struct {
	t    testing.TB
	base string
	key  string
	http *http.Client
}

// reply is one answer.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

func serve(t testing.TB, cfg podtest.Config) (*podtest.Server, api) {
	t.Helper()
	srv, err := podtest.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, v := range srv.Violations() {
			t.Errorf("violation: %s", v)
		}
	})
	return srv, api{t, srv.URL, srv.Key, client}
}

// as is the same client with another key.
func (a api) as(key string) api {
	a.key = key
	return a
}

// try sends a call, which may fail.
func (a api) try(ctx context.Context, method, path string, body any) (reply, error) {
	var r io.Reader
	if body != nil {
		raw, ok := body.(string)
		if !ok {
			text, err := json.Marshal(body)
			if err != nil {
				a.t.Fatal(err)
			}
			raw = string(text)
		}
		r = strings.NewReader(raw)
	}
	url := a.base + path
	if strings.HasPrefix(path, "//") {
		url = strings.TrimSuffix(a.base, "/v2") + path[1:]
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.key != "" {
		req.Header.Set("Authorization", "Bearer "+a.key)
	}
	req.Header.Set("User-Agent", "podtest-test")
	resp, err := a.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

func (a api) do(method, path string, body any) reply {
	a.t.Helper()
	r, err := a.try(a.t.Context(), method, path, body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// want sends a call that must have the status, and decodes its answer.
func (a api) want(status int, method, path string, body, into any) reply {
	a.t.Helper()
	r := a.do(method, path, body)
	if r.Status != status {
		a.t.Fatalf("%s %s: %d %s; want %d", method, path, r.Status, r.Body, status)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(r.Body), into); err != nil {
			a.t.Fatalf("%s %s: %v: %s", method, path, err, r.Body)
		}
	}
	return r
}

// logs reads so many lines of a pod's log.
func (a api) logs(ctx context.Context, id string, lines int) []string {
	a.t.Helper()
	return a.readLogs(ctx, a.openLogs(ctx, id), lines)
}

func (a api) openLogs(ctx context.Context, id string) *http.Response {
	a.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", a.base+"/pods/"+id+"/logs", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("User-Agent", "podtest-test")
	resp, err := a.http.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp
}

func (a api) readLogs(ctx context.Context, resp *http.Response, lines int) (got []string) {
	a.t.Helper()
	defer resp.Body.Close()
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		text.Write(buf[:n])
		got = nil
		for event := range strings.SplitSeq(text.String(), "\n\n") {
			if _, data, ok := strings.Cut(event, "data: "); ok {
				got = append(got, data)
			}
		}
		if err != nil || len(got) >= lines {
			if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
				a.t.Fatal(err)
			}
			return got
		}
	}
}

// podJSON is as much of a pod as the tests read.
type podJSON struct {
	ID, Name, Status, CreatedAt string
	Cost                        float64
	Locked                      bool
	DataCenterID                *string
	Actions                     []string
	Env                         map[string]string
	Runtime                     *struct{ Uptime int }
	SSH                         struct {
		Direct *struct {
			Host, Username, Command string
			Port                    int
		}
	}
}

func request(name string) map[string]any {
	return map[string]any{
		"name": name, "image": "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404", "disk": 50, "ports": []string{"22/tcp"},
		"cloud": "SECURE", "startSsh": true, "gpu": map[string]any{"id": "NVIDIA L40S", "count": 1, "minCudaVersion": "12.8"},
	}
}

func with(req map[string]any, key string, value any) map[string]any {
	req[key] = value
	return req
}

func (a api) create(req map[string]any) podJSON {
	a.t.Helper()
	var p podJSON
	a.want(201, "POST", "/pods", req, &p)
	return p
}

func (a api) get(id string) podJSON {
	a.t.Helper()
	var p podJSON
	a.want(200, "GET", "/pods/"+id, nil, &p)
	return p
}

func (a api) list() (ids []string) {
	a.t.Helper()
	var l struct{ Pods []podJSON }
	a.want(200, "GET", "/pods", nil, &l)
	for _, p := range l.Pods {
		ids = append(ids, p.ID)
	}
	return ids
}

// until asks about a pod until it is as wanted.
func (a api) until(id string, ok func(podJSON) bool) podJSON {
	a.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if p := a.get(id); ok(p) {
			return p
		}
	}
	a.t.Fatalf("pod %s did not become as wanted: %+v", id, a.get(id))
	return podJSON{}
}

func hasSSH(p podJSON) bool { return p.SSH.Direct != nil }

// userKey is a user's key, and its line of authorized_keys.
func userKey(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}
