package proxy

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// pump looks after the client's side of an exchange on a goroutine of its own:
// it passes on the rest of the request body, and afterwards watches whether the
// client is still there, so that its going away reaches the target at once.
// While it runs nobody else reads from the client.
type pump struct {
	started bool
	pending int           // without a pump: bytes of body that still stand in conn.in
	done    chan struct{} // closed when the goroutine has ended
	spill   *buffer       // what the client sent beyond the body: its next request
	sentAt  time.Time     // when sent became true; written before it
	sent    atomic.Bool   // the body has been passed on whole
	quit    chan struct{} // of a stream: closed when stopped
	stopped atomic.Bool   // the exchange needs no more of it
	end     atomic.Int32  // a verdict
}

// verdict is why an exchange has to end.
type verdict int32

const (
	going  verdict = iota
	gone           // the client closed or reset its connection
	short          // it closed in the middle of its body
	broken         // its body is no valid body
	slow           // its body does not come
)

// status is what the client is told, by ALB's table of causes.
func (v verdict) status() (int, string) {
	switch v {
	case short:
		return 400, reasonShort
	case broken:
		return 400, reasonBadBody
	case slow:
		return 408, reasonSlow
	}
	return 460, reasonGone
}

// A body may arrive slowly, but not so slowly that holding the connection is its
// purpose: in every window it has to bring some bytes.
const (
	slowWindow = 30 * time.Second
	slowBytes  = 4 << 10
)

func (p *pump) verdict() verdict { return verdict(p.end.Load()) }

// intact says that the target got all of the request and the client is there.
func (p *pump) intact() bool {
	return !p.started || p.sent.Load() && p.verdict() == going
}

// owed is how much longer a target may be silent that may be silent for idle
// after it has got the whole body, and after it was heard last.
func (p *pump) owed(idle time.Duration, heard time.Time) time.Duration {
	if p.sent.Load() {
		since := p.sentAt
		if heard.After(since) {
			since = heard
		}
		return time.Until(since.Add(idle))
	}
	select {
	case <-p.done: // it will never get it
		return 0
	default:
		return idle
	}
}

func (p *pump) finish() {
	p.sentAt = time.Now()
	p.sent.Store(true)
}

// start begins to pump, with what is left of the body (rest) or to watch only.
func (p *pump) start(x *exchange, rest bool) {
	p.started = true
	p.done = make(chan struct{})
	p.quit = make(chan struct{})
	x.c.in.r += p.pending
	x.f.received += int64(p.pending)
	p.pending = 0
	if !rest {
		p.makeRoom(x.c)
		p.finish()
	}
	x.c.timer.forget()
	// A pump outlives no exchange: settle waits for done.
	go func() {
		defer close(p.done)
		defer x.c.listener.survive(x.c, x.c.client.Remote)
		if rest {
			pass := p.body
			if x.c.stream != nil {
				pass = p.passStream
			}
			if !pass(x) {
				return
			}
			p.finish()
		}
		if x.c.stream != nil {
			p.watchStream(x)
			return
		}
		p.watch(x)
	}()
}

// watchRoom is how many bytes of a next request watching should have room for.
const watchRoom = 512

// makeRoom sees to it that there is something to read into while watching: the
// head has to stay where it is, and may fill its buffer.
func (p *pump) makeRoom(c *conn) {
	left := c.in.bytes()
	if len(c.in.free()) >= watchRoom || len(left) > smallBuffer-watchRoom {
		return
	}
	p.spill = c.listener.shared.buffers.get(smallBuffer)
	p.spill.w = copy(p.spill.b, left)
	c.in.r = c.in.w
}

// stop ends the pump, once.
func (p *pump) stop(x *exchange) {
	if p.stopped.Swap(true) {
		return
	}
	close(p.quit)
	x.c.SetReadDeadline(longAgo())
	if !p.sent.Load() && x.f.up != nil {
		x.f.up.SetWriteDeadline(longAgo())
	}
	<-p.done
	x.c.timer.forget()
	x.f.upTimer.forget() // the body may have been through just then, and the connection be used again
}

// handOver makes what was read beyond the body the beginning of the next
// request. The head of this one is not looked at any more.
func (p *pump) handOver(c *conn) {
	if p.spill == nil {
		return
	}
	c.listener.shared.buffers.put(c.in)
	c.in, p.spill = p.spill, nil
}

