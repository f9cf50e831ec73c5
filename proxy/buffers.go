package proxy

import "sync"

// maxKept is the longest buffer that is kept: a prompt of some 200,000 tokens.
const maxKept = 1 << 20

// buffers keeps the memory of requests that have been translated. A gateway
// allocates little else, so without this most of its time would go into
// collecting it. The zero value is ready.
type buffers struct{ pool sync.Pool }

// get returns a buffer of any capacity, or nil.
func (b *buffers) get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return nil
}

// put takes back a buffer of which nobody holds a piece.
func (b *buffers) put(buf []byte) {
	if cap(buf) <= maxKept {
		b.pool.Put(&buf)
	}
}
