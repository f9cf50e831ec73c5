package podtest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Event is one call that the server answered, in the order of the answers.
type Event struct {
	At        time.Time
	Method    string
	Path      string  // with the query, but never a key
	Status    int     // 0: no answer was given
	Pod       string  // id of the pod that the call was about; empty: none
	ByPod     bool    // made with a pod's own key
	Faults    []Fault // that acted on it
	RequestID string
}

func (e Event) String() string {
	text := fmt.Sprintf("%s %s %d", e.Method, e.Path, e.Status)
	if e.Pod != "" && !strings.Contains(e.Path, e.Pod) {
		text += " " + e.Pod
	}
	if e.ByPod {
		text += " by the pod"
	}
	if len(e.Faults) > 0 {
		text += fmt.Sprintf(" %v", e.Faults)
	}
	return text
}

func (c *call) event(at time.Time, a answer) Event {
	u := *c.r.URL
	if q := u.Query(); q.Has("api_key") {
		q.Set("api_key", "redacted")
		u.RawQuery = q.Encode()
	}
	return Event{
		At: at, Method: c.r.Method, Path: u.RequestURI(), Status: a.status, Pod: c.pod,
		ByPod: c.podKey != "", Faults: slices.Clone(c.faults), RequestID: c.id,
	}
}

// eventLog keeps the calls, and prints them.
type eventLog struct {
	mu   sync.Mutex
	w    io.Writer // may be nil
	list []Event
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	l.list = append(l.list, e)
	l.mu.Unlock()
	l.line(e.At, e.String())
}

func (l *eventLog) line(at time.Time, text string) {
	if l.w == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%s podtest: %s\n", at.UTC().Format("15:04:05.000"), text)
}

// Events lists the calls so far.
func (s *Server) Events() []Event {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return slices.Clone(s.log.list)
}
