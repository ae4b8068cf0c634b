package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire"
)

// block is the field section that is being read: a HEADERS frame and the
// CONTINUATION frames behind it.
type block struct {
	id       uint32 // 0: none
	ends     bool   // END_STREAM
	fragment int    // encoded bytes so far
	timed    bool   // a read deadline is set
	section  *section
	stream   *Stream // a new one that the section is the head of
	trails   bool    // it is the trailers of an old one
	answers  bool    // it is the head of an answer to a request of ours
	fault    *fault  // found before decoding, of the stream alone
}

// read takes frame after frame until something ends it.
func (c *Conn) read() error {
	defer c.dropBlock()
	c.readBy(time.Now().Add(c.cfg.HeadTimeout))
	if err := c.preface(); err != nil {
		return err
	}
	for {
		if c.in.Buffered() == 0 {
			c.mu.Lock()
			c.unlockAndFlushAside()
		}
		err := c.next()
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return c.late()
		}
		bad := asFault(err)
		if bad == nil || bad.stream == 0 {
			return err
		}
		if err := c.resetStream(bad); err != nil {
			return err
		}
	}
}

// next takes one frame.
func (c *Conn) next() error {
	header, err := c.framer.ReadFrameHeader()
	if err != nil {
		return err
	}
	c.asking.heardOf(header.Type)
	frame, err := c.framer.ReadFrameForHeader(header)
	if err == nil {
		return c.frame(frame)
	}
	if bad := asFault(err); bad != nil && header.Type == http2.FrameHeaders {
		// Its fields were not decoded: the two tables differ now.
		return connFault(bad.code, "invalid HEADERS")
	}
	return err
}

// late says what a read deadline that passed means.
func (c *Conn) late() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled || c.closing {
		return io.EOF
	}
	return connFault(http2.ErrCodeEnhanceYourCalm, slowHead)
}

// preface reads RFC 9113 §3.4: the fixed bytes and a SETTINGS frame.
func (c *Conn) preface() error {
	c.mu.Lock()
	c.unlockAndFlushAside()
	if c.asking != nil {
		return c.welcome()
	}
	got, err := c.in.Peek(len(http2.ClientPreface))
	if !bytes.HasPrefix([]byte(http2.ClientPreface), got) {
		return connFault(http2.ErrCodeProtocol, "no preface")
	}
	if err != nil {
		return c.prefaceFailed(err)
	}
	if _, err := c.in.Discard(len(got)); err != nil {
		return err
	}
	return c.firstSettings()
}

// firstSettings reads the SETTINGS frame that either side begins with.
func (c *Conn) firstSettings() error {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return c.prefaceFailed(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return connFault(http2.ErrCodeProtocol, "the preface lacks SETTINGS")
	}
	c.readBy(time.Time{})
	return c.settings(settings)
}

func (c *Conn) prefaceFailed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return c.late()
	}
	return err
}

// frame acts on one frame. Checks of sizes, flags and of the order of
// CONTINUATION are the framer's.
func (c *Conn) frame(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.DataFrame:
		return c.data(f)
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.ContinuationFrame:
		if err := c.spendControl(); err != nil {
			return err
		}
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.rstStream(f)
	case *http2.PushPromiseFrame:
		return connFault(http2.ErrCodeProtocol, "PUSH_PROMISE, which nobody allowed")
	}
	if err := c.spendControl(); err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		c.ping(f)
	case *http2.GoAwayFrame:
		c.goAway(f)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID { // RFC 7540 §5.3.1
			return streamFault(f.StreamID, http2.ErrCodeProtocol, "stream depends on itself")
		}
	}
	return nil // what nobody knows
}

// spendControl counts a frame that brings nothing. What we say explains some of
// them: gRPC measures the path with a PING for content that it gets.
func (c *Conn) spendControl() error {
	if said := c.said.Swap(0); said > 0 {
		c.budgets.control.grant(float64(said))
	}
	if c.budgets.control.spend(time.Now()) {
		return nil
	}
	return connFault(http2.ErrCodeEnhanceYourCalm, "too many control frames")
}

