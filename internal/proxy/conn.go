package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
	"github.com/albion-lb/albion/internal/wire/h2"
	"github.com/albion-lb/albion/internal/wire/park"
)

// conn is a client's connection.
type conn struct {
	net.Conn
	listener *Listener
	client   Client
	opened   time.Time

	up    atomic.Pointer[target.Conn] // of the exchange that is under way
	in    *buffer                     // what the client sent and nobody has read yet
	out   *buffer                     // heads and small bodies on their way to the client; nil between exchanges
	timer deadlines

	socket    *park.Socket // below TLS; nil: cannot be parked
	idleUntil time.Time    // zero: a request is under way

	mu     sync.Mutex   // guards what follows, and who sets the read deadline
	idle   bool         // between requests: may be closed at any time
	woken  bool         // the read deadline has been moved behind timer's back
	ticket *park.Ticket // while it is parked between requests

	slot       int        // of a request over HTTP/2: among those of its connection
	stream     *h2.Stream // which Conn is, of a request over HTTP/2; else nil
	req        wire.Request
	x          exchange
	traceSpace [256]byte // for exchange.trace
}

func newConn(l *Listener, client Client) *conn {
	c := &conn{Conn: client.Conn, listener: l, client: client, opened: time.Now(), timer: deadlines{conn: client.Conn}}
	c.socket = socketOf(c.raw())
	return c
}

// socketOf is what of a connection can be parked, nil when nothing can.
func socketOf(conn net.Conn) *park.Socket {
	if holder, ok := conn.(interface{ Parkable() *park.Socket }); ok {
		return holder.Parkable()
	}
	return nil
}

// step is how a part of serving a connection ended.
type step int

const (
	onward step = iota
	ended
	parked // somebody else goes on with the connection, which must not be touched
)

// serve answers one request after the other.
func (c *conn) serve() (left bool) {
	defer func() {
		if !left {
			c.close()
		}
	}()
	for {
		s := c.next()
		if s == onward {
			s = c.x.run(c)
		}
		if s != onward {
			return s == parked
		}
	}
}

func (c *conn) close() {
	pool := c.listener.shared.buffers
	pool.put(c.in)
	pool.put(c.out)
	c.in, c.out = nil, nil
	c.Conn.Close()
}

// raw is the connection below TLS.
func (c *conn) raw() net.Conn {
	if secure, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return c.Conn
}

// cut ends the connection wherever it stands, without a TLS farewell, which
// could block.
func (c *conn) cut() {
	c.raw().Close()
	c.cutTarget()
}

// cutTarget ends the connection to the target. With the client's gone alone, an
// exchange that waits for the target to read and to write would go on waiting.
func (c *conn) cutTarget() {
	if up := c.up.Load(); up != nil {
		up.Cut()
	}
}

// wakeIfIdle makes a connection that waits for a request notice that its
// listener is closing. One on which a request has begun is left to finish it.
func (c *conn) wakeIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ticket != nil:
		c.ticket.Wake()
	case c.idle:
		c.woken = true
		c.SetReadDeadline(longAgo()) // does not block
	}
}

func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	if c.woken {
		c.woken = false
		c.timer.forget()
	}
}

// next reads the head of the next request. Unless onward, the connection is over
// or parked, and whatever there was to say about that has been said.
func (c *conn) next() step {
	c.settleInput()
	if c.in.empty() {
		if s := c.await(); s != onward {
			return s
		}
	}
	view := c.listener.view.Load()
	var head h1.Parser
	for timed := false; ; {
		n, err := head.ReadRequest(&c.req, c.in.bytes(), &view.Limits)
		if err != nil {
			c.refuse(err)
			return ended
		}
		if n > 0 {
			c.in.r += n // not use: the head's views must stay where they are
			return onward
		}
		if !timed { // most heads arrive in one piece and need no deadline
			timed = true
			c.timer.readBy(time.Now().Add(view.headTimeout()))
		}
		var room bool
		if c.in, room = c.listener.shared.buffers.reserve(c.in, headLimit(&view.Limits)); !room {
			c.headFailed(view, &h1.Error{Status: 413, Reason: reasonLargeHead})
			return ended
		}
		n, err = c.Conn.Read(c.in.free())
		c.in.w += n
		if err != nil && n == 0 {
			c.headFailed(view, err)
			return ended
		}
	}
}

