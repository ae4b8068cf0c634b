package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion/internal/wire/park"
)

// upgrade tells the client that the target agreed to speak WebSocket, and
// passes bytes both ways until one side ends it, until neither has said
// anything for the idle timeout, or until the target's deregistration delay is
// over.
func (x *exchange) upgrade() {
	c, f := x.c, &x.f
	x.settle()
	if !f.pump.intact() {
		x.failed(errAborted)
		return
	}
	x.ws, x.keep = true, false
	x.status = f.res.Status
	out, err := x.openAnswer(&response{cookies: f.lease.SetCookies()})
	out = append(out, f.in.bytes()...)
	tunnels := &c.listener.Metrics.Tunnels
	tunnels.Add(1) // before the client knows
	if err != nil || c.send(out) != nil {
		tunnels.Add(-1)
		x.reason = reasonGone
		return
	}
	early := x.lighten()
	if x.park(early) {
		return
	}
	x.carry(early)
	tunnels.Add(-1)
}

// park lets the tunnel go on without a goroutine. False: it cannot. After true,
// nothing of the connection may be touched.
func (x *exchange) park(early []byte) bool {
	c := x.c
	client, server := c.socket, x.f.up.Socket()
	if c.stream != nil || client == nil || server == nil {
		return false
	}
	x.parked = true // not written any more once it is
	if c.listener.shared.lot.Tunnel(&park.Tunnel{
		Client: park.End{Socket: client, Conn: c.Conn},
		Target: park.End{Socket: server, Conn: x.f.up.Conn},
		Early:  early, Idle: x.view.Attributes.IdleTimeout, Ended: x.unpark,
	}) {
		return true
	}
	x.parked = false
	return false
}

// unpark does what is left to do after a tunnel that was parked.
func (x *exchange) unpark(o park.Outcome) {
	c := x.c
	defer c.client.end()
	defer c.listener.remove(c)
	defer c.listener.survive(c, c.client.Remote)
	defer c.close()
	x.f.received += o.FromClient.Bytes
	x.sent += o.FromTarget.Bytes
	x.reason = x.endOf(o.FromTarget.Err, o.FromClient.Err)
	if o.Panic != nil {
		c.listener.confess(c.client.Remote, o.Panic, o.Stack)
		x.reason = reasonTunnel // neither side did anything wrong
	}
	c.listener.Metrics.Tunnels.Add(-1)
	x.endForward()
	x.finish()
}

// carry runs both directions and returns when both have ended.
func (x *exchange) carry(early []byte) {
	c, f := x.c, &x.f
	t := &tunnel{idle: x.view.Attributes.IdleTimeout, began: time.Now(), pool: c.listener.shared.buffers}
	c.timer.forget()
	f.upTimer.forget()
	c.timer.readAfter(t.idle)
	f.upTimer.readAfter(t.idle)
	var received, sent int64
	back := make(chan error, 1)
	go func() { // joined below
		err := net.ErrClosed
		defer func() { back <- err }()
		defer c.listener.survive(c, c.client.Remote)
		received, err = t.copy(&f.upTimer, &c.timer, early)
	}()
	sent, errDown := t.copy(&c.timer, &f.upTimer, nil)
	errUp := <-back
	f.received += received
	x.sent += sent
	x.reason = x.endOf(errDown, errUp)
}

// lighten gives back all memory that a tunnel does not need, and returns what
// the client has sent already.
func (x *exchange) lighten() (early []byte) {
	c, f := x.c, &x.f
	pool := c.listener.shared.buffers
	early = c.in.bytes()
	if f.pump.spill != nil {
		early = f.pump.spill.bytes()
	}
	early = c.slim(early)
	pool.put(f.pump.spill)
	pool.put(f.in)
	f.pump.spill, f.in, f.res.Fields = nil, nil, nil
	c.release()
	return early
}

// tunnelBuffer is what each direction of an idle tunnel holds, in bytes. A
// message that is longer borrows a large buffer.
const tunnelBuffer = 1 << 10

// tunnel is what both directions share.
type tunnel struct {
	idle  time.Duration
	began time.Time
	pool  *buffers
	over  atomic.Bool  // neither direction goes on
	last  atomic.Int64 // when a byte last came from either side, nanoseconds after began
}

// copy passes bytes from src to dst, those of early first. When src has said
// everything, dst is told so, and the other direction goes on: a WebSocket may
// be half closed. Every other end is the end of both.
//
// Each direction alone moves src's read deadline and dst's write deadline, until
// end moves all of them.
func (t *tunnel) copy(dst, src *deadlines, early []byte) (total int64, err error) {
	own := make([]byte, tunnelBuffer)
	var borrowed *buffer
	defer func() { t.pool.put(borrowed) }()
	for chunk := early; ; {
		if len(chunk) > 0 {
			n, err := t.write(dst, chunk)
			total += int64(n)
			if err != nil {
				return total, t.end(dst, src, err)
			}
		}
		into := own
		switch {
		case len(chunk) < len(own):
			t.pool.put(borrowed)
			borrowed = nil
		case borrowed == nil:
			borrowed = t.pool.get(largeBuffer)
			fallthrough
		default:
			into = borrowed.b
		}
		n, err := t.read(src, into)
		chunk = into[:n]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && closeWrite(dst.conn) == nil:
			return total, nil
		default:
			return total, t.end(dst, src, err)
		}
	}
}

func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (t *tunnel) write(dst *deadlines, chunk []byte) (int, error) {
	dst.writeAfter(t.idle)
	if t.over.Load() { // after the deadline: see end
		return 0, net.ErrClosed
	}
	return dst.conn.Write(chunk)
}

// read waits for bytes for as long as either direction is alive. It returns
// none, and no error, when its own deadline passed and the other direction is
// busy.
func (t *tunnel) read(src *deadlines, p []byte) (int, error) {
	n, err := src.conn.Read(p)
	if n > 0 {
		t.last.Store(int64(time.Since(t.began)))
		return n, nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	quiet := time.Since(t.began) - time.Duration(t.last.Load())
	if quiet < t.idle {
		src.readBy(time.Now().Add(t.idle - quiet))
		err = nil
	}
	if t.over.Load() { // after the deadline: see end
		return 0, net.ErrClosed
	}
	return 0, err
}

// end wakes the other direction, which then finds that it is over. It says so
// first and wakes second; whoever sets a deadline does so first and asks second.
func (t *tunnel) end(a, b *deadlines, err error) error {
	t.over.Store(true)
	a.conn.SetDeadline(longAgo())
	b.conn.SetDeadline(longAgo())
	return err
}

// endOf says why a tunnel ended; "" when both sides said goodbye, be it that one
// of them was gone before it could hear the other's.
func (x *exchange) endOf(down, up error) string {
	said := func(err error) bool { return err == nil || errors.Is(err, io.EOF) }
	switch {
	case said(down) && said(up):
		return ""
	case x.f.up.Expired():
		return reasonExpired
	case errors.Is(down, os.ErrDeadlineExceeded) || errors.Is(up, os.ErrDeadlineExceeded):
		return reasonIdle
	}
	return reasonTunnel
}