// headers begins a field section.
func (c *Conn) headers(f *http2.HeadersFrame) error {
	id := f.StreamID
	c.block = block{id: id, ends: f.StreamEnded()}
	if f.HasPriority() && f.Priority.StreamDep == id {
		c.block.fault = streamFault(id, http2.ErrCodeProtocol, "stream depends on itself")
	}
	if err := c.place(id); err != nil {
		return err
	}
	if len(f.HeaderBlockFragment()) == 0 {
		if err := c.spendControl(); err != nil {
			return err
		}
	}
	if !f.HeadersEnded() {
		c.block.timed = true
		c.readBy(time.Now().Add(c.cfg.HeadTimeout))
	}
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// place finds out what a field section on this stream is: a request, trailers,
// or nothing that is wanted (which has to be decoded all the same, RFC 9113
// §4.3).
func (c *Conn) place(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.block
	b.section = &c.scrap
	s := c.streams[id]
	switch {
	case id%2 == 0:
		return connFault(http2.ErrCodeProtocol, "even stream")
	case id > c.maxID && c.asking != nil:
		return connFault(http2.ErrCodeProtocol, "answer to no request")
	case id > c.maxID:
		c.maxID = id
		if c.final {
			c.past.add(id, resetByUs)
		} else {
			c.served = id
			b.stream = c.shared.streams.Get().(*Stream)
			b.stream.begin(c, id)
			b.section = &b.stream.head
		}
	case s == nil || s.over():
		if err := c.outlived(s, id); err != nil {
			bad := asFault(err)
			if bad.stream == 0 {
				return err
			}
			b.fault = bad
		}
	case s.remoteClosed:
		b.fault = streamFault(id, http2.ErrCodeStreamClosed, "HEADERS after END_STREAM")
	case c.asking != nil && !s.headed:
		b.answers, b.section = true, c.shared.sections.Get().(*section)
	case !b.ends:
		b.fault = streamFault(id, http2.ErrCodeProtocol, "trailers without END_STREAM")
	default:
		b.trails, b.section = true, &section{}
	}
	b.section.reset(&c.cfg.Limits, b.trails)
	b.section.answer = c.asking != nil
	return nil
}

// outlived says what a frame for a stream that is over means. With mu held; s is
// nil when its handler has returned.
func (c *Conn) outlived(s *Stream, id uint32) error {
	how := c.past.of(id)
	if s != nil {
		how = s.ending()
	}
	switch how {
	case resetByUs: // it may not have known (RFC 9113 §5.4.2)
		return c.spendControl()
	case resetByThem:
		return streamFault(id, http2.ErrCodeStreamClosed, "frame after RST_STREAM")
	case completed:
		return connFault(http2.ErrCodeStreamClosed, "frame after END_STREAM")
	}
	if c.asking != nil { // which may have been slow to hear of a reset
		return c.spendControl()
	}
	return connFault(http2.ErrCodeProtocol, "frame for a stream of the past")
}

// fragment decodes a piece of the field section.
func (c *Conn) fragment(p []byte, ends bool) error {
	b := &c.block
	b.fragment += len(p)
	if _, err := c.decoder.Write(p); err != nil {
		if errors.Is(err, hpack.ErrStringLength) {
			return connFault(http2.ErrCodeEnhanceYourCalm, "oversized field")
		}
		return connFault(http2.ErrCodeCompression, "invalid field block")
	}
	if b.section.tooMuch() || b.fragment > 2*c.cfg.Limits.Head {
		return connFault(http2.ErrCodeEnhanceYourCalm, "oversized field section")
	}
	if !ends {
		return nil
	}
	if err := c.decoder.Close(); err != nil {
		return connFault(http2.ErrCodeCompression, "truncated field block")
	}
	if b.timed {
		c.readBy(time.Time{})
	}
	return c.sectionEnded()
}

// sectionEnded hands a whole field section to whom it belongs.
func (c *Conn) sectionEnded() error {
	b := c.block
	c.block = block{}
	if b.fault != nil {
		c.discard(b.stream)
		return b.fault
	}
	switch {
	case b.stream != nil:
		b.stream.head.request(&b.stream.req, b.ends)
		if bad := b.stream.head.fault(b.id); bad != nil {
			c.discard(b.stream)
			return bad
		}
		return c.open(b.stream, b.ends)
	case b.answers:
		return c.headCame(b.id, b.section, b.ends)
	case b.trails:
		return c.trailers(b.id, b.section)
	}
	return nil
}

// discard gives back a stream that never came to be.
func (c *Conn) discard(s *Stream) {
	if s != nil {
		s.conn = nil
		c.shared.streams.Put(s)
	}
}

// dropBlock forgets a field section that never ended.
func (c *Conn) dropBlock() {
	c.discard(c.block.stream)
	c.block = block{}
}

// open begins to serve a request, if there is room for one more. Streams that
// the client has reset count until nobody works for them any more: it cannot
// have more work done at once by resetting (CVE-2023-44487).
func (c *Conn) open(s *Stream, ends bool) error {
	c.budgets.control.grant(2)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		c.discard(s)
		return net.ErrClosed
	}
	if c.busy >= c.cfg.Streams || len(c.streams) >= 2*c.cfg.Streams {
		id := s.id
		c.discard(s)
		return streamFault(id, http2.ErrCodeRefusedStream, "too many streams")
	}
	s.send, s.remoteClosed, s.length = c.initial, ends, -1
	if s.req.Framing == wire.Sized {
		s.length = s.req.Length
	}
	c.streams[s.id] = s
	c.busy++
	if c.requests++; c.requests >= c.cfg.Requests && !c.draining {
		c.retire()
	}
	c.shared.crew.hand(task{c, s})
	return nil
}

