package proxy

import "sync"

// Sizes of buffers in bytes. A head fits the tiny one nearly always, and it is
// all that an idle connection holds; a body moves through the large one, which is
// also the largest TLS record twice over.
const (
	tinyBuffer  = 2 << 10
	smallBuffer = 8 << 10
	largeBuffer = 32 << 10
)

// buffers lends the memory that bytes pass through, so that the request path
// allocates none of its own.
type buffers struct{ tiny, small, large sync.Pool }

func newBuffers() *buffers {
	fresh := func(size int) func() any {
		return func() any { return &buffer{b: make([]byte, size)} }
	}
	p := &buffers{}
	p.tiny.New, p.small.New, p.large.New = fresh(tinyBuffer), fresh(smallBuffer), fresh(largeBuffer)
	return p
}

// buffer is a window b[r:w] of bytes read and not yet used.
type buffer struct {
	b    []byte
	r, w int
}

func (b *buffer) bytes() []byte { return b.b[b.r:b.w] }
func (b *buffer) free() []byte  { return b.b[b.w:] }
func (b *buffer) empty() bool   { return b.r == b.w }

// compact moves what is unread to the front.
func (b *buffer) compact() {
	if b.r > 0 {
		b.w = copy(b.b, b.b[b.r:b.w])
		b.r = 0
	}
}

// get lends a buffer of at least size bytes.
func (p *buffers) get(size int) *buffer {
	switch {
	case size <= tinyBuffer:
		return p.tiny.Get().(*buffer)
	case size <= smallBuffer:
		return p.small.Get().(*buffer)
	case size <= largeBuffer:
		return p.large.Get().(*buffer)
	}
	return &buffer{b: make([]byte, size)}
}

// reserve makes room for at least one more byte in b, or in a larger buffer of
// up to limit bytes that takes its place. False: the limit is reached.
//
// Views of b are void afterwards: it may belong to somebody else.
func (p *buffers) reserve(b *buffer, limit int) (*buffer, bool) {
	switch {
	case b.w < len(b.b):
		return b, true
	case b.r > 0:
		b.compact()
		return b, true
	case len(b.b) >= limit:
		return b, false
	}
	grown := p.get(min(4*len(b.b), limit))
	grown.w = copy(grown.b, b.bytes())
	p.put(b)
	return grown, true
}

// put takes a buffer back. One that is larger than all is left to the garbage
// collector.
func (p *buffers) put(b *buffer) {
	if b == nil {
		return
	}
	b.r, b.w = 0, 0
	switch len(b.b) {
	case tinyBuffer:
		p.tiny.Put(b)
	case smallBuffer:
		p.small.Put(b)
	case largeBuffer:
		p.large.Put(b)
	}
}
