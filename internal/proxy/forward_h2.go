package proxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/accesslog"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// flow is a forward to a target that speaks HTTP/2. Whoever comes this far speaks
// it too (mismatched), so one stream leads to the other, and all that comes on
// either goes out on the other at once.
//
// The exchange's goroutine passes the answer on. The content of the request that
// is there already, and that the target takes at once, it passes on first; a second
// goroutine exists only while there is more.
type flow struct {
	x       *exchange
	up      *h2.Stream
	timer   deadlines    // of up
	last    atomic.Int64 // when either side last said something, nanoseconds after exchange.started
	headed  atomic.Bool  // the final head of the answer has come
	ends    bool         // and nothing follows it
	sent    atomic.Bool  // the request has been passed on whole
	done    chan struct{}
	stopped atomic.Bool

	mu     sync.Mutex // guards kept and forgot while send runs
	kept   []byte     // the request's content so far
	forgot bool       // kept lacks some of it

	left    []byte // of kept: what offer could not pass on
	gotAll  bool   // the client's content has ended
	refused int    // how often the request was not taken
}

// maxRefused is how many targets, or connections, may refuse one request.
const maxRefused = 3

// maxKept is how much of a request's content is kept in case that it has to be
// sent again, in bytes.
const maxKept = largeBuffer

var (
	errIdle    = errors.New("proxy: neither side says anything")
	errStopped = errors.New("proxy: the request is not needed any more")
)

// mismatched says that the request's protocol and that of the group's targets do
// not go together, by ALB's page "Target groups for your Application Load
// Balancers", Protocol version (464).
//
// Unlike AWS, WebSocket comes over HTTP/2 too (RFC 8441); it is HTTP/1.1's to
// targets.
func mismatched(r *wire.Request, version albion.ProtocolVersion) bool {
	http2, socket := r.Major == 2, len(r.Upgrade) > 0
	switch version {
	case albion.HTTP2:
		return !http2 || socket
	case albion.GRPC:
		return !http2 || socket || string(r.Method) != "POST"
	}
	return isGRPC(r)
}

// isGRPC says that a request is one of gRPC over HTTP/2: a POST of
// application/grpc, or of a kind of it (gRPC's page "gRPC over HTTP2", Requests).
// application/grpc-web is not.
func isGRPC(r *wire.Request) bool {
	if r.Major != 2 || string(r.Method) != "POST" {
		return false
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == wire.Other && wire.EqualFold(f.Name, "content-type") {
			const kind = "application/grpc"
			if !wire.HasPrefixFold(f.Value, kind) {
				return false
			}
			rest := f.Value[len(kind):]
			return len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == ' '
		}
	}
	return false
}

// forwardStream passes the request on to a target that speaks HTTP/2, and the
// answer back.
func (x *exchange) forwardStream() {
	f := &x.f
	w := &flow{x: x}
	f.pump.started = true      // whatever ends the exchange finds the verdict there;
	f.pump.stopped.Store(true) // its goroutine has nothing to do
	defer w.close()
	x.trace = appendTrace(x.trace, x.c.req.Get(wire.XAmznTraceID), x.started)
	err := w.ask()
	var reset *h2.ResetError
	switch {
	case err == nil:
		w.relay()
	case errors.As(err, &reset) && isGRPC(&x.c.req):
		// A client of gRPC reads the code of a reset: of CANCEL it knows whether that
		// was its own deadline. A 502 would say UNAVAILABLE, whatever the target meant.
		w.breakOff(err)
	default:
		x.failed(err)
	}
}

// ask sends the request, again when the target has not looked at it, and reads
// the head of the answer. Other failures are repeated once, by the rule for all
// targets: nothing of an answer came, and to ask twice does no harm.
func (w *flow) ask() error {
	x := w.x
	for repeated := false; ; {
		err := w.askOnce()
		if err == nil {
			return nil
		}
		w.stop()
		if x.f.interims > 0 || w.forgot || x.f.pump.verdict() != going {
			return err
		}
		switch {
		case errors.Is(err, h2.ErrRefused) && w.refused < maxRefused:
			w.refused++
		case errors.Is(err, h2.ErrGone) && !repeated && idempotent(&x.c.req) && !x.f.lease.Target().Expired():
			repeated = true
		default:
			return err
		}
		w.close()
		x.f.lease.Release()
		lease, ok := x.group.Choose(&x.c.req) // elsewhere, if there is more than one
		if !ok {
			return err
		}
		x.f.lease = lease
	}
}

