package proxy

import (
	"context"
	"sync"
	"time"
)

// A beat keeps a streaming client alive while the answer is being made: after
// HeaderWait it sends the stream's header and a keep-alive, and from then on
// one at each KeepAlive.
type beat struct {
	cancel context.CancelFunc
	out    *client
	word   []byte
	every  time.Duration

	mu        sync.Mutex
	timer     *time.Timer
	committed bool
	stopped   bool
}

// startBeat begins to wait. cancel is called where the client turns out to be
// gone before the server has noticed, so that the generation stops.
func (c *core) startBeat(cancel context.CancelFunc, out *client, d dialect, s *span) *beat {
	b := &beat{cancel: cancel, out: out, every: c.cfg.KeepAlive}
	if !s.rec.Streamed {
		return b
	}
	b.word = d.keepAlive()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(max(c.cfg.HeaderWait, 0), b.strike)
	return b
}

func (b *beat) strike() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	if !b.committed {
		b.committed = true
		b.out.commit()
	}
	if b.out.write(b.word); b.out.err != nil {
		b.cancel()
		return
	}
	if b.every > 0 {
		b.timer.Reset(b.every)
	}
}

// stop ends the beat, and reports whether the stream's header has been sent.
// After it the client belongs to the caller again.
func (b *beat) stop() (committed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.timer != nil {
		b.timer.Stop()
	}
	return b.committed
}
