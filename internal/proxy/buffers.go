package proxy

import "sync"

// Sizes of buffers in bytes. A head fits the small one nearly always; a body
// moves through the large one, which is also the largest TLS record twice over.
const (
	smallBuffer = 8 << 10
	largeBuffer = 32 << 10
)

// buffers lends the memory that bytes pass through, so that the request path
// allocates none of its own.
type buffers struct{ small, large sync.Pool }

func newBuffers() *buffers {
	return &buffers{
		small: sync.Pool{New: func() any { return &buffer{b: make([]byte, smallBuffer)} }},
		large: sync.Pool{New: func() any { return &buffer{b: make([]byte, largeBuffer)} }},
	}
}

// buffer is a window b[r:w] of bytes read and not yet used.
type buffer struct {
	b    []byte
	r, w int
}

func (b *buffer) bytes() []byte { return b.b[b.r:b.w] }
func (b *buffer) free() []byte  { return b.b[b.w:] }
func (b *buffer) empty() bool   { return b.r == b.w }

// use marks the first n bytes as used.
func (b *buffer) use(n int) {
	b.r += n
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// compact moves what is unread to the front.
func (b *buffer) compact() {
	if b.r > 0 {
		b.w = copy(b.b, b.b[b.r:b.w])
		b.r = 0
	}
}

// reserve makes room for at least one more byte, growing up to limit bytes in
// all. False: the limit is reached.
func (b *buffer) reserve(limit int) bool {
	if b.w < len(b.b) {
		return true
	}
	if b.r > 0 {
		b.compact()
		return true
	}
	if len(b.b) >= limit {
		return false
	}
	grown := make([]byte, min(2*len(b.b), limit))
	b.w = copy(grown, b.b[:b.w])
	b.b = grown
	return true
}

func (p *buffers) getSmall() *buffer { return p.small.Get().(*buffer) }
func (p *buffers) getLarge() *buffer { return p.large.Get().(*buffer) }

// put takes a buffer back. One that grew is left to the garbage collector.
func (p *buffers) put(b *buffer) {
	if b == nil {
		return
	}
	b.r, b.w = 0, 0
	switch len(b.b) {
	case smallBuffer:
		p.small.Put(b)
	case largeBuffer:
		p.large.Put(b)
	}
}
