package h2

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/albion-lb/albion/internal/wire"
)

// Stream is one request and its answer. It is a net.Conn for their content. One
// goroutine may read while another writes; the deadlines may be moved by a
// third.
type Stream struct {
	conn *Conn
	id   uint32
	head section
	req  wire.Request

	readable sync.Cond // of conn.mu, which guards all that follows
	writable sync.Cond
	readBy   time.Time
	writeBy  time.Time

	content  []byte // content[r:] has not been read
	r        int
	recv     int32 // our window
	unsaid   int32 // what the client may send more and has not been told of
	received int64
	length   int64 // of the content, as the head has it; -1 when it has not
	trailer  []wire.Field

	send         int32     // the client's window
	saying       bool      // waits to send a field section, which needs no window
	patience     time.Time // how long the present Write may wait; zero until it does
	answered     bool      // the final head has been written
	localClosed  bool      // we have said everything
	remoteClosed bool      // the client has
	released     bool      // does not count against the limit of streams
	err          error     // why the stream is over before its time
	how          ending
	gone         chan struct{} // made when somebody asks for it
	afterGone    func()

	// Of a request to a target.
	heads    []pendingHead // of answers, not read yet
	shown    *section      // of the head that was read last
	headed   bool          // the final head has arrived
	headless bool          // a HEAD request: the answer has no content
}

var _ net.Conn = (*Stream)(nil)

// begin makes the stream ready for a request.
func (s *Stream) begin(c *Conn, id uint32) {
	s.conn, s.id, s.recv = c, id, streamWindow
	s.readable.L, s.writable.L = &c.mu, &c.mu
}

// keptContent is how much memory for content a stream that is over keeps for the
// next one, in bytes.
const keptContent = 16 << 10

// recycle lets another request use the memory.
func (s *Stream) recycle(shared *Shared) {
	head := section{arena: s.head.arena[:0], spans: s.head.spans[:0]}
	if cap(head.arena) > keptContent {
		head.arena = nil
	}
	content := s.content[:0]
	if cap(content) > keptContent {
		content = nil
	}
	fields := s.req.Fields[:0]
	*s = Stream{head: head, content: content, req: wire.Request{Fields: fields}, heads: s.heads[:0]}
	shared.streams.Put(s)
}

// Request is the head, whose views last until the handler returns. Of an
// extended CONNECT it is what HTTP/1.1 would have said: a GET with Upgrade set
// (RFC 8441 §5); its Sec-WebSocket-Key is left to whoever speaks HTTP/1.1.
func (s *Stream) Request() *wire.Request { return &s.req }

// Refused is the status with which the request has to be answered instead of
// being served (405, 413, 414, 417 or 501), and a word for the log; 0 otherwise.
// Request then holds what was understood.
func (s *Stream) Refused() (status int, reason string) { return s.head.status, s.head.reason }

// Gone is closed when the client has given up: it reset the stream, or the
// connection has ended.
func (s *Stream) Gone() <-chan struct{} {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.gone == nil {
		s.gone = make(chan struct{})
		if s.err != nil {
			close(s.gone)
		}
	}
	return s.gone
}

// AfterGone has f called when the client gives up, at once if it has already,
// and until AfterGone(nil). It is called with the connection locked: it must not
// block nor use the Stream.
func (s *Stream) AfterGone(f func()) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.afterGone = f
	if s.err != nil && f != nil {
		f()
	}
}

// Ended says that all content has been read; Read would say io.EOF.
func (s *Stream) Ended() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.remoteClosed && s.err == nil && s.r == len(s.content)
}

// Ready says that Read would not wait.
func (s *Stream) Ready() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.readyToRead()
}

func (s *Stream) readyToRead() bool {
	return s.r < len(s.content) || s.remoteClosed || s.err != nil
}

