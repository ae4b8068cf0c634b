package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// conn is a client's connection.
type conn struct {
	net.Conn
	listener *Listener
	client   Client
	opened   time.Time

	in    *buffer // what the client sent and nobody has read yet
	out   *buffer // heads and small bodies on their way to the client; nil between exchanges
	timer deadlines
	idle  atomic.Bool // between requests: may be closed at any time

	req wire.Request
	x   exchange
}

func newConn(l *Listener, client Client) *conn {
	return &conn{Conn: client.Conn, listener: l, client: client, opened: time.Now(), timer: deadlines{conn: client.Conn}}
}

// serve answers one request after the other.
func (c *conn) serve() {
	defer c.close()
	c.in = c.listener.shared.buffers.getSmall()
	for c.next() && c.x.run(c) {
	}
}

func (c *conn) close() {
	pool := c.listener.shared.buffers
	pool.put(c.in)
	pool.put(c.out)
	c.in, c.out = nil, nil
	c.Conn.Close()
}

// cut ends the connection wherever it stands.
func (c *conn) cut() { c.Conn.Close() }

// wakeIfIdle makes a connection that waits for a request notice that its
// listener is closing. One that is just beginning a request notices afterwards.
func (c *conn) wakeIfIdle() {
	if c.idle.Load() {
		c.SetReadDeadline(longAgo())
	}
}

// next reads the head of the next request. False: the connection is over, and
// whatever there was to say about that has been said.
func (c *conn) next() bool {
	view := c.listener.view.Load()
	c.settleInput()
	begun := !c.in.empty()
	c.idle.Store(!begun)
	defer c.idle.Store(false)
	if !c.readWithin(view, begun) {
		return false
	}
	var head h1.Parser
	for {
		if !c.in.empty() {
			n, err := head.ReadRequest(&c.req, c.in.bytes(), &view.Limits)
			if err != nil {
				c.x.refuse(c, err)
				return false
			}
			if n > 0 {
				c.in.r += n // not use: the head's views must stay where they are
				return true
			}
		}
		if !c.in.reserve(headLimit(&view.Limits)) {
			c.x.refuse(c, &h1.Error{Status: 413, Reason: "BadHeader"})
			return false
		}
		n, err := c.Conn.Read(c.in.free())
		c.in.w += n
		if err != nil && n == 0 {
			c.headFailed(err)
			return false
		}
		if !begun {
			begun = true
			c.idle.Store(false)
			c.timer.readBy(time.Now().Add(view.headTimeout()))
		}
	}
}

// settleInput makes the unread bytes the beginning of the buffer, and of a small
// one again when it can.
func (c *conn) settleInput() {
	pool := c.listener.shared.buffers
	if len(c.in.b) != smallBuffer && c.in.empty() {
		pool.put(c.in)
		c.in = pool.getSmall()
	}
	c.in.compact()
}

// readWithin sets the time that the next head may take. The order matters:
// Drain first says that it is closing and then wakes; here the deadline comes
// first and the question after it, so that one of the two sees the other.
func (c *conn) readWithin(view *View, begun bool) bool {
	wait := view.Attributes.IdleTimeout
	if begun {
		wait = view.headTimeout()
	}
	c.timer.readAfter(wait)
	return begun || !c.listener.closing.Load()
}

// headFailed ends a connection on which no whole head arrived. A client that
// sent nothing hears nothing; one that fell silent in the middle gets ALB's 408.
func (c *conn) headFailed(err error) {
	if c.in.empty() {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.x.refuse(c, &h1.Error{Status: 408, Reason: "client was too slow"})
		return
	}
	if errors.Is(err, io.EOF) {
		c.x.refuse(c, &h1.Error{Status: 400, Reason: "client closed within a head"})
	}
}

// output returns the connection's buffer for what goes to the client, emptied.
func (c *conn) output() []byte {
	if c.out == nil {
		c.out = c.listener.shared.buffers.getLarge()
	}
	return c.out.b[:0]
}

// release gives back the memory that an idle connection does not need.
func (c *conn) release() {
	c.listener.shared.buffers.put(c.out)
	c.out = nil
}

// send writes to the client within the idle timeout.
func (c *conn) send(p []byte) error {
	if len(p) == 0 {
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
	raw := c.Conn
	if secure, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = secure.NetConn()
	}
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
