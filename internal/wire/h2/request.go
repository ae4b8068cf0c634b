package h2

import (
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire"
)

// Request is the head of a request to a target (RFC 9113 §8.3.1).
type Request struct {
	Method, Scheme, Authority, Path []byte
	// Fields are sent in small letters, without those that speak of one connection.
	Fields []wire.Field
	// Trailers says that the client can read trailers: TE, the one field of that
	// kind that HTTP/2 has.
	Trailers bool
}

// maxPending is how many interim heads may wait to be read.
const maxPending = 8

// pendingHead is the head of an answer that nobody has read.
type pendingHead struct {
	section *section
	status  int
	length  int64 // -1: not announced
	ends    bool
}

// WriteRequest sends the head, which is kept back until content follows, or Flush,
// ReadHead or Read is called, unless it ends the request. An error in whose tree
// is ErrRefused means that nothing was sent and another connection is in order.
func (s *Stream) WriteRequest(r *Request, end bool) error {
	c := s.conn
	c.mu.Lock()
	if s.id != 0 {
		c.mu.Unlock()
		return ErrFinished
	}
	err := s.waitToSay()
	switch {
	case err == nil:
		err = c.begin(s, r, end)
	case s.err == nil && c.closing:
		err = ErrRefused // nothing was sent
	}
	if err != nil || !end {
		c.mu.Unlock()
		return err
	}
	c.unlockAndFlush()
	return nil
}

// begin gives the stream its number and appends its head. With mu held.
func (c *Conn) begin(s *Stream, r *Request, end bool) error {
	if !c.usable() {
		return ErrRefused
	}
	if r.size() > int64(c.asking.list) {
		return ErrHeadTooLarge
	}
	s.id = c.maxID + 2
	if c.maxID == 0 {
		s.id = 1
	}
	c.maxID = s.id
	s.send, s.answered, s.headless = c.initial, true, string(r.Method) == "HEAD"
	c.streams[s.id] = s
	c.said.Add(1)
	c.writeSection(s.id, end, func() {
		c.packPseudo(r)
		c.packFields(r.Fields)
		if r.Trailers {
			c.encoder.WriteField(hpack.HeaderField{Name: "te", Value: "trailers"})
		}
	})
	if end {
		s.endLocal()
	}
	return nil
}

func (c *Conn) packPseudo(r *Request) {
	c.resized = false // the encoder announces it by itself
	for _, f := range [...]struct {
		name  string
		value []byte
	}{{":method", r.Method}, {":scheme", r.Scheme}, {":authority", r.Authority}, {":path", r.Path}} {
		c.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: c.strings.get(f.value)})
	}
}

// size is that of RFC 9113 §6.5.2.
func (r *Request) size() int64 {
	n := len(":method:scheme:authority:path") + len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Path) + 4*32
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value) + 32
	}
	return int64(n)
}

// ReadHead waits for the head of an answer, interim or final, until the read
// deadline. Its views last until the next ReadHead or Release. final says that
// content and trailers follow, or nothing when ends says so.
func (s *Stream) ReadHead(a *wire.Response) (ends bool, err error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	ready := func() bool { return len(s.heads) > 0 || s.err != nil }
	inTime := ready()
	if !inTime {
		c.unlockAndFlush()
		c.mu.Lock()
		inTime = c.await(&s.readable, &s.readBy, time.Now().Add(c.cfg.IdleTimeout), ready)
	}
	switch {
	case len(s.heads) > 0:
	case s.err != nil:
		return false, s.err
	case !inTime:
		return false, os.ErrDeadlineExceeded
	}
	h := s.heads[0]
	s.heads = s.heads[:copy(s.heads, s.heads[1:])]
	h.section.response(a, &h)
	c.shared.drop(s.shown)
	s.shown = h.section
	return h.ends, nil
}

// response makes a of the section: views into its arena.
func (h *section) response(a *wire.Response, p *pendingHead) {
	*a = wire.Response{Status: p.status, Major: 2, Fields: a.Fields[:0]}
	for _, s := range h.spans {
		f := h.view(s)
		f.Hop = s.id == wire.TE
		a.Fields = append(a.Fields, f)
	}
	switch {
	case p.ends || p.status < 200:
	case p.length >= 0:
		a.Framing, a.Length = wire.Sized, p.length
	default:
		a.Framing = wire.Chunked
	}
}

