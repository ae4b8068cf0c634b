package h2

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire"
)

// appender is where the framer writes: behind what is pending.
type appender struct{ c *Conn }

func (a appender) Write(p []byte) (int, error) {
	a.c.reserve(len(p))
	*a.c.pending = append(*a.c.pending, p...)
	return len(p), nil
}

// reserve makes room for n more bytes. With mu held.
func (c *Conn) reserve(n int) {
	switch {
	case c.pending == nil:
		c.pending = c.shared.lend(n)
	case len(*c.pending)+n > cap(*c.pending):
		grown := c.shared.lend(len(*c.pending) + n)
		*grown = append(*grown, *c.pending...)
		c.shared.discard(c.pending)
		c.pending = grown
	}
}

func (c *Conn) queued() int {
	if c.pending == nil {
		return 0
	}
	return len(*c.pending)
}

// bounded ends a connection whose client makes us say things that it does not
// read (CVE-2019-9512, CVE-2019-9515). With mu held.
func (c *Conn) bounded() error {
	if c.queued() > outputMost {
		return connFault(http2.ErrCodeEnhanceYourCalm, "answers are not read")
	}
	return nil
}

// flush sees to it that what is pending is written: by whoever writes already,
// or now.
func (c *Conn) flush() {
	c.mu.Lock()
	c.unlockAndFlush()
}

func (c *Conn) unlockAndFlush() {
	if c.asking != nil {
		c.unlockAndFlushAside()
		return
	}
	mine := c.claim()
	c.mu.Unlock()
	if mine {
		c.write(true)
	}
}

// unlockAndFlushAside is for whoever must not be held up by a client that does
// not read.
func (c *Conn) unlockAndFlushAside() {
	if c.claim() {
		go c.write(false) // claim has counted it among the writers
	}
	c.mu.Unlock()
}

// claim says that the caller has to call write, after letting go of mu.
func (c *Conn) claim() bool {
	if c.flushing || c.pending == nil || c.closing {
		return false
	}
	c.flushing = true
	c.writers.Add(1)
	return true
}

