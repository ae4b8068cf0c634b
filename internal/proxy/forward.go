package proxy

import (
	"bytes"
	"errors"
	"os"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
	"github.com/albion-lb/albion/internal/wire/park"
)

// forward is the part of an exchange that concerns a target.
type forward struct {
	lease    target.Lease
	short    bool // the request goes out in one piece, on a connection that has been used
	up       *target.Conn
	upTimer  deadlines
	in       *buffer // what the target sent
	res      wire.Response
	pump     pump
	status   int       // what the target answered; 0: nothing
	asked    time.Time // when the request was sent
	heard    time.Time // when the target last said something to whom it kept waiting
	answered time.Time // when the head of the answer was there
	interims int       // 1xx answers so far
	received int64     // bytes of the request
	key      string    // Sec-WebSocket-Key, when the client's request needs none (RFC 8441 §5)
	complete bool      // the target's answer ended as it should
}

// patience is how long a target may take before somebody watches whether the
// client is still there. Most answers come sooner and cost no second goroutine.
const patience = 20 * time.Millisecond

var (
	errAborted  = errors.New("proxy: the client gave up")
	errUnasked  = errors.New("proxy: the target switched protocols unasked")
	errInterim  = errors.New("proxy: the target gives no final answer")
	errTooLarge = errors.New("proxy: the answer's head is larger than 32 KiB")
)

// forward passes the request to a target and the answer back.
func (x *exchange) forward() {
	f := &x.f
	x.group = x.view.group(x.decision)
	if x.group == nil {
		x.unforwarded(503, reasonNoWeight)
		return
	}
	version := x.group.Version()
	if mismatched(&x.c.req, version) {
		x.unforwarded(464, reasonProtocol)
		return
	}
	lease, ok := x.group.Choose(&x.c.req)
	if !ok {
		x.reason = reasonNoTarget // decide answers, unless it knows better
		return
	}
	f.lease = lease
	defer x.leaveForward()
	if version != albion.HTTP1 {
		x.forwardStream()
		return
	}
	x.trace = appendTrace(x.trace, x.c.req.Get(wire.XAmznTraceID), x.started)
	if err := x.ask(); err != nil {
		x.failed(err)
		return
	}
	switch {
	case f.res.Status != 101:
		x.relay()
	case wantsWebSocket(&x.c.req) && bytes.EqualFold(f.res.Upgrade, websocket) && x.accepted():
		x.upgrade()
	default:
		x.failed(errUnasked)
	}
}

// unforwarded answers by itself because there is no target to ask.
func (x *exchange) unforwarded(status int, reason string) {
	x.reason = reason
	x.skipBody()
	x.answer(errorAnswer(status))
}

// ask sends the request and reads the head of the answer. A connection out of
// the pool may have been closed by the target at that very moment; then, and
// when asking again can do no harm (RFC 9110 §9.2.2), it is asked once more on a
// new one.
func (x *exchange) ask() error {
	f := &x.f
	t := f.lease.Target()
	ctx := x.c.listener.ctx
	short := x.isShort()
	for {
		up, reused, err := x.take(short)
		if err != nil {
			return err
		}
		// On a new connection the target may speak first: to say that it is too busy.
		f.short = short && reused
		err = x.askOn(up)
		if err == nil || !reused {
			return err
		}
		again := errors.Is(err, park.ErrStale) // nothing was sent
		if !again && !x.repeatable(err) {
			return err
		}
		up.Close()
		f.up = nil
		if again {
			continue
		}
		if up, err = t.Fresh(ctx); err != nil {
			return err
		}
		f.short = false
		return x.askOn(up)
	}
}

// take gets a connection; for a short request it need not be known to be alive.
func (x *exchange) take(short bool) (c *target.Conn, reused bool, err error) {
	t, ctx := x.f.lease.Target(), x.c.listener.ctx
	if short {
		return t.TakeToAsk(ctx)
	}
	return t.Take(ctx)
}