// settleInput makes the unread bytes the beginning of the buffer, and of a tiny
// one when there are none.
func (c *conn) settleInput() {
	pool := c.listener.shared.buffers
	if c.in != nil && !c.in.empty() {
		c.in.compact()
		return
	}
	if c.in == nil || len(c.in.b) != tinyBuffer {
		pool.put(c.in)
		c.in = pool.get(tinyBuffer)
	}
	c.in.compact()
}

// headFailed ends a connection on which no whole head arrived. The head is read
// once more for the log line: what was read before may have moved since.
func (c *conn) headFailed(view *View, err error) {
	_, _ = h1.ReadRequest(&c.req, c.in.bytes(), &view.Limits)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &h1.Error{Status: 408, Reason: reasonSlowHead}
	case errors.Is(err, io.EOF):
		err = &h1.Error{Status: 400, Reason: reasonShortHead}
	}
	if bad := (*h1.Error)(nil); errors.As(err, &bad) {
		c.refuse(err)
	}
}

// refuse answers bytes that are no acceptable head.
func (c *conn) refuse(err error) {
	c.x.refuse(c, err)
	c.linger()
}

// output returns the connection's buffer for what goes to the client, emptied.
func (c *conn) output() []byte {
	if c.out == nil {
		c.out = c.listener.shared.buffers.get(largeBuffer)
	}
	return c.out.b[:0]
}

// release gives back the memory that an idle connection does not need.
func (c *conn) release() {
	c.listener.shared.buffers.put(c.out)
	c.out = nil
}

// slim lets go of the buffer that the request came in, of which a tunnel needs
// only what its log line will say, and of early, of which it returns a copy.
func (c *conn) slim(early []byte) []byte {
	r, agent := &c.req, c.req.Get(wire.UserAgent)
	kept := make([]byte, 0, len(r.Method)+len(r.Target)+len(r.Scheme)+len(r.Host)+len(r.Path)+len(agent)+len(early))
	keep := func(view []byte) []byte {
		if view == nil {
			return nil
		}
		from := len(kept)
		kept = append(kept, view...)
		return kept[from:len(kept):len(kept)]
	}
	*r = wire.Request{
		Method: keep(r.Method), Target: keep(r.Target), Scheme: keep(r.Scheme), Host: keep(r.Host), Path: keep(r.Path),
		Major: r.Major, Minor: r.Minor, Class: r.Class, Reason: r.Reason,
		Fields: []wire.Field{{ID: wire.UserAgent, Value: keep(agent)}},
	}
	early = keep(early)
	c.listener.shared.buffers.put(c.in)
	c.in = nil
	return early
}

// send writes to the client within the idle timeout.
func (c *conn) send(p []byte) error {
	if len(p) == 0 {
		if c.stream != nil {
			c.stream.Flush() // of a head there may be nothing else to send
		}
		return nil
	}
	c.timer.writeAfter(c.x.view.Attributes.IdleTimeout)
	n, err := c.Conn.Write(p)
	c.x.sent += int64(n)
	return err
}

// linger closes the sending side and gives the client a moment to read the
// answer: closing with unread bytes would reset the connection, and the answer
// could be lost with it (RFC 9112 §9.6).
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.timer.readBy(time.Now().Add(lingerTime))
	scratch := c.output()[:largeBuffer]
	for total := 0; total < lingerBytes; {
		n, err := c.Conn.Read(scratch)
		total += n
		if err != nil {
			return
		}
	}
}

// tear ends the connection so that the client cannot take what it got for a
// whole answer: without a TLS close_notify, and with a reset.
func (c *conn) tear() {
	raw := c.raw()
	if tcp, ok := raw.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	raw.Close()
}

const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// headLimit is the most that a head may take in all, request line included.
func headLimit(l *h1.Limits) int {
	line, head := l.Line, l.Head
	if line == 0 {
		line = 16 << 10
	}
	if head == 0 {
		head = 64 << 10
	}
	return line + head + 1<<10
}