func (w *flow) askOnce() error {
	x, c := w.x, w.x.c
	up, err := x.f.lease.Target().Stream(c.listener.ctx)
	if err != nil {
		return err
	}
	w.up, w.timer = up, deadlines{conn: up}
	w.stopped.Store(false)
	c.stream.AfterGone(func() {
		x.f.pump.end.CompareAndSwap(int32(going), int32(gone))
		up.Cancel(errAborted)
	})
	x.f.asked = time.Now()
	w.touch()
	bodiless := c.req.Framing == wire.NoBody
	w.timer.writeAfter(x.view.Attributes.IdleTimeout)
	if err := up.WriteRequest(x.upstreamHead(), bodiless); err != nil {
		return err
	}
	switch {
	case bodiless:
		w.finishSending()
	case w.offer():
	default:
		w.done = make(chan struct{})
		go func() { // stop waits for it
			defer close(w.done)
			defer c.listener.survive(c, c.client.Remote)
			w.send()
		}()
	}
	return w.readHead()
}

// offer passes on the content that is there, an earlier try's first, as far as
// nobody has to be waited for: whoever waits here reads no answer, and a target
// that answers as it reads waits for that. True: that was all, or there is no use
// in more.
func (w *flow) offer() bool {
	w.gather()
	trailers := w.gotAll && len(w.x.c.stream.Trailers()) > 0 // which may have to wait
	n, err := w.up.WriteReady(w.kept, w.gotAll && !trailers)
	if w.left = w.kept[n:]; err != nil {
		return true
	}
	if !w.gotAll || trailers || len(w.left) > 0 {
		return false
	}
	w.finishSending()
	return true
}

// gather reads the content that is there, no more than may be kept.
func (w *flow) gather() {
	c := w.x.c
	if w.gotAll || !c.stream.Ready() {
		return
	}
	buf := c.listener.shared.buffers.get(largeBuffer)
	defer c.listener.shared.buffers.put(buf)
	for !w.gotAll && len(w.kept) < maxKept && c.stream.Ready() {
		if _, ok := w.receive(buf.b[:maxKept-len(w.kept)]); !ok {
			return
		}
	}
}

// send passes on what offer could not, and the content that is still to come.
func (w *flow) send() {
	if len(w.left) > 0 || w.gotAll {
		if !w.pass(w.left, w.gotAll) || w.gotAll {
			return
		}
		w.left = nil
	}
	var m meter
	for waiting := w.x.c.req.Expect; !w.sendOnce(&m, waiting); waiting = false {
	}
}

// sendOnce waits for what the client says next and passes it on, and says whether
// that was the last. m measures whether the client is slow, which one that waits
// for 100 (Continue) is not. Nothing is borrowed while it waits: a stream may be
// quiet for long.
func (w *flow) sendOnce(m *meter, waiting bool) (over bool) {
	x, c := w.x, w.x.c
	idle := x.view.Attributes.IdleTimeout
	began := time.Now()
	c.timer.readAfter(idle)
	if w.stopped.Load() { // after the deadline: see stop
		return true
	}
	if c.stream.Wait() != nil {
		if w.stopped.Load() {
			return true
		}
		if left := idle - w.quiet(); left > 0 { // the target is talking
			c.timer.readBy(time.Now().Add(left))
			return false
		}
		w.silent()
		return true
	}
	waited := time.Since(began)
	n, over := w.sendPiece()
	if over {
		return true
	}
	// gRPC keeps streams open for messages that come now and then, and so may
	// whoever has been answered already.
	if !w.headed.Load() && !isGRPC(&c.req) {
		if !waiting {
			m.waited += waited
		}
		if m.slow(n) {
			w.end(slow, errAborted)
			return true
		}
	}
	return false
}

// sendPiece passes n bytes of the content on, which are there.
func (w *flow) sendPiece() (n int, over bool) {
	pool := w.x.c.listener.shared.buffers
	buf := pool.get(largeBuffer)
	defer pool.put(buf)
	n, ok := w.receive(buf.b)
	return n, !ok || !w.pass(buf.b[:n], w.gotAll) || w.gotAll
}

// receive reads content that is there, or its end. False: it will never be whole.
func (w *flow) receive(buf []byte) (n int, ok bool) {
	x, c := w.x, w.x.c
	n, err := c.stream.Read(buf)
	switch {
	case n > 0:
		w.touch()
		x.f.received += int64(n)
		w.keep(buf[:n])
		w.gotAll = c.stream.Ended()
	case errors.Is(err, io.EOF):
		w.gotAll = true
	default:
		w.end(streamVerdict(err), errAborted)
		return 0, false
	}
	return n, true
}