// isShort says that the whole request is at hand, and fits a buffer.
func (x *exchange) isShort() bool {
	r, in := &x.c.req, x.c.in
	return (r.Framing == wire.NoBody || r.Framing == wire.Sized && r.Length <= int64(len(in.bytes()))) &&
		in.r <= largeBuffer/4 && r.Length <= largeBuffer/4
}

// repeatable says that a failed request may be sent again: nothing of an answer
// came, the whole request is still at hand, and its method is idempotent.
func (x *exchange) repeatable(err error) bool {
	if x.f.pump.started || x.f.interims > 0 || !x.f.in.empty() || errors.Is(err, os.ErrDeadlineExceeded) || x.f.up.Expired() {
		return false
	}
	switch string(x.c.req.Method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

func (x *exchange) askOn(up *target.Conn) error {
	c, f := x.c, &x.f
	f.up, f.upTimer = up, deadlines{conn: up, read: up.ReadBy, write: up.WriteBy}
	c.up.Store(up)
	if err := c.listener.ctx.Err(); err != nil {
		return err // Drain gives up first and cuts second, so one of the two sees the other
	}
	if f.in == nil {
		f.in = c.listener.shared.buffers.get(largeBuffer)
	}
	r := &c.req
	q := request{
		view: x.view, from: c.client.Remote, target: f.lease.Target().Name(), tls: c.client.TLS,
		trace: x.trace, upgrade: wantsWebSocket(r), expect: r.Expect,
	}
	if q.upgrade && c.stream != nil {
		f.key = newKey()
		q.key = f.key
	}
	out := appendRequest(c.output(), r, &q)
	var body []byte
	whole := r.Framing == wire.NoBody
	if r.Framing == wire.Sized && int64(len(c.in.bytes())) >= r.Length {
		whole, body = true, c.in.bytes()[:r.Length]
	}
	if len(out)+len(body) <= largeBuffer {
		out, body = append(out, body...), nil
	}
	f.asked = time.Now()
	f.upTimer.writeAfter(x.view.Attributes.IdleTimeout)
	if f.short && len(body) == 0 && up.Asks() {
		f.pump.pending = int(r.Length) // stays in c.in until it need not be sent again
		return x.askShort(out)
	}
	if _, err := up.Write(out); err != nil {
		return err
	}
	if len(body) > 0 {
		if _, err := up.Write(body); err != nil {
			return err
		}
	}
	if whole {
		f.pump.pending = int(r.Length) // stays in c.in until it need not be sent again
	} else {
		f.pump.start(x, true)
	}
	return x.readHead()
}

// askShort sends the whole request, and reads the head of the answer.
func (x *exchange) askShort(request []byte) error {
	f := &x.f
	f.upTimer.readSoon(f.asked, patience)
	n, err := f.up.Ask(request, f.in.free())
	f.in.w += n
	if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return x.readHead() // after the deadline it is patient
}

// readHead reads heads until one is not interim. Interim ones go on to the
// client (RFC 9110 §15.2), if it is of a version that knows them.
func (x *exchange) readHead() error {
	f := &x.f
	var head h1.Parser
	var begun time.Time // of a head that comes in pieces
	for {
		n, err := head.ReadResponse(&f.res, f.in.bytes(), x.c.req.Method, &x.view.Limits)
		if err != nil {
			return err
		}
		if n > 0 {
			f.in.r += n
			if f.res.Status >= 200 || f.res.Status == 101 {
				f.answered = time.Now()
				f.status = f.res.Status
				return nil
			}
			if err := x.interim(); err != nil {
				return err
			}
			f.in.compact()
			begun = time.Time{}
			continue // a Parser is ready for the next head
		}
		switch {
		case f.in.empty():
		case begun.IsZero():
			begun = time.Now()
		case time.Since(begun) >= x.view.Attributes.IdleTimeout:
			return os.ErrDeadlineExceeded // a byte now and then is no answer
		}
		var room bool
		if f.in, room = x.c.listener.shared.buffers.reserve(f.in, maxAnswerHead); !room {
			return errTooLarge
		}
		if err := x.fill(); err != nil {
			return err
		}
	}
}

// maxAnswerHead is the most that one head of an answer may take, in bytes.
const maxAnswerHead = 64 << 10

// maxInterim is how many 1xx answers a target may give before the final one.
// RFC 9110 §15.2 has no limit, but an endless row of them would keep a request
// for ever.
const maxInterim = 64

func (x *exchange) interim() error {
	if x.f.interims++; x.f.interims > maxInterim {
		return errInterim
	}
	if isHTTP10(&x.c.req) {
		return nil
	}
	if s := x.c.stream; s != nil {
		if s.WriteHead(&x.f.res, nil, false) != nil {
			return errAborted
		}
		return nil
	}
	out := appendResponse(x.c.output(), &x.f.res, &response{keep: true})
	if err := x.c.send(out); err != nil {
		return errAborted
	}
	return nil
}

// fill reads more of the answer. When the target takes its time, the client is
// watched meanwhile.
func (x *exchange) fill() error {
	f := &x.f
	if !f.pump.started {
		f.upTimer.readSoon(time.Now(), patience)
		n, err := f.up.Read(f.in.free())
		f.in.w += n
		if n > 0 {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		f.pump.start(x, false)
	}
	for wait := x.view.Attributes.IdleTimeout; ; {
		f.upTimer.readAfter(wait)
		if f.pump.verdict() != going {
			return errAborted
		}
		n, err := f.up.Read(f.in.free())
		f.in.w += n
		switch {
		case n > 0:
			f.heard = time.Now()
			return nil
		case f.pump.verdict() != going:
			return errAborted
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		// The target may be silent for the idle timeout after it has had the whole
		// request, and after each of its words.
		if wait = f.pump.owed(x.view.Attributes.IdleTimeout, f.heard); wait <= 0 {
			return err
		}
	}
}

// failed answers what went wrong between us and the target, if the client is
// still there to hear it: ALB's page "Troubleshoot your Application Load
// Balancers", HTTP 400, 408, 460, 502 and 504.
func (x *exchange) failed(err error) {
	f := &x.f
	f.status = 0
	x.keep = false
	status, reason := 502, x.reasonOf(err)
	switch {
	case errors.Is(err, errAborted):
		status, reason = f.pump.verdict().status()
	case reason == reasonTimeout:
		status = 504
	}
	x.reason = reason
	x.settle()
	if status == 460 {
		x.status = 460
		return
	}
	x.answer(errorAnswer(status))
}

// settle ends the reading from the client's side: what was read beyond this
// request belongs to the next one, if there can be one.
func (x *exchange) settle() {
	p := &x.f.pump
	if p.started {
		p.stop(x)
		x.keep = x.keep && p.intact()
		return
	}
	if p.pending > 0 {
		x.c.in.r += p.pending
		x.f.received += int64(p.pending)
		p.pending = 0
	}
}

// leaveForward ends the forwarding, unless a parked tunnel goes on with it.
func (x *exchange) leaveForward() {
	if !x.parked {
		x.endForward()
	}
}

// endForward gives the target's connection back, or closes it when anything
// about it is in doubt, and then the lease.
func (x *exchange) endForward() {
	f := &x.f
	defer f.lease.Release()
	x.settle()
	x.c.up.Store(nil)
	if f.up != nil {
		if f.complete && !f.res.Close && f.in.empty() && f.pump.intact() && x.c.req.Class < wire.Ambiguous {
			f.up.ReadBy, f.up.WriteBy = f.upTimer.read, f.upTimer.write
			f.lease.Target().Put(f.up)
		} else {
			f.up.Close()
		}
		f.up = nil
	}
	x.c.listener.shared.buffers.put(f.in)
	f.in = nil
}
