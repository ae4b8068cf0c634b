package proxy

import (
	"errors"
	"io"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// relay passes the target's answer to the client as it comes.
func (x *exchange) relay() {
	f := &x.f
	p := x.terms()
	x.status = f.res.Status
	out, err := x.openAnswer(&p)
	if err != nil {
		x.breakOff(errAborted)
		return
	}
	var body h1.Body
	body.Reset(f.res.Framing, f.res.Length, &x.view.Limits)
	for {
		if out, err = x.pass(&body, out, p.chunked); err != nil {
			x.breakOff(err)
			return
		}
		if body.Done() {
			break
		}
		if !x.deliver(out) {
			return
		}
		out = out[:0]
		f.in.compact()
		if err = x.fill(); err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) || body.EOF() != nil {
			x.breakOff(err)
			return
		}
		break
	}
	if p.chunked {
		out = h1.AppendLastChunk(out, body.Trailers())
	}
	if x.c.stream != nil && x.finishStream(out, body.Trailers()) != nil {
		x.breakOff(errAborted)
		return
	}
	f.complete = (x.c.stream != nil || x.deliver(out)) && f.res.Framing != wire.UntilClose
}

// openAnswer begins the client's answer; what it returns goes out before the
// content.
func (x *exchange) openAnswer(p *response) ([]byte, error) {
	if x.c.stream != nil {
		return x.c.output(), x.openStream(p)
	}
	return appendResponse(x.c.output(), &x.f.res, p), nil
}

// terms decides how the answer is framed for this client (RFC 9112 §6), and
// with that whether its connection can go on.
func (x *exchange) terms() response {
	p := response{http10: isHTTP10(&x.c.req)}
	x.keep = x.keep && !x.c.listener.closing.Load() // it may have begun to close meanwhile
	if f := x.f.res.Framing; x.c.stream == nil && (f == wire.Chunked || f == wire.UntilClose) {
		p.chunked = !p.http10
		x.keep = x.keep && p.chunked
	}
	p.keep = x.keep
	p.cookies = x.f.lease.SetCookies()
	return p
}

// pass appends to out what the client gets of the bytes that are there; what
// does not fit is sent at once.
func (x *exchange) pass(body *h1.Body, out []byte, chunked bool) ([]byte, error) {
	in := x.f.in
	for !body.Done() && !in.empty() {
		payload, n, err := body.Next(in.bytes())
		if err != nil {
			return out, err
		}
		in.r += n
		if len(payload) == 0 {
			continue
		}
		if chunked {
			out = h1.AppendChunkHead(out, len(payload))
		}
		if len(out)+len(payload)+len(crlf) > cap(out) {
			if x.c.send(out) != nil || x.c.send(payload) != nil {
				return out, errAborted
			}
			out = out[:0]
		} else {
			out = append(out, payload...)
		}
		if chunked {
			out = append(out, crlf...)
		}
	}
	return out, nil
}

func (x *exchange) deliver(out []byte) bool {
	if x.c.send(out) == nil {
		return true
	}
	x.breakOff(errAborted)
	return false
}

// breakOff ends an answer that began and cannot be finished.
func (x *exchange) breakOff(err error) {
	x.keep, x.torn = false, true
	x.reason = x.reasonOf(err)
}