// write writes what is pending, and what has come up meanwhile. once leaves the
// latter to another goroutine: a handler has better things to do.
func (c *Conn) write(once bool) {
	defer c.writers.Done()
	for {
		c.mu.Lock()
		if len(c.streams) > 1 {
			// Others may be about to say something: one write is cheaper than two.
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		out := c.pending
		c.pending = nil
		c.wakeNext()
		c.setWriteDeadline()
		c.mu.Unlock()
		_, err := c.net.Write(*out)
		c.shared.discard(out)
		c.mu.Lock()
		if err != nil {
			c.shared.discard(c.pending)
			c.pending = nil
			c.abandon()
			c.raw().Close() // wakes the reader
		}
		if c.pending == nil {
			c.flushing = false
			c.mu.Unlock()
			return
		}
		if once {
			c.writers.Add(1)
			go c.write(false) // ends with write's Done
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// setWriteDeadline lets a write take as long as a connection may be idle. A
// deadline that is nearly right stays: moving it costs more. With mu held.
func (c *Conn) setWriteDeadline() {
	if c.closing {
		return
	}
	wait, now := c.cfg.IdleTimeout, time.Now()
	if c.writeBy.Sub(now) >= wait-wait/16 {
		return
	}
	c.writeBy = now.Add(wait)
	c.net.SetWriteDeadline(c.writeBy)
}

// mute is why nothing more may be said on the stream, or nil. With mu held.
func (s *Stream) mute() error {
	switch {
	case s.err != nil:
		return s.err
	case s.conn.closing:
		return ErrGone
	case s.localClosed:
		return ErrFinished
	}
	return nil
}

// waitToSay waits until a field section may be sent, in the order in which
// streams began to wait. With mu held.
func (s *Stream) waitToSay() error {
	s.patience = time.Time{}
	s.saying = true
	err := s.wait(s.hasTurn)
	s.saying = false
	return err
}

// waitToSend waits for room for content, in the same order.
func (s *Stream) waitToSend() error { return s.wait(s.roomToSend) }

// roomToSend says that content may be sent now. With mu held.
func (s *Stream) roomToSend() bool { return s.send > 0 && s.conn.send > 0 && s.hasTurn() }

// hasTurn says that there is room on the way out, and nobody who came first and
// could use it. With mu held.
func (s *Stream) hasTurn() bool {
	if s.conn.queued() >= outputFull {
		return false
	}
	first := s.conn.firstWaiting()
	return first == nil || first == s
}

// wait waits for room, and meanwhile sends what takes it up.
func (s *Stream) wait(room func() bool) error {
	c := s.conn
	if err := s.mute(); err != nil || room() {
		return err
	}
	if c.asking != nil {
		c.unlockAndFlushAside()
		c.mu.Lock()
	} else if c.claim() {
		c.mu.Unlock()
		c.write(true)
		c.mu.Lock()
	}
	if s.patience.IsZero() {
		s.patience = time.Now().Add(c.cfg.IdleTimeout)
	}
	c.waiting = append(c.waiting, s)
	inTime := c.await(&s.writable, &s.writeBy, s.patience, func() bool { return s.mute() != nil || room() })
	c.waiting = slices.DeleteFunc(c.waiting, func(other *Stream) bool { return other == s })
	c.wakeNext()
	if err := s.mute(); err != nil || !inTime {
		if err == nil {
			err = os.ErrDeadlineExceeded
		}
		return err
	}
	return nil
}

// firstWaiting is the stream whose turn it is: the first that waits for nothing but
// room on the way out. With mu held.
func (c *Conn) firstWaiting() *Stream {
	for _, s := range c.waiting {
		if s.saying || s.send > 0 && c.send > 0 {
			return s
		}
	}
	return nil
}

// wakeNext wakes the first stream that can go on. With mu held.
func (c *Conn) wakeNext() {
	if c.queued() >= outputFull {
		return
	}
	if s := c.firstWaiting(); s != nil {
		s.writable.Broadcast()
	}
}

// put appends content, in frames that take turns with those of other streams,
// and does not flush. With mu held, which it lets go of while it waits.
func (s *Stream) put(p []byte, last bool) (n int, err error) {
	c := s.conn
	if err := s.mute(); err != nil {
		return 0, err
	}
	if !s.answered {
		return 0, ErrFinished
	}
	s.patience = time.Time{}
	for n < len(p) {
		if err := s.waitToSend(); err != nil {
			return n, err
		}
		size := min(len(p)-n, frameSize, int(s.send), int(c.send))
		c.appendData(s.id, p[n:n+size], last && n+size == len(p))
		n += size
		s.send -= int32(size)
		c.send -= int32(size)
		c.wakeNext()
	}
	if last {
		if len(p) == 0 {
			c.appendData(s.id, nil, true)
		}
		s.endLocal()
	}
	return n, nil
}

// appendData appends a DATA frame (RFC 9113 §6.1). The framer would copy the
// content twice. With mu held.
func (c *Conn) appendData(id uint32, p []byte, last bool) {
	const header = 9
	c.reserve(header + len(p))
	var flags byte
	if last {
		flags = byte(http2.FlagDataEndStream)
	}
	out := *c.pending
	out = append(out, byte(len(p)>>16), byte(len(p)>>8), byte(len(p)), byte(http2.FrameData), flags)
	out = binary.BigEndian.AppendUint32(out, id)
	*c.pending = append(out, p...)
	c.explains += 2 + float64(len(p))/explainedBy
	c.said.Add(1)
}

// putTrailers appends trailers, in the same way.
func (s *Stream) putTrailers(fields []wire.Field) error {
	c := s.conn
	if err := s.waitToSay(); err != nil {
		return err
	}
	c.writeSection(s.id, true, func() { c.packFields(fields) })
	s.endLocal()
	return nil
}

// writeSection appends HEADERS, and CONTINUATION for what does not fit one
// frame. With mu held.
func (c *Conn) writeSection(id uint32, end bool, pack func()) {
	c.packed.Reset()
	pack()
	rest := c.packed.Bytes()
	if len(rest) == 0 && end { // no trailer was fit to be sent
		c.appendData(id, nil, true)
		return
	}
	piece := rest[:min(len(rest), frameSize)]
	rest = rest[len(piece):]
	c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: piece, EndStream: end, EndHeaders: len(rest) == 0,
	})
	for len(rest) > 0 {
		piece = rest[:min(len(rest), frameSize)]
		rest = rest[len(piece):]
		c.framer.WriteContinuation(id, len(rest) == 0, piece)
	}
	if c.packed.Cap() > largeOutput {
		c.packed = bytes.Buffer{} // the encoder has its address, which stays
	}
}

// firstStatus is where the static table has ":status: 200".
const firstStatus = 8

// packStatus packs :status. The common ones are one byte each (RFC 7541, Appendix
// A), which needs no search in the tables, unless the encoder has a new size of
// its table to announce, which has to be the first word of a section.
func (c *Conn) packStatus(status int) {
	if !c.resized {
		for i, common := range [...]int{200, 204, 206, 304, 400, 404, 500} {
			if status == common {
				c.packed.WriteByte(0x80 | byte(firstStatus+i))
				return
			}
		}
	}
	c.resized = false
	var digits [8]byte
	value := c.strings.get(strconv.AppendInt(digits[:0], int64(status), 10))
	c.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: value})
}

