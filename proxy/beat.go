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
	last      []byte // the end of what the server itself has sent
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
	if len(b.last) == 0 || string(b.last) == "\n\n" {
		b.out.write(b.word)
	}
	b.after()
}

// pass writes a piece of a stream that the server makes itself. No keep-alive
// falls into the middle of an event. It reports whether the client is there.
func (b *beat) pass(p []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.committed {
		b.committed = true
		b.out.commit()
	}
	b.last = append(b.last, p[max(0, len(p)-2):]...)
	b.last = append(b.last[:0], b.last[max(0, len(b.last)-2):]...)
	b.out.write(p)
	b.after()
	return b.out.err == nil
}

// after winds the clock up again, or ends all where the client is gone.
func (b *beat) after() {
	switch {
	case b.out.err != nil:
		b.cancel()
	case b.every > 0:
		b.timer.Reset(b.every)
	default:
		b.timer.Stop()
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
