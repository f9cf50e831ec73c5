package proxy

import (
	"hash/maphash"
	"slices"
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
	mu    sync.Mutex
	seed  maphash.Seed
	level string
	// own holds every beginning with who sent it; senders the first two of each
	// beginning, which is all that "somebody else did" needs.
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own == nil || p.level != level || len(p.own) > maxPrefixBlocks {
		p.seed, p.level = maphash.MakeSeed(), level
		p.own, p.senders = map[beginning]struct{}{}, map[uint64][2]int32{}
	}
	me := int32(agent) + 1
	var h maphash.Hash
	h.SetSeed(p.seed)
	at, filled := 0, 0
	byMe, byOthers := true, true // so far
	for _, part := range parts {
		for len(part) > 0 {
			n := min(prefixBlock-filled, len(part))
			h.Write(part[:n])
			part, filled, at = part[n:], filled+n, at+n
			if filled < prefixBlock {
				break
			}
			filled = 0
			mine, others := p.note(h.Sum64(), me)
			if byMe = byMe && mine; byMe {
				own = at
			}
			if byOthers = byOthers && others; byOthers {
				shared = at
			}
		}
	}
	return own, shared
}

// note adds a beginning, and answers who had sent it before: me, others.
func (p *prefixes) note(hash uint64, me int32) (mine, others bool) {
	who := p.senders[hash]
	others = who[0] != 0 && who[0] != me || who[1] != 0 && who[1] != me
	key := beginning{hash, me}
	if _, mine = p.own[key]; mine {
		return mine, others
	}
	p.own[key] = struct{}{}
	if i := slices.Index(who[:], 0); i >= 0 {
		who[i] = me
		p.senders[hash] = who
	}
	return mine, others
}
