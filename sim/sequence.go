package sim

import (
	"container/heap"
	"time"
)

type sequenceState uint8

const (
	stateQueued sequenceState = iota
	stateRunning
	stateDone
	stateAborted
)

// sequence is a request inside the engine.
type sequence struct {
	id    int64
	job   Job
	state sequenceState

	known     int // tokens that exist: the prompt and what was generated
	generated int
	computed  int // tokens whose KV is in the cache
	cached    int // prompt tokens found in the prefix cache when first scheduled

	hashes     []uint64 // of the full blocks of known tokens
	blocks     []int32  // the block table
	registered int      // leading blocks that were offered to the prefix cache

	scheduled   int  // tokens in the step in flight
	decoding    bool // in the step in flight: one step, one token
	preemptions int

	scheduledAt, firstAt, lastAt time.Duration

	dueAt time.Duration // next token, with a pace
}

func newSequence(id int64, j Job, blockSize int) *sequence {
	s := &sequence{id: id, job: j, known: len(j.Prompt)}
	s.hashes = make([]uint64, 0, (len(j.Prompt)+len(j.Output))/blockSize)
	var parent uint64
	for end := blockSize; end <= len(j.Prompt); end += blockSize {
		parent = hashBlock(parent, j.Prompt[end-blockSize:end])
		s.hashes = append(s.hashes, parent)
	}
	return s
}

func (s *sequence) token(i int) uint32 {
	if i < len(s.job.Prompt) {
		return s.job.Prompt[i]
	}
	return s.job.Output[i-len(s.job.Prompt)]
}

// advance adds n generated tokens, and the hashes of the blocks they fill.
func (s *sequence) advance(n, blockSize int) {
	s.generated += n
	s.known += n
	for end := (len(s.hashes) + 1) * blockSize; end <= s.known; end += blockSize {
		var parent uint64
		if len(s.hashes) > 0 {
			parent = s.hashes[len(s.hashes)-1]
		}
		var block [64]uint32
		tokens := block[:0]
		for i := end - blockSize; i < end; i++ {
			tokens = append(tokens, s.token(i))
		}
		s.hashes = append(s.hashes, hashBlock(parent, tokens))
	}
}

// paceHeap orders sequences by (time of the next token, number).
type paceHeap []*sequence

func (h paceHeap) Len() int { return len(h) }
func (h paceHeap) Less(i, j int) bool {
	return h[i].dueAt < h[j].dueAt || h[i].dueAt == h[j].dueAt && h[i].id < h[j].id
}
func (h paceHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *paceHeap) Push(x any)   { *h = append(*h, x.(*sequence)) }
func (h *paceHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	*h = old[:len(old)-1]
	return s
}

// admitPaced starts a request at its arrival: with a pace nothing waits.
func (e *Engine) admitPaced(s *sequence) {
	hits, _ := e.cache.match(s.hashes[:(len(s.job.Prompt)-1)/e.cfg.BlockSize])
	e.admit(s, s.job.Arrival, hits)
	s.computed = len(s.job.Prompt)
	e.growBlocks(s, s.computed)
	e.registerBlocks(s)
	e.running = append(e.running, s)
	s.dueAt = s.job.Arrival + e.pace.First(s.id)
	heap.Push(&e.due, s)
}

// stepPaced hands out the token that is due first.
func (e *Engine) stepPaced(at time.Duration) {
	e.clock = max(e.clock, at)
	s := e.due[0]
	iteration := 1
	if s.generated == 0 {
		iteration += len(s.job.Prompt) - s.cached
	} else {
		s.computed++
		e.growBlocks(s, s.computed)
		e.registerBlocks(s)
	}
	e.emit(s, at, 1)
	e.stats.iterTokens.observe(int64(iteration))
	if s.state == stateDone {
		heap.Pop(&e.due)
		for i, r := range e.running {
			if r == s {
				e.running = append(e.running[:i], e.running[i+1:]...)
				break
			}
		}
		return
	}
	s.dueAt = at + e.pace.Gap(s.id, s.generated)
	heap.Fix(&e.due, 0)
}