// packFields packs what may be said over HTTP/2 (RFC 9113 §8.2).
func (c *Conn) packFields(fields []wire.Field) {
	for i := range fields {
		f := &fields[i]
		if i < len(c.recent) && c.recent[i].is(f) {
			c.encoder.WriteField(c.recent[i].field)
			continue
		}
		if f.Hop || f.ID.Hop() || !wire.TokenChar.All(f.Name) || len(f.Value) > 0 && !wire.ValueChar.All(f.Value) {
			continue
		}
		field := hpack.HeaderField{Name: c.strings.lower(f.Name)}
		if secret(field.Name) {
			field.Sensitive, field.Value = true, string(f.Value)
		} else {
			field.Value = c.strings.get(f.Value)
			if i < len(c.recent) && len(f.Name)+len(f.Value) <= 2*internLength {
				c.recent[i] = repeated{c.strings.get(f.Name), field}
			}
		}
		c.encoder.WriteField(field)
	}
}

// repeated is a field as the target wrote its name, and as it was packed. One answer
// is much like the one before, so most fields need not be made ready again.
type repeated struct {
	name  string
	field hpack.HeaderField
}

func (r *repeated) is(f *wire.Field) bool {
	return r.name != "" && string(f.Name) == r.name && string(f.Value) == r.field.Value && !f.Hop
}

// secret says that a field must not enter a table that others could probe (RFC
// 7541 §7.1.3).
func secret(name string) bool {
	switch name {
	case "set-cookie", "cookie", "authorization", "www-authenticate", "proxy-authenticate", "proxy-authorization":
		return true
	}
	return false
}

// interner turns bytes that come again and again into strings, which the encoder
// wants, without making a new one each time.
type interner struct{ known map[string]string }

// Bounds of an interner: entries, and bytes of one.
const (
	internMost   = 64
	internLength = 64
)

func (in *interner) get(b []byte) string {
	if s, ok := in.known[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(b) > internLength {
		return s
	}
	if in.known == nil || len(in.known) >= internMost {
		in.known = make(map[string]string, 16)
	}
	in.known[s] = s
	return s
}

// lower returns a field name in small letters.
func (in *interner) lower(name []byte) string {
	var space [internLength]byte
	small := append(space[:0], name...)
	for i, b := range small {
		if b >= 'A' && b <= 'Z' {
			small[i] = b | 0x20
		}
	}
	return in.get(small)
}
