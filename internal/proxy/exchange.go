package proxy

import (
	"errors"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// exchange is one request and its answer. A connection has one, used again and
// again; what is in it after finish belongs to the next request.
type exchange struct {
	c        *conn
	view     *View
	decision *route.Decision
	group    *target.Group
	started  time.Time

	keep   bool // the connection goes on afterwards
	sent   int64
	status int    // what the client was told; 0: nothing
	reason string // error_reason of the log
	action string // actions_executed
	trace  []byte // X-Amzn-Trace-Id as the target saw it

	location []byte // of a redirect
	f        forward
	ws       bool // the exchange became a tunnel
	parked   bool // the tunnel is parked, and goes on with all of this
	torn     bool // the answer broke off: the client must not take it for whole
}

// run answers the request in c.req. onward: another may follow.
func (x *exchange) run(c *conn) step {
	x.begin(c)
	switch refused := x.inspect(); {
	case refused != 0:
		x.keep = false
		x.answer(errorAnswer(refused))
	case x.prove():
	default:
		x.decide()
	}
	if x.parked {
		return parked
	}
	x.finish()
	switch {
	case x.ws:
		return ended
	case x.torn:
		c.tear()
		return ended
	case !x.keep:
		c.linger()
		return ended
	}
	return onward
}

func (x *exchange) begin(c *conn) {
	view := c.listener.view.Load()
	*x = exchange{
		c: c, view: view, started: time.Now(), location: x.location[:0],
		f: forward{received: int64(c.in.r), res: wire.Response{Fields: x.f.res.Fields[:0]}},
	}
	x.trace = c.traceSpace[:0]
	r := &c.req
	x.keep = !r.Close && r.Class < wire.Ambiguous && !c.listener.closing.Load() &&
		x.started.Sub(c.opened) < view.Attributes.ClientKeepAlive
}

// inspect returns the status with which the request is refused before any rule,
// or 0.
func (x *exchange) inspect() int {
	r := &x.c.req
	if r.Class > wire.Compliant && x.view.Attributes.DesyncMode == albion.DesyncStrictest {
		return 400
	}
	if forwardedFor(r) > maxForwardedFor {
		x.reason = reasonForwardedFor
		return 463
	}
	return 0
}

// decide does what the first matching rule says.
//
// When a change has taken every target away between the rules and the target,
// the rules of the new configuration are asked: a request falls under one
// configuration or the other, never between them.
func (x *exchange) decide() {
	x.match()
	for range maxChanges {
		fresh := x.c.listener.view.Load()
		if x.parked || x.reason != reasonNoTarget || fresh == x.view {
			break // status says nothing: a stream that was reset has none either
		}
		x.view, x.reason = fresh, ""
		x.match()
	}
	if !x.parked && x.reason == reasonNoTarget {
		x.unforwarded(503, reasonNoTarget)
	}
}

// maxChanges is how many changes of configuration one request is ready to
// follow.
const maxChanges = 4

func (x *exchange) match() {
	x.decision = x.view.Routes.Match(&x.c.req)
	switch a := &x.decision.Action; {
	case a.Fixed != nil:
		x.action = "fixed-response"
		x.skipBody()
		x.answer(fixedAnswer(a.Fixed))
	case a.Redirect != nil:
		x.action = "redirect"
		x.skipBody()
		x.redirect(a.Redirect)
	default:
		x.action = "forward"
		x.forward()
	}
}

func (x *exchange) redirect(r *albion.Redirect) {
	location, ok := x.decision.Location(x.location, &x.c.req, x.view.scheme(), x.view.Port)
	if !ok {
		x.reason = reasonRedirect
		x.answer(errorAnswer(507))
		return
	}
	x.location = location
	page := errorAnswer(r.Status)
	page.location = location
	x.answer(page)
}

// skipBody passes over a request body that is there already; when more of it is
// to come, the connection ends after the answer instead of waiting for it.
func (x *exchange) skipBody() {
	r, in := &x.c.req, x.c.in
	if r.Framing == wire.NoBody {
		return
	}
	var body h1.Body
	body.Reset(r.Framing, r.Length, &x.view.Limits)
	for !body.Done() && !in.empty() {
		_, n, err := body.Next(in.bytes())
		in.r += n
		x.f.received += int64(n)
		if err != nil || n == 0 {
			break
		}
	}
	x.keep = x.keep && body.Done() && !r.Expect
}

// answer sends an answer of the balancer's own.
func (x *exchange) answer(a answer) {
	c := x.c
	x.status = a.status
	if c.stream != nil {
		x.answerStream(a)
		return
	}
	out := appendAnswer(c.output(), a, time.Now(), manner{head: isHead(&c.req), keep: x.keep, http10: isHTTP10(&c.req)})
	if c.send(out) != nil {
		x.keep = false
	}
}

// refuse answers bytes that are no acceptable head, and logs them. What is not
// ALB's name for a class of desync is logged as the error's reason.
func (x *exchange) refuse(c *conn, err error) {
	x.begin(c)
	x.keep = false
	x.f.received = int64(c.in.w) // no byte of it has been used
	status := 400
	if bad := (*h1.Error)(nil); errors.As(err, &bad) {
		status = bad.Status
		if bad.Class == wire.Compliant {
			x.reason = bad.Reason
		}
	}
	x.answer(errorAnswer(status))
	x.finish()
}

// finish counts and logs the exchange, and frees what it held.
func (x *exchange) finish() {
	m := &x.c.listener.Metrics
	m.Requests.Add(1)
	m.Sent.Add(uint64(x.sent))
	m.Received.Add(uint64(x.f.received))
	m.Answers[class(x.status)].Add(1)
	if x.f.status == 0 {
		m.OwnAnswers[class(x.status)].Add(1)
	} else {
		m.Targets[class(x.f.status)].Add(1)
		m.Latency.Observe(x.f.answered.Sub(x.f.asked))
	}
	x.log()
	x.c.release()
	x.f.pump.handOver(x.c)
}
