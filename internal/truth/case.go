package truth

import (
	"bytes"
	"fmt"
	"time"

	"github.com/x/dail/internal/virtual"
	"github.com/x/dail/sim"
	"github.com/x/dail/slo"
)

// Case is an engine with a load.
type Case struct {
	Name   string
	Config sim.Config
	Load   virtual.Load
	// From and To cut the window out of the level; 0 and 0: the whole of it,
	// until every agent has done its work.
	From, To time.Duration
	// Second, where set, is another engine behind the same server, with the
	// label "1". It lives as long as the first.
	Second *sim.Config
	// Restart, above 0, lets the server start again that long after From: what
	// it counted before is lost, the agents begin anew.
	Restart time.Duration
	// Show changes the page into that of another server.
	Show []Disguise
}

// observed is what a measurement gets of a case, and what really happened in
// the same window.
type observed struct {
	window *slo.Window
	pages  [2]map[string]float64 // the raw samples before and after, for counts that no log has
	truth  facts
}

// run plays the case.
func (c Case) run() (*observed, error) {
	levels, err := c.start(c.Load.Seed)
	if err != nil {
		return nil, err
	}
	advance := func(d time.Duration) {
		for _, l := range levels {
			l.Advance(d)
		}
	}
	if c.From > 0 { // at 0 all agents ask, and that is within the window
		advance(c.From)
	}
	before, err := c.page(levels, 0)
	if err != nil {
		return nil, err
	}
	from, shift := levels[0].Now(), time.Duration(0)
	if c.Restart > 0 {
		advance(c.Restart)
		shift = levels[0].Now()
		if levels, err = c.start(c.Load.Seed + 1000); err != nil {
			return nil, err
		}
		from = 0
	}
	if c.To > 0 {
		advance(c.To - shift - levels[0].Now())
	}
	for c.To == 0 && !done(levels) {
		advance(time.Second)
	}
	after, err := c.page(levels, shift)
	if err != nil {
		return nil, err
	}
	o := &observed{pages: [2]map[string]float64{samples(before), samples(after)}}
	if c.Restart > 0 {
		o.pages[0] = nil // what is known is what was counted since
	}
	parse := func(page []byte, at time.Duration) (*slo.Snapshot, error) {
		return slo.Parse(bytes.NewReader(page), epoch.Add(at))
	}
	a, err := parse(before, c.From)
	if err != nil {
		return nil, err
	}
	b, err := parse(after, shift+levels[0].Now())
	if err != nil {
		return nil, err
	}
	if o.window, err = slo.Delta(a, b); err != nil {
		return nil, err
	}
	for _, l := range levels {
		o.truth.add(l.Log, from, l.Now())
	}
	o.truth.seconds = b.At.Sub(a.At).Seconds()
	return o, nil
}

// epoch is when every case begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (c Case) start(seed uint64) ([]*virtual.Level, error) {
	configs := []sim.Config{c.Config}
	if c.Second != nil {
		configs = append(configs, *c.Second)
	}
	var levels []*virtual.Level
	for i, cfg := range configs {
		load := c.Load
		load.Seed = seed + uint64(100*i)
		cfg.Seed = load.Seed
		l, err := virtual.Start(cfg, load)
		if err != nil {
			return nil, fmt.Errorf("truth: %s: %w", c.Name, err)
		}
		levels = append(levels, l)
	}
	return levels, nil
}

func done(levels []*virtual.Level) bool {
	for _, l := range levels {
		if !l.Done() {
			return false
		}
	}
	return true
}

// page is what the server shows: all its engines, in its own words. born is
// when it started, since the case's beginning.
func (c Case) page(levels []*virtual.Level, born time.Duration) ([]byte, error) {
	var pages [][]byte
	for _, l := range levels {
		page, err := l.Page()
		if err != nil {
			return nil, err
		}
		pages = append(pages, page)
	}
	return disguised(pages, born, c.Show)
}
