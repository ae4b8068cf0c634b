package park

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"
)

// Bounds of a tunnel. It reads so many bytes at once, so often in a turn before
// others have theirs, and reads nothing from a side that leaves more than
// maxUnsent bytes of what it is sent lying: renewals of TLS keys, say, which are
// answered.
const (
	readSize  = 32 << 10
	turnReads = 8
	maxUnsent = 64 << 10
)

// tunnel is one that is parked. Its row's goroutine alone touches it.
type tunnel struct {
	row    *row
	place  place
	ends   [2]end // the client's and the target's
	early  []byte // what the client said before
	idle   time.Duration
	last   time.Duration // when a byte last came from either side, since the row's epoch
	queued bool
	over   bool
	ended  func(Outcome)
}

// end is one side of a tunnel.
type end struct {
	*descriptor
	conn  net.Conn
	heard int64 // bytes that it said
	said  bool  // everything that it will
	told  bool  // that the other side has said everything
	err   error
}

// Tunnel takes over both connections of t until the tunnel has ended. False: it
// cannot, and nothing has changed.
func (l *Lot) Tunnel(t *Tunnel) bool {
	r := l.row()
	if r == nil {
		return false
	}
	p := &tunnel{row: r, early: t.Early, idle: t.Idle, last: r.since(), ended: t.Ended}
	sockets := [2]*Socket{t.Client.Socket, t.Target.Socket}
	for i, s := range sockets {
		d, err := s.duplicate()
		if err != nil {
			p.discard()
			return false
		}
		p.ends[i].descriptor = d
	}
	p.ends[0].conn, p.ends[1].conn = t.Client.Conn, t.Target.Conn
	if !r.enter(p, &p.place, func(at place) error {
		for i := range p.ends {
			if err := r.watch(p.ends[i].fd, at, uint32(i), wantChanges); err != nil {
				return err
			}
		}
		for i, s := range sockets {
			if !s.take(p.ends[i].descriptor) {
				p.ends[i].Close() // the tunnel begins, and finds that it is over
			}
		}
		return nil
	}) {
		p.discard()
		return false
	}
	return true
}

// discard closes what was made for a tunnel that does not come about.
func (t *tunnel) discard() {
	for i := range t.ends {
		if d := t.ends[i].descriptor; d != nil {
			d.release()
			d.Close()
		}
	}
}

// ready is told that something about one side has changed.
func (t *tunnel) ready(side int, events uint32) {
	d := t.ends[side].descriptor
	if events&canRead != 0 {
		d.drained = false
	}
	if events&isEnding != 0 {
		d.ending = true
	}
	t.turn()
}

// turn passes on what there is, in both directions.
func (t *tunnel) turn() {
	defer t.survive()
	if t.over || t.wasCut() || t.flush() != nil {
		return
	}
	if early := t.early; early != nil {
		t.early = nil
		if t.pass(0, early) != nil {
			return
		}
	}
	more := t.move(0)
	more = t.move(1) || more
	for i := range t.ends {
		if e := &t.ends[i]; len(e.unsent) > 0 && e.stuck == 0 {
			e.stuck = t.row.now
		}
	}
	switch {
	case t.over:
	case t.quiet():
		t.finish()
	case more && !t.queued:
		t.queued = true
		t.row.queue = append(t.row.queue, t)
	}
}

// wasCut ends the tunnel when somebody closed one of its connections.
func (t *tunnel) wasCut() bool {
	for i := range t.ends {
		if t.ends[i].cut.Load() {
			t.fail(i, net.ErrClosed)
			return true
		}
	}
	return false
}

// flush sends what was left at both sides.
func (t *tunnel) flush() error {
	for i := range t.ends {
		if err := t.ends[i].flush(); err != nil {
			return t.fail(1-i, err)
		}
	}
	return nil
}

// quiet says that both sides have said everything, and have been sent it.
func (t *tunnel) quiet() bool {
	for i := range t.ends {
		if e := &t.ends[i]; !e.said || !e.told || len(e.unsent) > 0 {
			return false
		}
	}
	return true
}

// move passes on what one side says. True: there may be more of it.
func (t *tunnel) move(side int) (more bool) {
	from, to := &t.ends[side], &t.ends[1-side]
	for range turnReads {
		if t.over || len(to.unsent) > 0 || len(from.unsent) > maxUnsent {
			return false
		}
		if from.said {
			t.tell(side)
			return false
		}
		n, err := from.conn.Read(t.row.buf)
		if n > 0 {
			t.last = t.row.now
			if t.pass(side, t.row.buf[:n]) != nil {
				return false
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, errAgain):
			return false
		case errors.Is(err, io.EOF):
			from.said = true
		default:
			t.fail(side, err)
			return false
		}
	}
	return true
}

// pass gives to the other side what side said.
func (t *tunnel) pass(side int, said []byte) error {
	t.ends[side].heard += int64(len(said))
	if _, err := t.ends[1-side].conn.Write(said); err != nil {
		return t.fail(side, err)
	}
	return nil
}

// tell tells the other side, once, that side has said everything.
func (t *tunnel) tell(side int) {
	to := &t.ends[1-side]
	if to.told {
		return
	}
	to.told = true
	half, ok := to.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.ends[side].said = false
		t.fail(side, io.EOF)
	}
}

// fail ends the tunnel for what happened to the bytes that came from a side, and
// returns why.
func (t *tunnel) fail(side int, err error) error {
	for i := range t.ends {
		if e := &t.ends[i]; !e.said {
			e.err = net.ErrClosed
		}
	}
	t.ends[side].err = err
	t.finish()
	return err
}

// until is when the tunnel has been idle for too long, or one side has left what
// it is sent lying for as long.
func (t *tunnel) until() time.Duration {
	oldest := t.last
	for i := range t.ends {
		if e := &t.ends[i]; len(e.unsent) > 0 {
			oldest = min(oldest, e.stuck)
		}
	}
	return oldest + t.idle
}

func (t *tunnel) expire() {
	for i := range t.ends {
		if e := &t.ends[i]; !e.said {
			e.err = os.ErrDeadlineExceeded
		}
	}
	// A side that takes nothing ends it though both have said everything.
	if t.ends[0].said && t.ends[1].said {
		t.ends[0].err = os.ErrDeadlineExceeded
	}
	t.finish()
}

func (t *tunnel) evict() { t.fail(0, net.ErrClosed) }

// survive ends the tunnel, and no other, for a mistake of ours.
func (t *tunnel) survive() {
	if mistake := recover(); mistake != nil {
		t.leave(Outcome{Panic: mistake, Stack: debug.Stack()})
	}
}

func (t *tunnel) finish() { t.leave(Outcome{}) }

// leave hands both connections back, once.
func (t *tunnel) leave(o Outcome) {
	if t.over {
		return
	}
	t.over = true
	o.FromClient = Told{Bytes: t.ends[0].heard, Err: t.ends[0].err}
	o.FromTarget = Told{Bytes: t.ends[1].heard, Err: t.ends[1].err}
	for i := range t.ends {
		t.ends[i].release()
	}
	ended := t.ended
	t.row.leave(t.place, func() {}, func() { ended(o) }) // closing ends the watching
}