// silent ends an exchange in which the client owes content, and nobody has said
// anything for the idle timeout.
func (w *flow) silent() {
	if w.headed.Load() {
		w.up.Cancel(errIdle)
		return
	}
	w.end(slow, errAborted)
}

// end gives the request up for what the client did.
func (w *flow) end(v verdict, why error) {
	w.x.f.pump.end.CompareAndSwap(int32(going), int32(v))
	w.up.Cancel(why)
}

// keep holds content in case that the request has to be sent again.
func (w *flow) keep(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.forgot:
	case w.headed.Load() || len(w.kept)+len(p) > maxKept:
		w.forgot, w.kept = true, nil
	default:
		w.kept = append(w.kept, p...)
	}
}

// forget lets go of what is kept: an exchange that has an answer is not repeated.
func (w *flow) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgot, w.kept = true, nil
}

// pass writes to the target, for as long as somebody says something. False: the
// target wants no more, or the answer says why.
func (w *flow) pass(p []byte, last bool) bool {
	var trailers []wire.Field
	if last {
		trailers = w.x.c.stream.Trailers()
	}
	idle := w.x.view.Attributes.IdleTimeout
	for {
		w.timer.writeAfter(idle)
		n, err := w.up.WriteLast(p, last && len(trailers) == 0)
		if p = p[n:]; err == nil {
			break
		}
		if err != os.ErrDeadlineExceeded { //nolint:errorlint // not errStuck, which is final
			return false
		}
		if w.quiet() >= idle {
			w.up.Cancel(errStuck)
			return false
		}
	}
	if len(trailers) > 0 && w.up.Finish(nil, trailers) != nil {
		return false
	}
	if last {
		w.finishSending()
	}
	return true
}

// errStuck: the target does not take the request's content.
var errStuck = stuck{}

type stuck struct{}

func (stuck) Error() string   { return "proxy: the target does not take the request" }
func (stuck) Is(e error) bool { return e == os.ErrDeadlineExceeded }

func (w *flow) finishSending() {
	w.touch()
	w.sent.Store(true)
}

// touch notes that somebody has said something.
func (w *flow) touch() { w.last.Store(int64(time.Since(w.x.started))) }

// quiet is for how long nobody has.
func (w *flow) quiet() time.Duration {
	return time.Since(w.x.started) - time.Duration(w.last.Load())
}

// readHead reads heads until one is not interim, which it passes on.
func (w *flow) readHead() error {
	x, f := w.x, &w.x.f
	for {
		ends, err := w.await(func() (bool, error) { return w.up.ReadHead(&f.res) })
		if err != nil {
			return err
		}
		if f.res.Status >= 200 {
			f.answered, f.status, w.ends = time.Now(), f.res.Status, ends
			w.headed.Store(true)
			w.forget()
			return nil
		}
		if err := x.interim(); err != nil {
			return err
		}
	}
}

// await has read wait for the target for as long as somebody says something.
func (w *flow) await(read func() (bool, error)) (bool, error) {
	idle := w.x.view.Attributes.IdleTimeout
	w.timer.readAfter(idle)
	for {
		yes, err := read()
		if err == nil {
			w.touch()
			return yes, nil
		}
		if err != os.ErrDeadlineExceeded { //nolint:errorlint // not errStuck, which is final
			return yes, err
		}
		switch left := idle - w.quiet(); {
		case left > 0:
			w.timer.readBy(time.Now().Add(left))
		case !w.sent.Load(): // the other goroutine knows whose fault it is
			w.timer.readBy(time.Now().Add(idle))
		default:
			return yes, err
		}
	}
}

// relay passes the answer on as it comes.
func (w *flow) relay() {
	x, f, c := w.x, &w.x.f, w.x.c
	x.status = f.res.Status
	p := x.terms()
	if err := c.stream.WriteHead(&f.res, cookieFields(p.cookies), w.ends); err != nil {
		w.breakOff(errAborted)
		return
	}
	if w.ends {
		f.complete = true
		return
	}
	for over := false; !over; {
		if !w.up.Ready() {
			c.stream.Flush()
		}
		// Nothing is borrowed while it waits: a stream may be quiet for long.
		if _, err := w.await(func() (bool, error) { return false, w.up.Wait() }); err != nil {
			w.breakOff(err)
			return
		}
		over = w.relayPiece()
	}
}

