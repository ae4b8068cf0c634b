package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
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
	x.status = 101
	out := appendResponse(c.output(), &f.res, &response{cookies: f.lease.SetCookies()})
	out = append(out, f.in.bytes()...)
	if c.send(out) != nil {
		x.reason = reasonGone
		return
	}
	f.in.use(len(f.in.bytes()))
	metrics := &c.listener.Metrics
	metrics.Tunnels.Add(1)
	defer metrics.Tunnels.Add(-1)
	x.carry()
}

// carry runs both directions and returns when both have ended.
func (x *exchange) carry() {
	c, f := x.c, &x.f
	pool := c.listener.shared.buffers
	pool.put(f.in)
	f.in = nil
	c.release()
	t := &tunnel{idle: x.view.Attributes.IdleTimeout}
	t.touch()
	early := c.in.bytes()
	if f.pump.spill != nil {
		early = f.pump.spill.bytes()
	}
	var received, sent int64
	back := make(chan error, 1)
	go func() { // joined below
		var err error
		received, err = t.copy(f.up, c.Conn, early, pool)
		back <- err
	}()
	sent, errDown := t.copy(c.Conn, f.up, nil, pool)
	errUp := <-back
	f.received += received
	x.sent += sent
	x.reason = x.endOf(errDown, errUp)
}

// tunnel is what both directions share.
type tunnel struct {
	idle time.Duration
	over atomic.Bool  // neither direction goes on
	last atomic.Int64 // when a byte last came from either side, Unix nanoseconds
}

func (t *tunnel) touch() { t.last.Store(time.Now().UnixNano()) }

// copy passes bytes from src to dst, those of early first. When src has said
// everything, dst is told so, and the other direction goes on: a WebSocket may
// be half closed. Every other end is the end of both.
func (t *tunnel) copy(dst, src net.Conn, early []byte, pool *buffers) (total int64, err error) {
	buf := pool.getSmall()
	defer pool.put(buf)
	for chunk := early; ; {
		if len(chunk) > 0 {
			dst.SetWriteDeadline(time.Now().Add(t.idle))
			n, err := dst.Write(chunk)
			total += int64(n)
			if err != nil {
				return total, t.end(dst, src, err)
			}
		}
		n, err := t.read(src, buf.b)
		if err != nil {
			if half, ok := dst.(interface{ CloseWrite() error }); ok && errors.Is(err, io.EOF) && half.CloseWrite() == nil {
				return total, nil
			}
			return total, t.end(dst, src, err)
		}
		chunk = buf.b[:n]
	}
}

// read waits for bytes for as long as either direction is alive.
func (t *tunnel) read(src net.Conn, p []byte) (int, error) {
	for {
		n, err := src.Read(p)
		if n > 0 {
			t.touch()
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if t.over.Load() {
			return 0, net.ErrClosed
		}
		quiet := time.Duration(time.Now().UnixNano() - t.last.Load())
		if quiet >= t.idle {
			return 0, err
		}
		src.SetReadDeadline(time.Now().Add(t.idle - quiet))
		if t.over.Load() {
			return 0, net.ErrClosed
		}
	}
}

// end wakes the other direction, which then finds that it is over. It says so
// first and wakes second; a reader sets its deadline first and asks second.
func (t *tunnel) end(a, b net.Conn, err error) error {
	t.over.Store(true)
	a.SetDeadline(longAgo())
	b.SetDeadline(longAgo())
	return err
}

// endOf says why a tunnel ended; "" when both sides said goodbye.
func (x *exchange) endOf(down, up error) string {
	switch {
	case down == nil && up == nil:
		return ""
	case x.f.up.Expired():
		return reasonExpired
	case errors.Is(down, os.ErrDeadlineExceeded) || errors.Is(up, os.ErrDeadlineExceeded):
		return reasonIdle
	}
	return reasonTunnel
}
