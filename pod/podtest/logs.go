package podtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// podLogs is GET /v2/pods/{id}/logs: a stream of events that never ends by
// itself.
func (s *Server) podLogs(c *call) answer {
	c.pod = c.vars["id"]
	_, silent := s.take(c, LogsSilent)
	s.mu.Lock()
	p, ok := s.find(c.vars["id"])
	alive := ok && p.alive()
	s.mu.Unlock()
	if !alive {
		return refuse(http.StatusNotFound, "pod not found")
	}
	q := c.r.URL.Query()
	tail := 100
	if q.Has("tail") {
		tail, _ = strconv.Atoi(q.Get("tail")) // the contract has let it pass
	}
	since := q.Get("since")
	if id := c.r.Header.Get("Last-Event-ID"); id != "" {
		since, _, _ = strings.Cut(id, "/")
	}
	from := time.Time{}
	if since != "" {
		var err error
		if from, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return refuse(http.StatusUnprocessableEntity, "Request validation failed.", "header Last-Event-ID: not a time")
		}
	}
	source := q.Get("source")
	return answer{status: http.StatusOK, stream: func(w http.ResponseWriter) {
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		if silent {
			<-c.r.Context().Done()
			return
		}
		follow(w, c.r, p.logs, func(l logLine) bool { return source == "" || l.Source == source }, from, tail)
	}}
}

// follow writes the lines that are wanted until the reader goes.
func follow(w http.ResponseWriter, r *http.Request, logs *logbook, want func(logLine) bool, from time.Time, tail int) {
	flush := http.NewResponseController(w)
	lines, n, more := logs.since(0)
	var kept []logLine
	for _, l := range lines {
		if want(l) && !l.at.Before(from) {
			kept = append(kept, l)
		}
	}
	if from.IsZero() && len(kept) > tail {
		kept = kept[len(kept)-tail:]
	}
	count := 0
	for {
		for _, l := range kept {
			count++
			data, _ := json.Marshal(l) // strings
			if _, err := fmt.Fprintf(w, "id: %s/%012d\ndata: %s\n\n", l.TS, count, data); err != nil {
				return
			}
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-more:
		}
		lines, n, more = logs.since(n)
		kept = kept[:0]
		for _, l := range lines {
			if want(l) {
				kept = append(kept, l)
			}
		}
	}
}