// relayPiece passes on what is there of the answer, and says whether that was the
// last.
func (w *flow) relayPiece() (over bool) {
	x, c := w.x, w.x.c
	buf := c.listener.shared.buffers.get(largeBuffer)
	defer c.listener.shared.buffers.put(buf)
	n, err := w.up.Read(buf.b)
	ended := errors.Is(err, io.EOF) || err == nil && w.up.Ended()
	switch {
	case ended:
		err = x.finishStream(buf.b[:n], w.up.Trailers())
	case err == nil:
		err = c.send(buf.b[:n])
	default:
		w.breakOff(err)
		return true
	}
	w.touch()
	if err != nil {
		w.breakOff(errAborted)
		return true
	}
	x.f.complete = ended
	return ended
}

// breakOff ends an answer that cannot be finished, with the target's own reason
// if it gave one (RFC 9113 §7).
func (w *flow) breakOff(err error) {
	w.x.breakOff(err)
	code := h2.CodeInternal
	var reset *h2.ResetError
	if errors.As(err, &reset) && reset.Code != h2.CodeNo && reset.Code != h2.CodeRefused {
		code = reset.Code // refused would mean that nothing was done
	}
	w.x.c.stream.ResetWith(code)
}

// stop ends the passing on of the request. It says so first and wakes second;
// send sets its deadline first and asks second.
func (w *flow) stop() {
	c := w.x.c
	c.stream.AfterGone(nil)
	if w.done == nil {
		return
	}
	w.stopped.Store(true)
	c.stream.SetReadDeadline(longAgo())
	w.up.Cancel(errStopped)
	<-w.done
	w.done = nil
	c.timer.forget()
}

// close gives the target's stream back.
func (w *flow) close() {
	w.stop()
	if w.up != nil {
		w.up.Release()
		w.up = nil
	}
}

func cookieFields(values [][]byte) []wire.Field {
	var fields []wire.Field
	for _, value := range values {
		fields = append(fields, wire.Field{Name: setCookieName, Value: value, ID: wire.SetCookie})
	}
	return fields
}

// idempotent says that a request may be sent twice (RFC 9110 §9.2.2).
func idempotent(r *wire.Request) bool {
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

// upstreamHead is the head of the request that a target of HTTP/2 gets: what
// appendRequest writes for one of HTTP/1.1.
func (x *exchange) upstreamHead() *h2.Request {
	c, r, a := x.c, &x.c.req, &x.view.Attributes
	host := appendHost(nil, r, x.view, x.f.lease.Target().Name())
	q := &h2.Request{Method: r.Method, Scheme: []byte("http"), Authority: valueOf(host), Path: originForm(r)}
	if x.group.Secure() {
		q.Scheme = []byte("https")
	}
	q.Fields = make([]wire.Field, 0, len(r.Fields)+6)
	for i := range r.Fields {
		f := &r.Fields[i]
		q.Trailers = q.Trailers || f.ID == wire.TE
		if f.Hop || replaced(f.ID) || a.TLSHeaders && f.ID == wire.Other && tellsTLS(f.Name) {
			continue
		}
		q.Fields = append(q.Fields, *f)
	}
	add := func(name string, value []byte) {
		q.Fields = append(q.Fields, wire.Field{Name: []byte(name), Value: value})
	}
	if r.Framing == wire.Sized {
		add("content-length", strconv.AppendInt(nil, r.Length, 10))
	}
	if r.Expect {
		add("expect", []byte("100-continue"))
	}
	if from := appendForwardedFor(nil, r, c.client.Remote, a); len(from) > 0 {
		add("x-forwarded-for", valueOf(from))
	}
	add("x-forwarded-proto", []byte(x.view.scheme()))
	add("x-forwarded-port", strconv.AppendUint(nil, uint64(x.view.Port), 10))
	add("x-amzn-trace-id", x.trace)
	if a.TLSHeaders && c.client.TLS != nil {
		add("x-amzn-tls-version", []byte(accesslog.VersionName(c.client.TLS.Version)))
		add("x-amzn-tls-cipher-suite", []byte(accesslog.CipherName(c.client.TLS.Cipher)))
	}
	return q
}

// valueOf takes the value out of a field line.
func valueOf(line []byte) []byte {
	_, value, _ := bytes.Cut(bytes.TrimSuffix(line, crlf), []byte(": "))
	return value
}
