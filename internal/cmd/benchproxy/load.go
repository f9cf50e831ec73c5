package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A path is one way from the client to the server.
type path struct {
	name string
	// stage is the process between them; nil where there is none.
	stage  *stage
	url    string
	accept func(body []byte) bool // is this a whole answer?
	header http.Header
	body   template
	client *http.Client
	// spread is the time over which the workers begin: that of one answer.
	spread time.Duration
	// seq numbers the requests, so that no two bodies are the same.
	seq *atomic.Uint64
}

// newPath makes the path's own client.
func newPath(name, url string, st *stage, body template, end string, seq *atomic.Uint64) *path {
	return &path{
		name: name, stage: st, url: url, body: body, seq: seq, header: http.Header{"Content-Type": {"application/json"}},
		accept: func(b []byte) bool { return bytes.Contains(b, []byte(end)) && bytes.Contains(b, []byte(answerMark)) },
		client: &http.Client{Transport: newTransport()},
	}
}

// answerMark stands in every answer of the server that calls a tool.
const answerMark = "count/main.go"

// A tally is what a path's turns came to.
type tally struct {
	latency []time.Duration
	errors  int
	first   error // the first error
	wall    time.Duration
	used    stats // differences; MaxRSS is the highest
}

// turn loads the path with n requests at a time for this long, and adds to t.
func (p *path) turn(ctx context.Context, n int, long time.Duration, t *tally) error {
	before, err := p.figures(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	err = p.load(ctx, n, t, func(int) bool { return time.Since(began) < long })
	t.wall += time.Since(began)
	after, err2 := p.figures(ctx)
	if err2 != nil {
		return err2
	}
	t.used.CPUS += after.CPUS - before.CPUS
	t.used.Mallocs += after.Mallocs - before.Mallocs
	t.used.Alloc += after.Alloc - before.Alloc
	t.used.MaxRSS = max(t.used.MaxRSS, after.MaxRSS)
	return err
}

// figures are those of the path's process.
func (p *path) figures(ctx context.Context) (stats, error) {
	if p.stage == nil {
		return stats{}, nil
	}
	return p.stage.stats(ctx, false)
}

// load runs n workers that send one request after the other while more says
// so; it is told how many the worker has sent.
func (p *path) load(ctx context.Context, n int, t *tally, more func(sent int) bool) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range n {
		wg.Go(func() {
			var took []time.Duration
			var failed int
			var first error
			w := p.worker(worker)
			// Agents do not act in step: begun together, they would all ask
			// at the same moment for ever, and wait for each other.
			p.pause(ctx, p.spread*time.Duration(worker)/time.Duration(n))
			for sent := 0; more(sent) && ctx.Err() == nil; sent++ {
				d, err := w.send(ctx)
				if err == nil {
					took = append(took, d)
				} else if failed++; first == nil {
					first = err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			t.latency = append(t.latency, took...)
			t.errors += failed
			if t.first == nil {
				t.first = first
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// pause waits, or until ctx ends.
func (p *path) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A worker is one developer's agent: its requests come one after another.
type worker struct {
	path   *path
	header http.Header
	body   []byte
	answer bytes.Buffer
}

func (p *path) worker(n int) *worker {
	w := &worker{path: p, header: p.header.Clone(), body: bytes.Clone(p.body.body)}
	if p.stage != nil && p.stage.tokens != nil {
		w.header.Set("Authorization", "Bearer "+p.stage.tokens[n%len(p.stage.tokens)])
	}
	return w
}

// send makes one request and reads its answer to the end.
func (w *worker) send(ctx context.Context) (time.Duration, error) {
	p := w.path
	p.body.vary(w.body, p.seq.Add(1))
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(w.body))
	if err != nil {
		return 0, err
	}
	req.Header = w.header
	res, err := p.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	defer res.Body.Close()
	w.answer.Reset()
	if _, err := io.Copy(&w.answer, res.Body); err != nil {
		return 0, fmt.Errorf("%s: read the answer: %w", p.name, err)
	}
	took := time.Since(began)
	if res.StatusCode != http.StatusOK || !p.accept(w.answer.Bytes()) {
		return 0, fmt.Errorf("%s: %s: %.300s", p.name, res.Status, w.answer.Bytes())
	}
	return took, nil
}
