package h2

import (
	"sync"
	"time"
)

// Config says how one connection is served. A zero field means the value given
// with it.
type Config struct {
	// Handler answers one request. It is called on a goroutine of its own, and
	// may not keep the Stream or any view of it.
	Handler func(*Stream)
	Limits  Limits

	Streams  int // requests at once; ALB: 128
	Requests int // after so many the client is asked to open another connection; ALB: 10,000

	// IdleTimeout ends a connection on which no request is being answered; a
	// PING does not count. It also bounds each Read and each Write of a Stream
	// that has no deadline. ALB: 60 s
	IdleTimeout time.Duration
	// HeadTimeout is how long the preface, or one field section, may take once it
	// has begun: 60 s, or the IdleTimeout if that is shorter.
	HeadTimeout time.Duration
}

// Limits bounds the head of a request, in bytes; a zero field means ALB's quota.
type Limits struct {
	Line   int // method and path: 16 KiB
	Field  int // one field, and a whole trailer section: 16 KiB
	Head   int // all fields: 64 KiB
	Fields int // how many fields, all crumbs of a cookie together being one: 256
	// DropInvalid leaves out fields whose name is not [-a-z0-9]+.
	DropInvalid bool
}

func (cfg Config) resolved() Config {
	number := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	number(&cfg.Limits.Line, 16<<10)
	number(&cfg.Limits.Field, 16<<10)
	number(&cfg.Limits.Head, 64<<10)
	number(&cfg.Limits.Fields, 256)
	number(&cfg.Streams, 128)
	number(&cfg.Requests, 10_000)
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 60 * time.Second
	}
	if cfg.HeadTimeout <= 0 {
		cfg.HeadTimeout = min(cfg.IdleTimeout, 60*time.Second)
	}
	return cfg
}

// Sizes in bytes. They are no options: each follows from another.
const (
	frameSize    = 16 << 10  // the largest frame either side sends (RFC 9113 §4.2)
	tableSize    = 4 << 10   // of either HPACK table (RFC 9113 §6.5.2)
	streamWindow = 256 << 10 // content of one request that nobody has read
	connWindow   = 1 << 20   // the same of all requests together
	firstWindow  = 65_535    // what both sides begin with (RFC 9113 §6.9.2)
	outputFull   = 64 << 10  // content waits while this much is on its way out
	outputMost   = 256 << 10 // more than this no client can want
	smallOutput  = 4 << 10
	largeOutput  = outputFull + 2*frameSize
)

const (
	drainWait   = time.Second // for the answer to the PING of a drain
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// Shared is what all connections of a process have in common: memory, and the
// goroutines that answer requests, of which there are none when there is no
// connection.
type Shared struct {
	small, large, streams, sections sync.Pool
	crew                            crew
}

// NewShared makes the common part.
func NewShared() *Shared {
	s := &Shared{}
	s.small.New = func() any { b := make([]byte, 0, smallOutput); return &b }
	s.large.New = func() any { b := make([]byte, 0, largeOutput); return &b }
	s.streams.New = func() any { return &Stream{} }
	s.sections.New = func() any { return &section{} }
	return s
}

// lend returns an empty buffer with room for n bytes at least.
func (s *Shared) lend(n int) *[]byte {
	switch {
	case n <= smallOutput:
		return s.small.Get().(*[]byte)
	case n <= largeOutput:
		return s.large.Get().(*[]byte)
	}
	b := make([]byte, 0, n)
	return &b
}

// discard takes a buffer back; nil is none.
func (s *Shared) discard(b *[]byte) {
	if b == nil {
		return
	}
	*b = (*b)[:0]
	switch cap(*b) {
	case smallOutput:
		s.small.Put(b)
	case largeOutput:
		s.large.Put(b)
	}
}

// drop takes a section back; nil is none.
func (s *Shared) drop(h *section) {
	if h != nil && cap(h.arena) <= keptContent {
		s.sections.Put(h)
	}
}
