package proxy

import (
	"errors"
	"os"
	"time"
)

// parkAfter is how long a connection between requests keeps its goroutine. It is
// parked after that time, and after three times as long at the latest.
const parkAfter = time.Second

// await waits for the first bytes of a request. The order matters: Drain first
// says that it is closing and then wakes whoever is idle; here idleness and the
// deadline come first and the question after them, so that one of the two sees
// the other. A client that sends nothing hears nothing.
func (c *conn) await() step {
	c.setIdle(true)
	limit := c.listener.view.Load().Attributes.IdleTimeout
	if c.socket == nil || limit < 4*parkAfter {
		c.timer.readAfter(limit)
		return c.first(ended)
	}
	now := time.Now()
	if c.idleUntil.IsZero() {
		c.idleUntil = now.Add(limit)
	} else if !now.Before(c.idleUntil) {
		return ended // it was parked meanwhile
	}
	c.timer.readSoon(now, parkAfter)
	if s := c.first(parked); s != parked || c.park() {
		return s
	}
	c.timer.readBy(c.idleUntil)
	return c.first(ended)
}

// first reads the first bytes of a request, and returns late when they do not
// come in time.
func (c *conn) first(late step) step {
	if c.listener.closing.Load() {
		return ended
	}
	n, err := c.Conn.Read(c.in.free())
	c.in.w += n
	if n > 0 {
		c.setIdle(false)
		c.idleUntil = time.Time{}
		return onward
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.listener.closing.Load() {
		return late
	}
	return ended
}

// park lets the connection wait without a goroutine and without a buffer. It is
// still idle then. False: it cannot, and nothing has changed.
func (c *conn) park() bool {
	pool := c.listener.shared.buffers
	c.mu.Lock() // unpark waits for it
	defer c.mu.Unlock()
	if c.woken {
		return false
	}
	c.ticket = c.listener.shared.lot.Wait(c.socket, time.Until(c.idleUntil), c.unpark)
	if c.ticket == nil {
		return false
	}
	pool.put(c.in)
	c.in = nil
	return true
}

// unpark goes on with a connection that was parked, for whatever reason: await
// finds out.
func (c *conn) unpark() {
	c.mu.Lock()
	c.ticket = nil
	c.mu.Unlock()
	c.listener.attend(c, &c.client)
}
