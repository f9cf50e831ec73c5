package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/x/dail/internal/airlock"
)

// icy is a stream that can freeze, as an engine does: nothing goes in any more,
// and nothing is said of it.
type icy struct {
	io.ReadWriteCloser
	frozen atomic.Bool
	closed chan struct{}
}

func (s *icy) Write(b []byte) (int, error) {
	if s.frozen.Load() {
		<-s.closed
		return 0, os.ErrClosed
	}
	return s.ReadWriteCloser.Write(b)
}

func (s *icy) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return s.ReadWriteCloser.Close()
}

// boxed is a box around a helper in this process; die ends it as a container ends.
func boxed(t *testing.T, e Engine) (b *box, stream *icy, die func()) {
	t.Helper()
	ar, bw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	br, aw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirs := airlock.Stdio(br, bw)
	served := make(chan bool)
	go func() {
		airlock.Serve(theirs, nil)
		close(served)
	}()
	stream = &icy{ReadWriteCloser: airlock.Stdio(ar, aw), closed: make(chan struct{})}
	c, err := airlock.Connect(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		<-served
	})
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/workspace", 0o755); err != nil {
		t.Fatal(err)
	}
	return &box{engine: e, name: "dail-x", dir: dir, grace: time.Second, start: 200 * time.Millisecond, inside: c}, stream, func() { theirs.Close() }
}

// A gate whose container dies has failed; nobody can judge where the engine is gone.
func TestAGateEndsItsContainer(t *testing.T) {
	for name, e := range map[string]Engine{"an engine that answers": pretend(t, "exit 0"), "one that is gone": pretend(t, "exit 1")} {
		b, _, die := boxed(t, e)
		s := &sealed{b}
		var out bytes.Buffer
		argv := []string{"sh", "-c", "echo up; sleep 1000"}
		code, err := s.Exec(t.Context(), "", argv, nil, io.MultiWriter(&out, writerFunc(func(b []byte) {
			if string(b) == "up\n" {
				die()
			}
		})))
		if e.Check(t.Context()) != nil {
			if err == nil || !errors.Is(err, airlock.ErrGone) {
				t.Errorf("%s: %d, %v", name, code, err)
			}
			continue
		}
		if code != 137 || err != nil || !strings.Contains(out.String(), "the container dail-x died") {
			t.Errorf("%s: %d, %v, %q", name, code, err, out.String())
		}
		if code, err := s.Exec(t.Context(), "", argv, nil, io.Discard); code != 137 || err != nil {
			t.Errorf("the gate after it: %d, %v", code, err)
		}
	}
	// What could not be started is nobody's failure.
	b, _, _ := boxed(t, pretend(t, "exit 0"))
	if code, err := (&sealed{b}).Exec(t.Context(), "", []string{"/no/such/shell"}, nil, io.Discard); err == nil {
		t.Errorf("no shell: %d, %v", code, err)
	}
}

type writerFunc func([]byte)

func (w writerFunc) Write(b []byte) (int, error) { w(b); return len(b), nil }

// An engine that freezes when it has greeted holds nobody.
func TestFurnishingIsBounded(t *testing.T) {
	b, stream, _ := boxed(t, Engine{})
	stream.frozen.Store(true)
	err := b.within(t.Context(), func(ctx context.Context) error { return b.furnish(ctx, fstest.MapFS{"a": {}}) })
	if err == nil || !strings.Contains(err.Error(), "it was not ready within 200ms") {
		t.Errorf("%v", err)
	}
}
