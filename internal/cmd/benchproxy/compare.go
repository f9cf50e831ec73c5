package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// compare measures all paths at all concurrencies.
func compare(ctx context.Context, o options, stderr io.Writer) ([]row, error) {
	up, err := startRole(ctx, roleSpec{Role: "upstream", Delay: o.delay, Answer: answerTool}, stderr)
	if err != nil {
		return nil, err
	}
	defer up.stop()
	var paths []*path
	seq := &atomic.Uint64{}
	for _, name := range o.paths {
		p, err := o.open(ctx, name, up.url, seq, stderr)
		if err != nil {
			return nil, err
		}
		defer p.close()
		p.spread = o.delay
		paths = append(paths, p)
	}
	if err := o.profiled(ctx, paths, "start"); err != nil {
		return nil, err
	}
	var rows []row
	for _, n := range o.concurrency {
		tallies, err := o.rotate(ctx, paths, n, stderr)
		if err != nil {
			return nil, err
		}
		rows = append(rows, rowsOf(paths, tallies, n)...)
	}
	return rows, o.profiled(ctx, paths, "stop")
}

func (p *path) close() {
	p.client.CloseIdleConnections()
	if p.stage != nil {
		p.stage.stop()
	}
}

// open starts the process of a path.
func (o options) open(ctx context.Context, name, upstream string, seq *atomic.Uint64, stderr io.Writer) (*path, error) {
	messages, chat := bodies(o.bodyBytes)
	switch name {
	case "direct":
		return newPath(name, upstream+"/v1/chat/completions", nil, chat, `"finish_reason"`, seq), nil
	case "litellm":
		st, err := startLiteLLM(ctx, upstream, stderr)
		if err != nil {
			return nil, err
		}
		return newPath(name, st.url+"/v1/messages", st, messages, "message_stop", seq), nil
	}
	st, err := startRole(ctx, roleSpec{Role: name, Upstream: upstream}, stderr)
	if err != nil {
		return nil, err
	}
	switch name {
	case "native":
		return newPath(name, st.url+"/v1/messages", st, messages, "message_stop", seq), nil
	case "destream":
		return newPath(name, st.url+"/v1/chat/completions", st, streaming(chat), "[DONE]", seq), nil
	}
	return newPath(name, st.url+"/v1/chat/completions", st, chat, `"finish_reason"`, seq), nil
}

// rotate gives each path its turns, and begins each round with another path.
func (o options) rotate(ctx context.Context, paths []*path, n int, stderr io.Writer) ([]tally, error) {
	tallies := make([]tally, len(paths))
	for _, p := range paths {
		if err := p.turn(ctx, n, o.warmUp, &tally{}); err != nil {
			return nil, err
		}
	}
	for round := range o.rounds {
		for i := range paths {
			k := (i + round) % len(paths)
			if err := paths[k].turn(ctx, n, o.slice, &tallies[k]); err != nil {
				return nil, err
			}
		}
		if !o.quick {
			fmt.Fprintf(stderr, "%s  %d at once: round %d of %d\n", time.Now().Format(time.TimeOnly), n, round+1, o.rounds)
		}
	}
	return tallies, nil
}

// profiled starts the native gateway's profile, or ends and writes it.
func (o options) profiled(ctx context.Context, paths []*path, verb string) error {
	for _, p := range paths {
		if o.profile == "" || p.name != "native" {
			continue
		}
		data, err := p.stage.profile(ctx, verb)
		if err == nil && verb == "stop" {
			err = os.WriteFile(o.profile, data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("-profile: %w", err)
		}
	}
	return nil
}

// rowsOf are the figures of all paths at one concurrency.
func rowsOf(paths []*path, tallies []tally, n int) []row {
	base := map[string]row{}
	var rows []row
	for i, p := range paths {
		r := rowOf(p, tallies[i], n)
		base[p.name] = r
		rows = append(rows, r)
	}
	for i := range rows {
		r := &rows[i]
		if d, ok := base["direct"]; ok && r.Path != "direct" {
			r.AddedP50MS, r.AddedP99MS = r.P50MS-d.P50MS, r.P99MS-d.P99MS
		}
		if c, ok := base["copy"]; ok && r.Path != "direct" && r.Path != "copy" {
			r.OverCopy = &added{r.P50MS - c.P50MS, r.P99MS - c.P99MS}
		}
	}
	return rows
}

func rowOf(p *path, t tally, n int) row {
	all := sorted(t.latency)
	r := row{Path: p.name, Concurrency: n, Requests: len(all), Errors: t.errors,
		P50MS: ms(quantile(all, 0.5)), P99MS: ms(quantile(all, 0.99)), RSSMB: float64(t.used.MaxRSS) / 1e6}
	if t.first != nil {
		r.FirstError = t.first.Error()
	}
	if t.wall > 0 {
		r.PerSecond = float64(len(all)) / t.wall.Seconds()
	}
	if k := float64(len(all) + t.errors); k > 0 {
		r.CPUS, r.Allocs, r.AllocBytes = t.used.CPUS/k, float64(t.used.Mallocs)/k, float64(t.used.Alloc)/k
	}
	return r
}