// body passes the request body on. False: it did not end well.
func (p *pump) body(x *exchange) bool {
	c, r := x.c, &x.c.req
	var body h1.Body
	body.Reset(r.Framing, r.Length, &x.view.Limits)
	p.spill = c.listener.shared.buffers.get(largeBuffer)
	buf := p.spill
	out := c.listener.shared.buffers.get(largeBuffer)
	defer c.listener.shared.buffers.put(out)
	if left := c.in.bytes(); len(left) > len(buf.b) {
		buf.b = append([]byte(nil), left...)
	}
	buf.w = copy(buf.b, c.in.bytes())
	c.in.r = c.in.w
	var meter meter
	waiting := r.Expect // a client that waits for 100 (Continue) is not the one who is slow
	for {
		chunk, err := p.take(x, &body, out.b[:0])
		if err != nil {
			p.abort(x, broken)
			return false
		}
		if len(chunk) > 0 && !p.pass(x, chunk) {
			return false // the answer, if there is one, says why
		}
		if body.Done() {
			return true
		}
		if meter.slow(len(chunk)) {
			p.abort(x, slow)
			return false
		}
		buf.compact()
		asked := time.Now()
		x.c.timer.readAfter(x.view.Attributes.IdleTimeout)
		if v := p.read(x, buf); v != going {
			p.abort(x, max(v, short))
			return false
		}
		if !waiting {
			meter.waited += time.Since(asked)
		}
		waiting = false
	}
}

// pass writes to the target. stop says that it stops and then moves the
// deadline; here the deadline comes first and the question after it.
func (p *pump) pass(x *exchange, chunk []byte) bool {
	x.f.upTimer.writeAfter(x.view.Attributes.IdleTimeout)
	if p.stopped.Load() {
		return false
	}
	_, err := x.f.up.Write(chunk)
	return err == nil
}

// take appends to out what the target is to get of the bytes that are there.
func (p *pump) take(x *exchange, body *h1.Body, out []byte) ([]byte, error) {
	buf, framing := p.spill, x.c.req.Framing
	for !body.Done() && !buf.empty() {
		payload, n, err := body.Next(buf.bytes())
		if err != nil {
			return out, err
		}
		if framing == wire.Chunked {
			out = h1.AppendChunk(out, payload)
		} else {
			out = append(out, payload...)
		}
		buf.r += n
		x.f.received += int64(n)
	}
	if body.Done() && framing == wire.Chunked {
		out = h1.AppendLastChunk(out, body.Trailers())
	}
	return out, nil
}

// watch waits for the client to say something or to go away. What it says early
// is its next request, and is kept; with a full buffer watching ends.
func (p *pump) watch(x *exchange) {
	buf := p.spill
	if buf == nil {
		buf = x.c.in // behind the head, which stays where it is
	} else {
		buf.compact() // the body that filled it has gone
	}
	for buf.w < len(buf.b) {
		x.c.timer.readBy(time.Time{})
		switch v := p.read(x, buf); v {
		case going:
		case slow:
			return // stopped
		default:
			p.abort(x, v)
			return
		}
	}
}

// read reads from the client.
func (p *pump) read(x *exchange, buf *buffer) verdict {
	if p.stopped.Load() {
		return slow
	}
	n, err := x.c.Conn.Read(buf.free())
	buf.w += n
	switch {
	case n > 0:
		return going
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slow
	}
	return gone
}

// abort ends the exchange: it wakes whoever waits for the target. Setting the
// verdict first and the deadline second means that a reader which sets its own
// deadline in between still sees the verdict.
func (p *pump) abort(x *exchange, v verdict) {
	if p.stopped.Load() {
		return
	}
	p.end.Store(int32(v))
	x.f.up.SetReadDeadline(longAgo())
}

// meter notices a body that trickles. Only waiting for the client counts: a
// target that does not take the body is not the client's fault.
type meter struct {
	waited time.Duration
	bytes  int
}

// slow counts n more bytes, and says whether too few came in the time that was
// waited for them.
func (m *meter) slow(n int) bool {
	m.bytes += n
	if m.waited < slowWindow {
		return false
	}
	tooSlow := m.bytes < slowBytes
	m.waited, m.bytes = 0, 0
	return tooSlow
}
