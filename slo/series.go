package slo

import (
	"context"
	"encoding/csv"
	"io"
	"strconv"
	"sync"
	"time"
)

// Series is a server's metrics, read again and again: what happened between
// two scrapes, in between. The zero value has read nothing.
type Series struct {
	// Snapshots are the readings, in the order of time.
	Snapshots []*Snapshot
	// Missed counts readings that failed, Err is the first of their errors. They
	// leave a longer slice behind, no hole: counters go on.
	Missed int
	Err    error
}

// Sampler reads a server's metrics at an interval, until it is stopped.
type Sampler struct {
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	series Series
}

// Sample starts to read, at once and then every interval, with scrape, which
// should bound its own time. A reading that is late does not pile up: the next
// one begins at the next tick. What fails is counted and left out.
func Sample(ctx context.Context, every time.Duration, scrape func(context.Context) (*Snapshot, error)) *Sampler {
	ctx, stop := context.WithCancel(ctx)
	s := &Sampler{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			now, err := scrape(ctx)
			if ctx.Err() != nil {
				return // the reading was cut short by Stop, no fault of the server's
			}
			s.add(now, err)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return s
}

func (s *Sampler) add(now *Snapshot, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.series.Missed++
		if s.series.Err == nil {
			s.series.Err = err
		}
		return
	}
	s.series.Snapshots = append(s.series.Snapshots, now)
}

// Series is what was read until now.
func (s *Sampler) Series() Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.series
	r.Snapshots = r.Snapshots[:len(r.Snapshots):len(r.Snapshots)]
	return r
}

// Stop ends the reading and returns what was read. It may be called again.
func (s *Sampler) Stop() Series {
	s.stop()
	<-s.done
	return s.Series()
}

// Between is the part of the series from one moment to another, both included.
func (s Series) Between(from, to time.Time) Series {
	var part []*Snapshot
	for _, p := range s.Snapshots {
		if !p.At.Before(from) && !p.At.After(to) {
			part = append(part, p)
		}
	}
	s.Snapshots = part
	return s
}

// Window is the difference between the first and the last reading; nil where
// there are not two.
func (s Series) Window() (*Window, error) {
	if len(s.Snapshots) < 2 {
		return nil, nil
	}
	return Delta(s.Snapshots[0], s.Snapshots[len(s.Snapshots)-1])
}

// slices are the differences between neighbours. A slice that cannot be taken
// (the page changed its buckets) is left out.
func (s Series) slices() []*Window {
	var list []*Window
	for i := 1; i < len(s.Snapshots); i++ {
		if w, err := Delta(s.Snapshots[i-1], s.Snapshots[i]); err == nil {
			list = append(list, w)
		}
	}
	return list
}

// Point is one reading of a series: gauges as they stood, and what was counted
// since the reading before it.
type Point struct {
	Seconds          float64 // since the series' start
	Running, Waiting float64 // requests, all engines together
	KVUsage          float64 // of the fullest engine, 0 to 1
	Prompt           int64   // tokens
	Generated        int64   // tokens
	FirstTokens      int64   // requests that got their first token
	TTFTSum          float64 // s, over FirstTokens
	ITLCount         int64   // decode steps of requests
	ITLSum           float64 // s, over ITLCount
	Preemptions      int64
}

// columns are the file's, in order.
var columns = []string{"t_s", "running", "waiting", "kv_usage", "prompt_tokens", "generation_tokens",
	"first_tokens", "ttft_sum_s", "itl_count", "itl_sum_s", "preemptions"}

// Points are the series as numbers, counted from start; the first reading has
// no difference.
func (s Series) Points(start time.Time) []Point {
	var list []Point
	for i, now := range s.Snapshots {
		p := Point{Seconds: now.At.Sub(start).Seconds()}
		for _, e := range now.Engines {
			p.Running += e.Running
			p.Waiting += e.Waiting
			p.KVUsage = max(p.KVUsage, e.KVUsage)
		}
		if i > 0 {
			if w, err := Delta(s.Snapshots[i-1], now); err == nil {
				p.Prompt, p.Generated, p.Preemptions = w.PromptTokens, w.GenerationTokens, w.Preemptions
				p.FirstTokens, p.TTFTSum = int64(w.TTFT.Count()), w.TTFT.Sum
				p.ITLCount, p.ITLSum = int64(w.ITL.Count()), w.ITL.Sum
			}
		}
		list = append(list, p)
	}
	return list
}

// WriteCSV writes the points of a series as a table with a head line, some 50
// bytes a reading: every spreadsheet and data frame reads it.
func (s Series) WriteCSV(w io.Writer, start time.Time) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	short := func(v float64, digits int) string { // without trailing zeros
		text := strconv.FormatFloat(v, 'f', digits, 64)
		f, _ := strconv.ParseFloat(text, 64)
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	whole := func(v int64) string { return strconv.FormatInt(v, 10) }
	for _, p := range s.Points(start) {
		err := out.Write([]string{
			short(p.Seconds, 2), short(p.Running, 0), short(p.Waiting, 0), short(p.KVUsage, 4), whole(p.Prompt), whole(p.Generated),
			whole(p.FirstTokens), short(p.TTFTSum, 4), whole(p.ITLCount), short(p.ITLSum, 4), whole(p.Preemptions),
		})
		if err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
