package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/pod/podtest"
)

func TestMain(m *testing.M) {
	podtest.Main()
	goleak.VerifyTestMain(m)
}

// screen is what the program prints, readable while it runs.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) waitFor(t *testing.T, what string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for !strings.Contains(s.String(), what) {
		select {
		case <-s.more:
		case <-timeout:
			t.Fatalf("it did not print %q:\n%s", what, s.String())
		}
	}
}

const body = `{"name":"dail-1-a","image":"i","disk":50,"gpu":{"id":"NVIDIA L40S"}}`

func TestServesUntilItIsStopped(t *testing.T) {
	t.Setenv("SSH_KEY_PATH", "")
	for name, tc := range map[string]struct {
		giveBack bool
		status   int
		says     []string
	}{
		"a pod that is given back": {true, 0, []string{"dail-1-a", "1 pods", "0.99"}},
		"a pod that is forgotten":  {false, 1, []string{"dail-1-a", "STILL ALIVE: "}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			out := &screen{more: make(chan struct{}, 1)}
			status := make(chan int, 1)
			go func() {
				status <- run(ctx, []string{"-benchmark", "smoke", "-fault", "no-capacity=1", "-fault", "ssh-late:2"}, out, io.Discard)
			}()
			out.waitFor(t, "Ctrl-C")
			m := regexp.MustCompile(`RUNPOD_API_KEY=(\S+) SSH_KEY_PATH=\S+/id_ed25519 \\\n  bin/dev-load -provider runpod -runpod-url (\S+) -runner local -allow-host-exec`).FindStringSubmatch(out.String())
			if m == nil {
				t.Fatalf("no command line:\n%s", out.String())
			}
			key, url := m[1], m[2]
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			call := func(method, path, body string) (int, string) {
				req, err := http.NewRequest(method, url+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+key)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return resp.StatusCode, string(text)
			}
			if code, text := call("POST", "/pods", body); code != 400 {
				t.Errorf("the fault did not act: %d %s", code, text)
			}
			code, text := call("POST", "/pods", body)
			id := regexp.MustCompile(`"id":"([a-z0-9]+)"`).FindStringSubmatch(text)
			if code != 201 || id == nil {
				t.Fatalf("%d %s", code, text)
			}
			if tc.giveBack {
				if code, text := call("DELETE", "/pods/"+id[1], ""); code != 204 {
					t.Errorf("%d %s", code, text)
				}
			}
			stop()
			if got := <-status; got != tc.status {
				t.Errorf("exit status %d, want %d\n%s", got, tc.status, out.String())
			}
			for _, want := range tc.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	for _, args := range [][]string{
		{"-fault", "no-such=1"}, {"-fault", "create-500=often"}, {"-fault", "create-late:soon=1"}, {"stray"}, {"-model", "no-such"},
		{"-addr", "0.0.0.0:0"}, {"-sshd", "/no/such/sshd"}, {"-nonsense"},
	} {
		var stderr bytes.Buffer
		if status := run(t.Context(), args, io.Discard, &stderr); status != 2 || stderr.Len() == 0 {
			t.Errorf("%q: exit status %d: %s", args, status, stderr.String())
		}
	}
	var out bytes.Buffer
	if status := run(t.Context(), []string{"-faults"}, &out, io.Discard); status != 0 || strings.Count(out.String(), "\n") != len(podtest.Faults()) {
		t.Errorf("%d %s", status, out.String())
	}
}
