package proxy

import (
	"hash/maphash"
	"slices"
	"sort"
	"sync"
)

const (
	// prefixBlock is how finely common prefixes are measured, in bytes; a block
	// of vLLM's prefix cache is 16 tokens, some 60 bytes of English.
	prefixBlock = 64
	// maxPrefixBlocks bounds what is remembered of a level, about 100 MB: some
	// 60 MB of prompts of which nobody had sent the beginning.
	maxPrefixBlocks = 1 << 20
)

// prefixes remembers which beginnings of prompts have been sent, and by whom,
// so that the report can say how much of a prompt a prefix cache could have
// known, whatever the server's own cache made of it. It holds hashes only. The
// zero value is ready.
type prefixes struct {
	seeded sync.Once
	seed   maphash.Seed

	mu    sync.Mutex
	level string
	// own holds every beginning with who sent it; senders the first two of each
	// beginning, which is all that "somebody else did" needs. Whoever sent a
	// beginning has sent every shorter one too.
	own     map[beginning]struct{}
	senders map[uint64][2]int32 // agents from 1; 0 is none
}

// A beginning of a prompt, up to the end of a block.
type beginning struct {
	hash  uint64
	agent int32
}

// arrive notes a prompt of agent and returns how many bytes of its beginning
// the agent itself, and how many any other agent of the level, had sent before.
func (p *prefixes) arrive(level string, agent int, parts ...[]byte) (own, shared int) {
	if agent < 0 {
		return 0, 0
	}
	p.seeded.Do(func() { p.seed = maphash.MakeSeed() })
	hashes := beginnings(p.seed, parts)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own == nil || p.level != level || len(p.own) > maxPrefixBlocks {
		p.level = level
		p.own, p.senders = map[beginning]struct{}{}, map[uint64][2]int32{}
	}
	me := int32(agent) + 1
	// All agents wait for each other here, so the longest known beginning is
	// searched for, not every one looked up.
	own = sort.Search(len(hashes), func(i int) bool {
		_, mine := p.own[beginning{hashes[i], me}]
		return !mine
	})
	shared = sort.Search(len(hashes), func(i int) bool {
		who := p.senders[hashes[i]]
		return (who[0] == 0 || who[0] == me) && (who[1] == 0 || who[1] == me)
	})
	for _, h := range hashes[own:] {
		p.own[beginning{h, me}] = struct{}{}
		who := p.senders[h]
		if i := slices.Index(who[:], 0); i >= 0 {
			who[i] = me
			p.senders[h] = who
		}
	}
	return own * prefixBlock, shared * prefixBlock
}

// beginnings hashes what the parts, one after another, hold up to the end of
// each whole block.
func beginnings(seed maphash.Seed, parts [][]byte) []uint64 {
	total := 0
	for _, part := range parts {
		total += len(part)
	}
	hashes := make([]uint64, 0, total/prefixBlock)
	var h maphash.Hash
	h.SetSeed(seed)
	filled := 0
	for _, part := range parts {
		for len(part) > 0 {
			n := min(prefixBlock-filled, len(part))
			h.Write(part[:n])
			part, filled = part[n:], filled+n
			if filled == prefixBlock {
				hashes = append(hashes, h.Sum64())
				filled = 0
			}
		}
	}
	return hashes
}
