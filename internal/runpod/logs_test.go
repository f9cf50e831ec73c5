package runpod_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/runpod"
)

func stream(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}

func event(line string) string {
	return fmt.Sprintf("id: 2026-06-01T12:02:03Z/1\ndata: {\"ts\":\"2026-06-01T12:02:03Z\",\"source\":\"system\",\"line\":%q}\n\n", line)
}

func lines(got []runpod.LogLine) string {
	var text []string
	for _, l := range got {
		text = append(text, l.Line)
	}
	return strings.Join(text, "|")
}

// unhurried is a clock by which so many silences last for long: those before a
// line that is on its way, which a slow machine may not read within a second.
type unhurried struct {
	clock.Wall
	silences int
}

func (u *unhurried) Real(d time.Duration) time.Duration {
	if u.silences--; u.silences >= 0 {
		return 60 * d
	}
	return d
}

func TestALogThatNeverEnds(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		tail       int
		want       string
	}{
		{"all that was asked for", event("a") + event("b"), 2, "a|b"},
		{"more than was asked for", event("a") + event("b") + event("c"), 2, "a|b"},
		{"fewer", event("a"), 50, "a"},
		{"none", "", 50, ""},
		{"comments only", ": ping\n\n: ping\n\n", 50, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // the end of a log is a second of silence
			c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("source") != "system" || r.URL.Query().Get("tail") != fmt.Sprint(tc.tail) {
					t.Errorf("query %s", r.URL.RawQuery)
				}
				stream(w, tc.text)
				<-r.Context().Done()
			})
			c.Clock = &unhurried{silences: strings.Count(tc.text, "data:")}
			got, err := c.Logs(context.Background(), "p1", runpod.SourceSystem, tc.tail)
			if err != nil || lines(got) != tc.want {
				t.Errorf("%q, %v", lines(got), err)
			}
		})
	}
}

func TestALogThatIsNotToBeHad(t *testing.T) {
	c, _ := serve(t, say(problem(404, "pod not found")).ServeHTTP)
	if _, err := c.Logs(context.Background(), "p1", "", 10); runpod.KindOf(err) != runpod.NotFound {
		t.Errorf("%v", err)
	}
	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		stream(w, event("a")+"data: {\"line\":\"hal")
		panic(http.ErrAbortHandler)
	})
	c.Clock = &unhurried{silences: 2}
	if got, err := c.Logs(context.Background(), "p1", "", 10); err != nil || lines(got) != "a" {
		t.Errorf("cut after a line: %q, %v", lines(got), err)
	}
	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		stream(w, ": hello\n")
		panic(http.ErrAbortHandler)
	})
	c.Clock = &unhurried{silences: 2}
	if got, err := c.Logs(context.Background(), "p1", "", 10); err == nil {
		t.Errorf("cut before a line: %q", lines(got))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c, _ = serve(t, func(w http.ResponseWriter, r *http.Request) {
		stream(w, "")
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Logs(ctx, "p1", "", 10); err == nil {
		t.Error("a caller that has gone got no error")
	}
}