// headCame takes the head of an answer (RFC 9113 §8.1).
func (c *Conn) headCame(id uint32, h *section, ends bool) error {
	head := pendingHead{section: h, ends: ends, length: -1}
	h.judgeAnswer(&head)
	bad := h.fault(id)
	if bad == nil && h.status != 0 {
		bad = streamFault(id, http2.ErrCodeEnhanceYourCalm, "oversized head")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.err != nil { // its user was faster
		c.shared.drop(h)
		return nil
	}
	interim := head.status < 200
	switch {
	case bad != nil:
	case interim && ends:
		bad = streamFault(id, http2.ErrCodeProtocol, "interim head at the end")
	case interim && len(s.heads) >= maxPending:
		bad = streamFault(id, http2.ErrCodeEnhanceYourCalm, "too many interim heads")
	case ends && head.length > 0 && !s.headless && head.status != 304:
		bad = streamFault(id, http2.ErrCodeProtocol, "Content-Length without content")
	}
	if bad != nil {
		return bad
	}
	if !interim {
		s.headed, s.length = true, head.length
		if s.headless || head.status == 204 || head.status == 304 {
			s.length = 0
		}
	}
	s.heads = append(s.heads, head)
	if ends {
		s.endRemote()
	}
	s.readable.Signal()
	return nil
}

// judgeAnswer reads what frames an answer. 101 is not for HTTP/2 (RFC 9113 §8.6).
func (h *section) judgeAnswer(to *pendingHead) {
	if h.malformed != "" || h.status != 0 {
		return
	}
	code := h.value(statusCode)
	n, ok := decimal(code)
	if !h.seen[statusCode] || !ok || len(code) != 3 || n < 100 || n == 101 {
		h.broken("no valid :status")
		return
	}
	to.status = int(n)
	for _, s := range h.spans {
		if s.id != wire.ContentLength {
			continue
		}
		n, ok := decimal(h.arena[s.value:s.end])
		if !ok || to.length >= 0 {
			h.broken("invalid Content-Length")
			return
		}
		to.length = n
	}
}

// resetByTarget takes a RST_STREAM. An answer that is whole already stays: the
// target only says that it needs no more of the request (RFC 9113 §8.1). With mu
// held.
func (s *Stream) resetByTarget(code http2.ErrCode) {
	s.how = resetByThem
	switch {
	case s.remoteClosed:
		s.endLocal()
		s.writable.Broadcast()
	case code == http2.ErrCodeRefusedStream:
		s.abort(ErrRefused)
	default:
		s.abort(&ResetError{Code(code)})
	}
	s.conn.release(s)
}

// Cancel gives the request up: whoever waits gets why, and the target is told
// (RFC 9113 §7, CANCEL). It does not block.
func (s *Stream) Cancel(why error) {
	c := s.conn
	c.mu.Lock()
	s.cancel(why)
	c.unlockAndFlushAside()
}

// cancel is Cancel with mu held.
func (s *Stream) cancel(why error) {
	if s.err != nil {
		return
	}
	done := s.localClosed && s.remoteClosed
	s.abort(why)
	if s.id == 0 || done || s.conn.closing {
		return
	}
	s.conn.asking.owed += int64(s.recv)
	s.conn.said.Add(4)
	s.conn.framer.WriteRSTStream(s.id, http2.ErrCodeCancel)
	s.how = resetByUs
	s.conn.release(s)
}

// Release gives the request up if it is not over, and the Stream back. Nobody may
// use it afterwards.
func (s *Stream) Release() {
	c := s.conn
	c.mu.Lock()
	s.afterGone = nil
	s.cancel(ErrGone)
	if s.id != 0 {
		c.past.add(s.id, s.ending())
		delete(c.streams, s.id)
	}
	c.release(s)
	if c.busy == 0 {
		c.active = time.Now()
	}
	c.settle()
	c.unlockAndFlushAside()
	for _, h := range s.heads {
		c.shared.drop(h.section)
	}
	c.shared.drop(s.shown)
	s.recycle(c.shared)
}
