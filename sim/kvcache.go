package sim

// kvCache is the KV cache in blocks of a fixed number of tokens, with a
// prefix cache over it as vLLM has it: a full block is known by the hash of
// its tokens and of everything before them; a block that no sequence holds
// keeps its content until the block is needed, the longest unused first.
type kvCache struct {
	blockSize int
	grow      bool // add a block instead of running out (engines with a Pace)

	ref  []int32  // sequences that hold the block
	hash []uint64 // content; 0 where the block is not in the prefix cache
	// next and prev link the blocks with ref 0, from the one to be taken next
	// (head) to the one freed last (tail); -1 ends the list.
	next, prev []int32
	head, tail int32
	free       int

	byHash map[uint64]int32
}

func newKVCache(blocks, blockSize int) *kvCache {
	c := &kvCache{blockSize: blockSize, head: -1, tail: -1, byHash: make(map[uint64]int32)}
	c.ref = make([]int32, 0, blocks)
	c.hash = make([]uint64, 0, blocks)
	c.next = make([]int32, 0, blocks)
	c.prev = make([]int32, 0, blocks)
	for range blocks {
		c.add()
	}
	return c
}

func (c *kvCache) add() {
	id := int32(len(c.ref))
	c.ref = append(c.ref, 0)
	c.hash = append(c.hash, 0)
	c.next = append(c.next, -1)
	c.prev = append(c.prev, -1)
	c.pushFree(id)
}

func (c *kvCache) total() int { return len(c.ref) }
func (c *kvCache) used() int  { return len(c.ref) - c.free }

func (c *kvCache) pushFree(id int32) {
	c.prev[id], c.next[id] = c.tail, -1
	if c.tail >= 0 {
		c.next[c.tail] = id
	} else {
		c.head = id
	}
	c.tail = id
	c.free++
}

func (c *kvCache) unlinkFree(id int32) {
	if p := c.prev[id]; p >= 0 {
		c.next[p] = c.next[id]
	} else {
		c.head = c.next[id]
	}
	if n := c.next[id]; n >= 0 {
		c.prev[n] = c.prev[id]
	} else {
		c.tail = c.prev[id]
	}
	c.free--
}

// match returns how many leading blocks of hashes are in the prefix cache, and
// how many of those no sequence holds now (taking them makes them not free).
func (c *kvCache) match(hashes []uint64) (blocks, idle int) {
	for _, h := range hashes {
		id, ok := c.byHash[h]
		if !ok {
			break
		}
		blocks++
		if c.ref[id] == 0 {
			idle++
		}
	}
	return blocks, idle
}

// hold takes the cached blocks of the hashes, which match has found, for a
// sequence.
func (c *kvCache) hold(table []int32, hashes []uint64) []int32 {
	for _, h := range hashes {
		id := c.byHash[h]
		if c.ref[id] == 0 {
			c.unlinkFree(id)
		}
		c.ref[id]++
		table = append(table, id)
	}
	return table
}

// extend appends n blocks to a sequence's table; false, and nothing done,
// where there are not enough.
func (c *kvCache) extend(table []int32, n int) ([]int32, bool) {
	if n <= 0 {
		return table, true
	}
	for c.grow && c.free < n {
		c.add()
	}
	if c.free < n {
		return table, false
	}
	for range n {
		id := c.head
		c.unlinkFree(id)
		if h := c.hash[id]; h != 0 { // evicted: its content is overwritten
			delete(c.byHash, h)
			c.hash[id] = 0
		}
		c.ref[id] = 1
		table = append(table, id)
	}
	return table, true
}

// register makes a full, computed block findable. A second block of the same
// content stays unregistered: the first one serves.
func (c *kvCache) register(id int32, hash uint64) {
	if c.hash[id] != 0 {
		return
	}
	if _, taken := c.byHash[hash]; taken {
		return
	}
	c.hash[id] = hash
	c.byHash[hash] = id
}

// release gives a sequence's blocks back, the last first, so that the end of a
// prompt is evicted before its beginning.
func (c *kvCache) release(table []int32) {
	for i := len(table) - 1; i >= 0; i-- {
		id := table[i]
		c.ref[id]--
		if c.ref[id] == 0 {
			c.pushFree(id)
		}
	}
}

// hashBlock chains the hash of one block of tokens onto its predecessor's.
// 64 bits: with 10^6 live blocks a collision has a chance of 3·10^-8.
func hashBlock(parent uint64, tokens []uint32) uint64 {
	const k1, k2 = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
	h := parent ^ k1
	for _, t := range tokens {
		h = (h ^ uint64(t)) * k2
		h ^= h >> 29
	}
	h *= k1
	h ^= h >> 32
	if h == 0 { // 0 says "no hash"
		return 1
	}
	return h
}
