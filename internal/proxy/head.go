package proxy

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/albion-lb/albion/internal/accesslog"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

var ( // never written
	hostName      = []byte("Host")
	traceName     = []byte("X-Amzn-Trace-Id")
	setCookieName = []byte("Set-Cookie")
	websocket     = []byte("websocket")
	chunkedField  = []byte("Transfer-Encoding: chunked\r\n")
	closeField    = []byte("Connection: close\r\n")
	keepField     = []byte("Connection: keep-alive\r\n")
	upgradeFields = []byte("Connection: Upgrade\r\nUpgrade: websocket\r\n")
	crlf          = []byte("\r\n")
)

// request is what a target is told besides what the client said.
type request struct {
	view    *View
	from    netip.AddrPort
	target  string // HOST:PORT, the Host of a request that named none
	tls     *TLS
	trace   []byte
	upgrade bool
	key     string // Sec-WebSocket-Key in the client's stead, which over HTTP/2 sends none
	expect  bool
}

// appendRequest appends the head of the request that the target gets. The
// framing is always written anew from what was understood, so that the target
// cannot understand something else (RFC 9112 §11.2).
func appendRequest(dst []byte, r *wire.Request, q *request) []byte {
	dst = h1.AppendRequestLine(dst, r.Method, originForm(r))
	dst = appendHost(dst, r, q.view, q.target)
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Hop || replaced(f.ID) || q.key != "" && wire.EqualFold(f.Name, "sec-websocket-key") || q.view.Attributes.TLSHeaders && f.ID == wire.Other && tellsTLS(f.Name) {
			continue
		}
		dst = h1.AppendField(dst, f.Name, f.Value)
	}
	dst = appendForwardedFor(dst, r, q.from, &q.view.Attributes)
	dst = append(dst, "X-Forwarded-Proto: "...)
	dst = append(dst, q.view.scheme()...)
	dst = append(dst, "\r\nX-Forwarded-Port: "...)
	dst = strconv.AppendUint(dst, uint64(q.view.Port), 10)
	dst = append(dst, crlf...)
	dst = h1.AppendField(dst, traceName, q.trace)
	if q.view.Attributes.TLSHeaders && q.tls != nil {
		dst = append(append(append(dst, "X-Amzn-Tls-Version: "...), accesslog.VersionName(q.tls.Version)...), crlf...)
		dst = append(append(append(dst, "X-Amzn-Tls-Cipher-Suite: "...), accesslog.CipherName(q.tls.Cipher)...), crlf...)
	}
	return append(appendRequestFraming(dst, r, q), crlf...)
}

func appendRequestFraming(dst []byte, r *wire.Request, q *request) []byte {
	switch r.Framing {
	case wire.Chunked:
		dst = append(dst, chunkedField...)
	case wire.Sized:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, r.Length, 10)
		dst = append(dst, crlf...)
	}
	if q.expect {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	if q.key != "" {
		dst = append(append(append(dst, "Sec-WebSocket-Key: "...), q.key...), crlf...)
	}
	if q.upgrade {
		return append(dst, upgradeFields...)
	}
	return dst
}

// replaced says that the balancer itself writes this field, or means it for
// nobody else.
func replaced(id wire.Name) bool {
	switch id {
	case wire.Host, wire.ContentLength, wire.TransferEncoding, wire.Expect, wire.Upgrade, wire.Connection,
		wire.XForwardedFor, wire.XForwardedProto, wire.XForwardedPort, wire.XAmznTraceID:
		return true
	}
	return false
}

// tellsTLS says that a field claims what only the balancer can know.
func tellsTLS(name []byte) bool { return wire.HasPrefixFold(name, "x-amzn-tls-") }

// isHTTP10 says that the client knows neither chunks nor interim answers.
func isHTTP10(r *wire.Request) bool { return r.Major == 1 && r.Minor == 0 }

// originForm is the request target as an origin server expects it (RFC 9112
// §3.2.1): an absolute-form loses its scheme and authority.
func originForm(r *wire.Request) []byte {
	if r.Scheme == nil {
		return r.Target
	}
	at := bytes.Index(r.Target, []byte("://"))
	rest := r.Target[at+3:]
	slash := bytes.IndexAny(rest, "/?")
	if slash < 0 {
		return r.Path
	}
	if rest[slash] == '?' {
		return append([]byte{'/'}, rest[slash:]...)
	}
	return rest[slash:]
}

// wantsWebSocket says that the client asks to leave HTTP for WebSocket. No other
// upgrade is passed on: h2c would carry requests past the rules.
func wantsWebSocket(r *wire.Request) bool {
	bodiless := r.Framing == wire.NoBody || r.Framing == wire.Sized && r.Length == 0
	return bodiless && bytes.EqualFold(r.Upgrade, websocket)
}

// response is what the client is told besides what the target said.
type response struct {
	http10  bool // the client speaks HTTP/1.0
	chunked bool // the body goes out in chunks
	keep    bool
	cookies [][]byte // values of Set-Cookie to add
}

// appendResponse appends the head of the answer that the client gets.
func appendResponse(dst []byte, a *wire.Response, p *response) []byte {
	dst = h1.AppendStatusLine(dst, a.Status, a.Reason)
	for i := range a.Fields {
		f := &a.Fields[i]
		if f.Hop || f.ID == wire.Connection || f.ID == wire.TransferEncoding || f.ID == wire.Upgrade {
			continue
		}
		dst = h1.AppendField(dst, f.Name, f.Value)
	}
	for _, value := range p.cookies {
		dst = h1.AppendField(dst, setCookieName, value)
	}
	if p.chunked {
		dst = append(dst, chunkedField...)
	}
	switch {
	case a.Status == 101:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(append(dst, a.Upgrade...), crlf...)
	case !p.keep:
		dst = append(dst, closeField...)
	case p.http10:
		dst = append(dst, keepField...)
	}
	return append(dst, crlf...)
}
