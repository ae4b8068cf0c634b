package proxy

import (
	"net"
	"time"
)

// deadlines sets a connection's deadlines, and leaves them where they are when
// they are already nearly right: a timer that moves at every request costs more
// than one that fires a little late.
type deadlines struct {
	conn        net.Conn
	read, write time.Time
}

// slack is by how much a deadline may be early, as a share of the wait.
const slack = 16

// readAfter lets the next reads wait that long from now.
func (d *deadlines) readAfter(wait time.Duration) {
	d.read = d.after(d.read, wait, d.conn.SetReadDeadline)
}

// writeAfter lets the next writes wait that long from now.
func (d *deadlines) writeAfter(wait time.Duration) {
	d.write = d.after(d.write, wait, d.conn.SetWriteDeadline)
}

// readSoon lets the next reads wait for at least that long and at most three
// times as long, which spares moving the timer for every one of a row of answers.
func (d *deadlines) readSoon(now time.Time, wait time.Duration) {
	if left := d.read.Sub(now); left < wait || left > 3*wait {
		d.readBy(now.Add(3 * wait))
	}
}

// readBy sets the end of the next reads exactly.
func (d *deadlines) readBy(t time.Time) {
	d.read = t
	d.conn.SetReadDeadline(t)
}

// forget makes the next call set the deadline anew, after somebody else moved it.
func (d *deadlines) forget() { d.read, d.write = time.Time{}, time.Time{} }

func (d *deadlines) after(set time.Time, wait time.Duration, apply func(time.Time) error) time.Time {
	now := time.Now()
	if left := set.Sub(now); left <= wait && left >= wait-wait/slack {
		return set
	}
	set = now.Add(wait)
	apply(set)
	return set
}

// longAgo is a deadline that has passed: it wakes whoever waits.
func longAgo() time.Time { return time.Unix(1, 0) }