// Read reads content of the request: io.EOF after the last, ErrGone or
// ErrMalformed when it will never be whole, os.ErrDeadlineExceeded. What is kept
// back of the answer is sent before it waits.
func (s *Stream) Read(p []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	inTime := s.awaitContent()
	n := 0
	var err error
	switch {
	case s.err != nil:
		err = s.err
	case s.r < len(s.content):
		n = copy(p, s.content[s.r:])
		s.take(n)
	case s.remoteClosed:
		err = io.EOF
	case !inTime:
		err = os.ErrDeadlineExceeded
	}
	c.unlockAndFlush()
	return n, err
}

// Wait returns when Read would not wait, or with os.ErrDeadlineExceeded: whoever
// waits so needs no memory to read into.
func (s *Stream) Wait() error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if !s.awaitContent() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// awaitContent waits until Read has something to say. False: the deadline has
// passed. With mu held, which it lets go of meanwhile.
func (s *Stream) awaitContent() bool {
	if s.readyToRead() {
		return true
	}
	c := s.conn
	c.unlockAndFlush()
	c.mu.Lock()
	return c.await(&s.readable, &s.readBy, time.Now().Add(c.cfg.IdleTimeout), s.readyToRead)
}

// take counts n bytes as read. With mu held.
func (s *Stream) take(n int) {
	if s.r += n; s.r == len(s.content) {
		s.content, s.r = s.content[:0], 0
	}
	s.conn.credit(s, n)
}

// store keeps content until it is read. With mu held.
func (s *Stream) store(p []byte) {
	if s.r > 0 && len(s.content)+len(p) > cap(s.content) {
		s.content = s.content[:copy(s.content, s.content[s.r:])]
		s.r = 0
	}
	s.content = append(s.content, p...)
}

// Trailers are the fields behind the content, of those that may be passed on;
// valid once Read has said io.EOF, until the handler returns.
func (s *Stream) Trailers() []wire.Field {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.trailer
}

// WriteHead writes the head of an answer: that of an interim one (1xx) is sent at
// once; that of the final one is kept back until content follows, Flush or Read
// is called, or it ends the answer. Fields that speak of one connection are left
// out, and names become small letters. 101 is not for HTTP/2.
func (s *Stream) WriteHead(a *wire.Response, extra []wire.Field, end bool) error {
	c := s.conn
	c.mu.Lock()
	interim := a.Status < 200
	err := s.waitToSay()
	if err == nil && (s.answered || a.Status == 101) {
		err = ErrFinished
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	end = end && !interim
	c.writeSection(s.id, end, func() {
		c.packStatus(a.Status)
		c.packFields(a.Fields)
		c.packFields(extra)
	})
	s.answered = !interim
	if end {
		s.endLocal()
	}
	if !end && !interim {
		c.mu.Unlock()
		return nil
	}
	c.unlockAndFlush()
	return nil
}

// Flush sends what WriteHead has kept back.
func (s *Stream) Flush() { s.conn.flush() }

// Write sends content of the answer and returns when all of it is on its way:
// it waits for the client's windows, until the write deadline, or for as long as
// a connection may be idle when there is none.
func (s *Stream) Write(p []byte) (int, error) {
	s.conn.mu.Lock()
	n, err := s.put(p, false)
	s.conn.unlockAndFlush()
	return n, err
}

// WriteLast is Write, and with last the end of the message. What it has not
// written may be written again after a deadline.
func (s *Stream) WriteLast(p []byte, last bool) (int, error) {
	s.conn.mu.Lock()
	n, err := s.put(p, last)
	s.conn.unlockAndFlush()
	return n, err
}

// WriteReady is WriteLast of as much as needs no waiting, and sends what is kept
// back. The message ends only when all of p was written.
func (s *Stream) WriteReady(p []byte, last bool) (n int, err error) {
	c := s.conn
	c.mu.Lock()
	for all := false; err == nil && !all; {
		piece := p[n:]
		if len(piece) > 0 && s.mute() == nil {
			if !s.roomToSend() {
				break
			}
			piece = piece[:min(len(piece), frameSize, int(s.send), int(c.send))]
		}
		all = n+len(piece) == len(p)
		var m int
		m, err = s.put(piece, last && all)
		n += m
	}
	c.unlockAndFlush()
	return n, err
}

// Finish sends the last of the content, which may be empty, and then trailers,
// if there are any.
func (s *Stream) Finish(p []byte, trailers []wire.Field) error {
	s.conn.mu.Lock()
	_, err := s.put(p, len(trailers) == 0)
	if err == nil && len(trailers) > 0 {
		err = s.putTrailers(trailers)
	}
	s.conn.unlockAndFlush()
	return err
}

// CloseWrite ends the answer.
func (s *Stream) CloseWrite() error { return s.Finish(nil, nil) }

// Reset tells the client that the answer broke off. After its end it does
// nothing.
func (s *Stream) Reset() { s.ResetWith(CodeInternal) }

// ResetWith is Reset with a reason (RFC 9113 §7).
func (s *Stream) ResetWith(code Code) {
	c := s.conn
	c.mu.Lock()
	if s.err == nil && !s.localClosed {
		c.framer.WriteRSTStream(s.id, http2.ErrCode(code))
		s.abort(ErrGone)
		s.how = resetByUs
	}
	c.unlockAndFlush()
}

// Close is Reset, unless the answer has ended.
func (s *Stream) Close() error {
	s.Reset()
	return nil
}

// LocalAddr is the connection's.
func (s *Stream) LocalAddr() net.Addr { return s.conn.net.LocalAddr() }

// RemoteAddr is the connection's.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.net.RemoteAddr() }

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline ends waiting reads too. The zero time means as long as a
// connection may be idle, for each Read.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.readBy = t
	s.readable.Broadcast()
	return nil
}