// finish ends what the handler left unfinished and forgets the stream.
func (c *Conn) finish(s *Stream) {
	c.mu.Lock()
	switch {
	case s.err != nil || c.closing:
	case !s.localClosed:
		c.framer.WriteRSTStream(s.id, http2.ErrCodeInternal)
		s.abort(ErrGone)
		s.how = resetByUs
	case !s.remoteClosed: // RFC 9113 §8.1: the rest of the request is not needed
		c.framer.WriteRSTStream(s.id, http2.ErrCodeNo)
		s.abort(ErrGone)
		s.how = resetByUs
	}
	c.credit(nil, len(s.content)-s.r)
	c.past.add(s.id, s.ending())
	delete(c.streams, s.id)
	c.release(s)
	if len(c.streams) == 0 {
		c.active = time.Now()
		c.wind(c.cfg.IdleTimeout)
	}
	c.settle()
	c.unlockAndFlush()
	s.recycle(c.shared)
}

// release stops counting the stream, once. With mu held.
func (c *Conn) release(s *Stream) {
	if !s.released {
		s.released = true
		c.busy--
	}
}

// data takes a DATA frame. Padding counts against the windows (RFC 9113 §6.9.1).
func (c *Conn) data(f *http2.DataFrame) error {
	size, id := int32(f.Length), f.StreamID
	if size == 0 && !f.StreamEnded() {
		if err := c.spendControl(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.recv {
		return connFault(http2.ErrCodeFlowControl, "connection window overrun")
	}
	c.recv -= size
	s := c.streams[id]
	if s == nil || s.err != nil || s.remoteClosed {
		c.credit(nil, int(size))
		switch {
		case id > c.maxID:
			return connFault(http2.ErrCodeProtocol, "DATA for an idle stream")
		case s != nil && !s.over():
			return streamFault(id, http2.ErrCodeStreamClosed, "DATA after END_STREAM")
		case c.asking.late(size):
			return nil
		}
		return c.outlived(s, id)
	}
	return c.content(s, f, size)
}

// content adds a frame to what the handler can read. With mu held.
func (c *Conn) content(s *Stream, f *http2.DataFrame, size int32) error {
	payload := f.Data()
	s.received += int64(len(payload))
	var bad *fault
	switch {
	case c.asking != nil && !s.headed:
		bad = streamFault(s.id, http2.ErrCodeProtocol, "DATA before the head")
	case size > s.recv:
		bad = streamFault(s.id, http2.ErrCodeFlowControl, "stream window overrun")
	case s.length >= 0 && (s.received > s.length || f.StreamEnded() && s.received < s.length):
		bad = streamFault(s.id, http2.ErrCodeProtocol, "content differs from Content-Length")
	}
	if bad != nil {
		c.credit(nil, int(size))
		return bad
	}
	s.recv -= size
	s.store(payload)
	if f.StreamEnded() {
		s.endRemote()
	}
	c.credit(s, int(size)-len(payload))
	s.readable.Signal()
	return nil
}

// trailers ends the content with a trailer section.
func (c *Conn) trailers(id uint32, h *section) error {
	bad := h.fault(id)
	if bad == nil && h.status != 0 {
		bad = streamFault(id, http2.ErrCodeEnhanceYourCalm, "oversized trailers")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.err != nil { // its handler was faster
		return nil
	}
	if bad == nil && s.length >= 0 && s.received != s.length {
		bad = streamFault(id, http2.ErrCodeProtocol, "content differs from Content-Length")
	}
	if bad != nil {
		return bad
	}
	s.trailer = h.trailers(nil)
	s.endRemote()
	s.readable.Signal()
	return nil
}

// rstStream takes a RST_STREAM frame.
func (c *Conn) rstStream(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID > c.maxID {
		return connFault(http2.ErrCodeProtocol, "RST_STREAM for an idle stream")
	}
	s := c.streams[f.StreamID]
	switch {
	case s != nil && !s.over() && c.asking != nil:
		s.resetByTarget(f.ErrCode)
		return nil
	case s != nil && !s.over():
		// Work is lost.
	case s == nil && c.past.of(f.StreamID) == resetByUs: // from here on it knows
		c.past.add(f.StreamID, resetByThem)
		return c.spendControl()
	default:
		if s != nil && s.err != nil {
			s.how = resetByThem
		}
		return c.spendControl()
	}
	if !c.budgets.resets.spend(time.Now()) {
		return connFault(http2.ErrCodeEnhanceYourCalm, "too many resets")
	}
	s.how = resetByThem
	s.abort(ErrGone)
	return nil
}

// resetStream answers what a client did wrong on one stream. It has made us
// reset it, which costs as much as if it had done so itself (CVE-2025-8671).
func (c *Conn) resetStream(bad *fault) error {
	if !c.budgets.resets.spend(time.Now()) {
		return connFault(http2.ErrCodeEnhanceYourCalm, "too many resets")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if bad.stream > c.maxID && c.asking != nil {
		return connFault(bad.code, bad.reason)
	}
	if bad.stream > c.maxID && bad.stream%2 == 0 {
		return connFault(http2.ErrCodeProtocol, "even stream")
	}
	if s := c.streams[bad.stream]; s != nil {
		if c.asking != nil {
			c.asking.owed += int64(s.recv)
		}
		s.abort(ErrMalformed)
		s.how = resetByUs
	} else if bad.stream <= c.maxID {
		c.past.add(bad.stream, resetByUs)
	}
	c.framer.WriteRSTStream(bad.stream, bad.code)
	return c.bounded()
}
