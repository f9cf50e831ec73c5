package sim

import (
	"slices"
	"time"
)

// schedule chooses the work of one step that starts at the given time, as
// vLLM's V1 scheduler does: no prefill phase and no decode phase, only
// sequences whose computed tokens must catch up with their known ones, under
// one budget. Those that run come first; those that wait are admitted in
// order, until the first that does not fit.
func (e *Engine) schedule(at time.Duration) Batch {
	batch := Batch{Draft: e.cfg.Speculative.Tokens}
	e.flight = e.flight[:0]
	budget := e.cfg.MaxNumBatchedTokens

	preempted := false
	for i := 0; i < len(e.running) && budget > 0; {
		s := e.running[i]
		n := min(s.known-s.computed, budget)
		if e.growBlocks(s, s.computed+n) {
			budget -= e.take(s, n, budget, &batch)
			i++
			continue
		}
		// The cache is full: the newest gives way. It lies at i or behind, so
		// it is not in this batch yet; if it is s itself, nothing is behind.
		preempted = true
		e.preempt()
	}
	if preempted {
		return batch // what was just thrown out is not let in again in the same step
	}

	for budget > 0 && len(e.waiting) > 0 && len(e.running) < e.cfg.MaxNumSeqs {
		s := e.waiting[0]
		if s.job.Arrival > at || s == e.stuck && budget >= e.stuckBudget {
			break
		}
		// The last token is always computed, for its logits: a prompt that is
		// wholly cached gives up its last block.
		hits, idle := e.cache.match(s.hashes[:min(len(s.hashes), (s.known-1)/e.cfg.BlockSize)])
		n := min(s.known-hits*e.cfg.BlockSize, budget)
		if e.blocksFor(hits*e.cfg.BlockSize+n)-hits > e.cache.free-idle {
			e.stuck, e.stuckBudget = s, budget
			break
		}
		e.waiting = slices.Delete(e.waiting, 0, 1)
		e.admit(s, at, hits)
		e.growBlocks(s, s.computed+n)
		e.running = append(e.running, s)
		budget -= e.take(s, n, budget, &batch)
	}
	return batch
}

// admit takes a sequence out of the queue, with the blocks that the prefix
// cache has for it.
func (e *Engine) admit(s *sequence, at time.Duration, hits int) {
	s.blocks = e.cache.hold(s.blocks[:0], s.hashes[:hits])
	s.registered = hits
	s.computed = hits * e.cfg.BlockSize
	s.state = stateRunning
	if s.preemptions == 0 { // a preempted request asks the cache again, uncounted
		s.scheduledAt = at
		s.cached = s.computed
		e.stats.prefixQueries += int64(len(s.job.Prompt))
		e.stats.prefixHits += int64(s.cached)
	}
}

// take puts n tokens of a sequence into the batch and returns what they cost
// of the budget.
func (e *Engine) take(s *sequence, n, budget int, b *Batch) int {
	e.flight = append(e.flight, s)
	s.scheduled = n
	s.decoding = s.generated > 0 && s.computed+n == s.known && n == 1
	if s.decoding {
		cost := min(1+e.cfg.Speculative.Tokens, budget)
		b.Decode++
		b.DecodeTokens += cost
		b.DecodeContext += s.known
		b.Samples++
		return cost
	}
	b.Prefill += n
	b.PrefillPairs += int64(n) * (2*int64(s.computed) + int64(n)) / 2
	if s.computed+n == s.known {
		b.Samples++
	}
	return n
}

// preempt throws the newest sequence out: its blocks are freed (their content
// stays findable until they are needed), and it will compute everything again.
func (e *Engine) preempt() {
	last := len(e.running) - 1
	s := e.running[last]
	e.running = e.running[:last]
	e.release(s)
	s.registered = 0
	s.computed = 0
	s.state = stateQueued
	s.preemptions++
	e.stats.preemptions++
	e.waiting = slices.Insert(e.waiting, 0, s)
}

func (e *Engine) blocksFor(tokens int) int {
	return (tokens + e.cfg.BlockSize - 1) / e.cfg.BlockSize
}

// growBlocks makes room for so many tokens of a sequence.
func (e *Engine) growBlocks(s *sequence, tokens int) (ok bool) {
	s.blocks, ok = e.cache.extend(s.blocks, e.blocksFor(tokens)-len(s.blocks))
	return ok
}

// release gives back all blocks of a sequence.
func (e *Engine) release(s *sequence) {
	e.cache.release(s.blocks)
	s.blocks = s.blocks[:0]
	e.stuck = nil
}

// registerBlocks offers the full computed blocks to the prefix cache.
func (e *Engine) registerBlocks(s *sequence) {
	for full := s.computed / e.cfg.BlockSize; s.registered < full; s.registered++ {
		i := s.registered
		e.cache.register(s.blocks[i], s.hashes[i])
		if w := e.stuck; w != nil && i < len(w.hashes) && w.hashes[i] == s.hashes[i] {
			e.stuck = nil
		}
	}
}