// SetWriteDeadline ends waiting writes too. The zero time means as long as a
// connection may be idle, for each Write.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.writeBy = t
	s.writable.Broadcast()
	return nil
}

// endLocal notes that we have said everything. With mu held, as all below.
func (s *Stream) endLocal() {
	s.localClosed = true
	if s.remoteClosed {
		s.conn.release(s)
	}
}

func (s *Stream) endRemote() {
	s.remoteClosed = true
	if s.localClosed {
		s.conn.release(s)
	}
}

// abort ends the stream before its time and wakes whoever waits for it.
func (s *Stream) abort(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.conn.credit(nil, len(s.content)-s.r)
	s.content, s.r = s.content[:0], 0
	s.readable.Broadcast()
	s.writable.Broadcast()
	if s.gone != nil {
		close(s.gone)
	}
	if s.afterGone != nil {
		s.afterGone()
	}
}

// over says that neither side has anything left to say.
func (s *Stream) over() bool { return s.err != nil || s.localClosed && s.remoteClosed }

func (s *Stream) ending() ending {
	if s.how == forgotten {
		return completed
	}
	return s.how
}

// await waits until ready says so or *by has passed, which then is the answer.
// *by may be moved by whoever then wakes cond; when it is zero, fallback counts.
// With mu held, which it lets go of meanwhile.
func (c *Conn) await(cond *sync.Cond, by *time.Time, fallback time.Time, ready func() bool) bool {
	var armed time.Time
	var timer *time.Timer
	over := false // with mu held: afterwards cond may belong to another request
	defer func() {
		if over = true; timer != nil {
			timer.Stop()
		}
	}()
	for !ready() {
		until := *by
		if until.IsZero() {
			until = fallback
		}
		left := time.Until(until)
		if left <= 0 {
			return false
		}
		switch {
		case timer == nil:
			timer = time.AfterFunc(left, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				if !over {
					cond.Broadcast()
				}
			})
		case !until.Equal(armed):
			timer.Reset(left)
		}
		armed = until
		cond.Wait()
	}
	return true
}
