package h2

import (
	"bytes"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire"
)

// The pseudo-header fields of a request (RFC 9113 §8.3.1, RFC 8441 §4).
const (
	method = iota
	scheme
	authority
	path
	protocol
	statusCode // the one of an answer (RFC 9113 §8.3.2)
	pseudos
)

// span is where a field stands in an arena that still grows.
type span struct {
	name, value, end int
	id               wire.Name
}

// section gathers one field section while it is decoded: of a head, or of
// trailers.
type section struct {
	limits  *Limits
	trailer bool
	answer  bool

	arena  []byte
	spans  []span
	pseudo [pseudos]span
	seen   [pseudos]bool
	size   int // bytes of fields kept, as a line of HTTP/1.1 would count them
	spent  int // bytes decoded, kept or not (RFC 7541 §4.1)
	fields int

	malformed string // why the message is (RFC 9113 §8.1.1)
	status    int    // with which the request is answered and not served
	reason    string
}

// reset makes the section ready for another one.
func (h *section) reset(limits *Limits, trailer bool) {
	*h = section{limits: limits, trailer: trailer, arena: h.arena[:0], spans: h.spans[:0]}
}

// add takes one decoded field.
func (h *section) add(f *hpack.HeaderField) {
	h.spent += len(f.Name) + len(f.Value) + 32
	if h.malformed != "" || h.status != 0 {
		return
	}
	if len(f.Name) > 0 && f.Name[0] == ':' {
		h.addPseudo(f)
		return
	}
	id, ok := h.judge(f)
	if !ok {
		return
	}
	if !h.roomFor(f, id) {
		return
	}
	h.spans = append(h.spans, h.keep(f, id))
}

func (h *section) keep(f *hpack.HeaderField, id wire.Name) span {
	s := span{name: len(h.arena), id: id}
	h.arena = append(h.arena, f.Name...)
	s.value = len(h.arena)
	h.arena = append(h.arena, f.Value...)
	s.end = len(h.arena)
	return s
}

func (h *section) broken(why string) { h.malformed = why }

func (h *section) refuse(status int, reason string) { h.status, h.reason = status, reason }

// addPseudo takes a pseudo-header field (RFC 9113 §8.3): known, once, before all
// others, and never in trailers.
func (h *section) addPseudo(f *hpack.HeaderField) {
	var which int
	switch f.Name {
	case ":method":
		which = method
	case ":scheme":
		which = scheme
	case ":authority":
		which = authority
	case ":path":
		which = path
	case ":protocol":
		which = protocol
	case ":status":
		which = statusCode
	default:
		h.broken("unknown pseudo-header field")
		return
	}
	switch {
	case h.answer != (which == statusCode):
		h.broken("pseudo-header field of the other side")
	case h.trailer:
		h.broken("pseudo-header field in trailers")
	case len(h.spans) > 0 || h.fields > 0:
		h.broken("pseudo-header field after a field")
	case h.seen[which]:
		h.broken("repeated pseudo-header field")
	case which == path && len(f.Value) > h.limits.Line:
		h.refuse(414, "RequestLineTooLong")
	case len(f.Value) > h.limits.Line:
		h.broken("oversized pseudo-header field")
	default:
		h.seen[which], h.pseudo[which] = true, h.keep(f, wire.Other)
	}
}

// judge checks name and value of a field (RFC 9113 §8.2). ok says that it is to
// be kept.
func (h *section) judge(f *hpack.HeaderField) (id wire.Name, ok bool) {
	plain := len(f.Name) > 0
	for i := range len(f.Name) {
		c := f.Name[i]
		if !wire.TokenChar.Is(c) || c >= 'A' && c <= 'Z' {
			h.broken("invalid field name")
			return 0, false
		}
		plain = plain && wire.PlainChar.Is(c)
	}
	if f.Name == "" {
		h.broken("empty field name")
		return 0, false
	}
	if h.answer {
		// Servers that pass on what a program wrote leave the spaces of RFC 9113
		// §8.2.1 there; without them the value is what HTTP/1.1 makes of it.
		f.Value = strings.Trim(f.Value, " \t")
	}
	if !validValue(f.Value) {
		h.broken("invalid field value")
		return 0, false
	}
	id = wire.NameOf([]byte(f.Name)) // does not escape
	switch id {
	case wire.Connection, wire.KeepAlive, wire.ProxyConnection, wire.TransferEncoding, wire.Upgrade:
		h.broken("connection-specific field") // RFC 9113 §8.2.2
		return id, false
	case wire.TE:
		if !wire.EqualFold(f.Value, "trailers") {
			h.broken("TE other than trailers")
			return id, false
		}
	}
	h.fields++
	return id, plain || !h.limits.DropInvalid
}

// validValue is RFC 9113 §8.2.1 and RFC 9110 §5.5 in one.
func validValue(v string) bool {
	if v == "" {
		return true
	}
	for i := range len(v) {
		if !wire.ValueChar.Is(v[i]) {
			return false
		}
	}
	return !blank(v[0]) && !blank(v[len(v)-1])
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// roomFor holds the field against the quotas.
func (h *section) roomFor(f *hpack.HeaderField, id wire.Name) bool {
	line := len(f.Name) + len(f.Value) + len(": \r\n")
	h.size += line
	count := len(h.spans)
	if id == wire.Cookie {
		count = 0
	}
	most := h.limits.Head
	if h.trailer {
		most = h.limits.Field
	}
	if line > h.limits.Field || h.size > most || count >= h.limits.Fields {
		h.refuse(413, "HeadTooLarge")
		return false
	}
	return true
}

// tooMuch says that decoding on serves nobody: an HPACK bomb names a large entry
// of the table again and again, in one byte each time.
func (h *section) tooMuch() bool { return h.spent > 8*h.limits.Head }

func (h *section) view(s span) wire.Field {
	return wire.Field{
		Name:  h.arena[s.name:s.value:s.value],
		Value: h.arena[s.value:s.end:s.end],
		ID:    s.id,
	}
}

func (h *section) value(which int) []byte {
	s := h.pseudo[which]
	return h.arena[s.value:s.end:s.end]
}

// request makes r of the section: views into the arena, which stays untouched as
// long as r is used. bodiless says that nothing follows the head. What cannot be
// a request is said by malformed, what will not be served by status.
func (h *section) request(r *wire.Request, bodiless bool) {
	*r = wire.Request{Major: 2, Fields: r.Fields[:0]}
	if h.malformed != "" {
		return
	}
	if h.status != 0 {
		h.outline(r)
		return
	}
	r.Method, r.Target, r.Host = h.value(method), h.value(path), h.value(authority)
	h.collect(r)
	h.judgePseudo(r)
	if h.malformed != "" || h.status != 0 {
		return
	}
	if h.seen[protocol] {
		h.tunnel(r)
		return
	}
	h.frame(r, bodiless)
}

// outline fills in what the log can say of a head that is too large.
func (h *section) outline(r *wire.Request) {
	r.Method, r.Target, r.Host = h.value(method), h.value(path), h.value(authority)
	if !wire.MethodChar.All(r.Method) {
		r.Method = nil
	}
	if !wire.TargetChar.All(r.Target) || r.Target[0] != '/' {
		r.Target = nil
	}
	if _, _, ok := wire.SplitAuthority(r.Host); !ok {
		r.Host = nil
	}
	r.Path, r.Query, _ = bytes.Cut(r.Target, []byte("?"))
}

// collect turns the spans into fields. The crumbs of a cookie become one field
// (RFC 9113 §8.2.3), where the first of them stood.
func (h *section) collect(r *wire.Request) {
	crumbs, joined := 0, span{}
	for _, s := range h.spans {
		if s.id == wire.Cookie {
			crumbs++
		}
	}
	if crumbs > 1 {
		joined = h.joinCookies()
	}
	for _, s := range h.spans {
		if s.id == wire.Cookie && crumbs > 1 {
			if joined.end == 0 {
				continue
			}
			s, joined = joined, span{}
		}
		f := h.view(s)
		f.Hop = s.id == wire.TE
		r.Fields = append(r.Fields, f)
	}
}

func (h *section) joinCookies() span {
	joined := span{name: len(h.arena), id: wire.Cookie}
	h.arena = append(h.arena, "cookie"...)
	joined.value = len(h.arena)
	for _, s := range h.spans {
		if s.id != wire.Cookie {
			continue
		}
		if len(h.arena) > joined.value {
			h.arena = append(h.arena, "; "...)
		}
		h.arena = append(h.arena, h.arena[s.value:s.end]...)
	}
	joined.end = len(h.arena)
	return joined
}

// judgePseudo holds the request line, so to speak, against RFC 9113 §8.3.1.
func (h *section) judgePseudo(r *wire.Request) {
	if !wire.MethodChar.All(r.Method) {
		h.broken("invalid method")
		return
	}
	connect := string(r.Method) == "CONNECT"
	if h.seen[protocol] && !connect {
		h.broken(":protocol without CONNECT") // RFC 8441 §4
		return
	}
	h.judgeHost(r)
	if connect && !h.seen[protocol] {
		if h.seen[scheme] || h.seen[path] { // RFC 9113 §8.5
			h.broken("CONNECT with a scheme or a path")
			return
		}
		h.refuse(405, "ConnectNotAllowed")
		return
	}
	if s := h.value(scheme); string(s) != "https" && string(s) != "http" {
		h.broken("no scheme of ours")
	}
	h.judgePath(r)
	if h.malformed == "" && string(r.Method) == "TRACE" { // ALB: 405
		h.refuse(405, "TraceNotAllowed")
	}
}

// judgeHost wants one authority, from :authority or Host, and if from both the
// same.
func (h *section) judgeHost(r *wire.Request) {
	hosts := 0
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == wire.Host {
			if hosts++; hosts > 1 || h.seen[authority] && !wire.EqualFold(f.Value, r.Host) {
				h.broken("more than one authority")
				return
			}
			if !h.seen[authority] {
				r.Host = f.Value
			}
		}
	}
	if _, _, ok := wire.SplitAuthority(r.Host); !ok {
		h.broken("no valid authority")
	}
}

func (h *section) judgePath(r *wire.Request) {
	switch {
	case !wire.TargetChar.All(r.Target):
		h.broken("invalid path")
	case r.Target[0] == '/':
		r.Path, r.Query = r.Target, nil
		if before, after, found := bytes.Cut(r.Target, []byte("?")); found {
			r.Path, r.Query = before, after
		}
	case string(r.Target) == "*" && string(r.Method) == "OPTIONS":
		r.Path = r.Target
	default:
		h.broken("the path does not begin with /")
	}
	if len(r.Method)+len(r.Target)+len("  HTTP/2.0\r\n") > h.limits.Line {
		h.refuse(414, "RequestLineTooLong")
	}
}

// tunnel makes of an extended CONNECT what it would have been over HTTP/1.1
// (RFC 8441 §5): a GET that asks for an upgrade. The content is the tunnel's.
func (h *section) tunnel(r *wire.Request) {
	if string(h.value(protocol)) != "websocket" {
		h.refuse(501, "UnknownProtocol")
		return
	}
	if r.Get(wire.ContentLength) != nil {
		h.broken("CONNECT with Content-Length") // RFC 9110 §9.3.6
		return
	}
	suspect(r)
	h.arena = append(h.arena, "GET"...)
	r.Method = h.arena[len(h.arena)-3 : len(h.arena) : len(h.arena)]
	r.Upgrade = h.value(protocol)
}

// maxDigits of a Content-Length: 18 digits always fit in an int64.
const maxDigits = 18

// frame decides how the content is announced to whoever reads HTTP/1.1, and in
// ALB's words how far the request strays (page "Desync mitigation mode").
func (h *section) frame(r *wire.Request, bodiless bool) {
	sized := false
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.ID {
		case wire.ContentLength:
			n, ok := decimal(f.Value)
			if !ok || sized {
				h.broken("invalid Content-Length")
				return
			}
			sized, r.Length = true, n
		case wire.Expect:
			if !wire.EqualFold(f.Value, "100-continue") {
				h.refuse(417, "UnknownExpectation")
				return
			}
			r.Expect = !bodiless
		}
	}
	suspect(r)
	if bodiless && r.Length > 0 {
		h.broken("Content-Length without content") // RFC 9113 §8.1.1
		return
	}
	reading := string(r.Method) == "GET" || string(r.Method) == "HEAD"
	switch {
	case sized:
		r.Framing = wire.Sized
		if reading && r.Length > 0 {
			worsen(r, wire.Ambiguous, "UndefinedContentLengthSemantics")
		} else if reading {
			worsen(r, wire.Acceptable, "GetHeadZeroContentLength")
		}
	case !bodiless:
		r.Framing = wire.Chunked
	}
	r.Expect = r.Expect && (r.Framing == wire.Chunked || r.Length > 0)
}

// suspect notices fields that look like those that frame a message to a server
// that takes an underscore for a hyphen.
func suspect(r *wire.Request) {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == wire.Other && disguised(f.Name) {
			worsen(r, wire.Ambiguous, "SuspiciousHeader")
		}
	}
}

func decimal(s []byte) (n int64, ok bool) {
	if len(s) == 0 || len(s) > maxDigits {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func worsen(r *wire.Request, c wire.Class, reason string) {
	if c > r.Class {
		r.Class, r.Reason = c, reason
	}
}

// disguised reports whether a name would be Content-Length or Transfer-Encoding
// to a server that ignores what is not a letter.
func disguised(name []byte) bool {
	var letters [len("transferencoding")]byte
	n := 0
	for _, c := range name {
		if c < 'a' || c > 'z' {
			continue
		}
		if n == len(letters) {
			return false
		}
		letters[n] = c
		n++
	}
	s := string(letters[:n])
	return s == "contentlength" || s == "transferencoding"
}

// trailers appends the fields of a trailer section that may be passed on. Those of
// an answer go to a client of HTTP/2, which does not take them for fields of the
// head; to gRPC any of them may be a program's own.
func (h *section) trailers(to []wire.Field) []wire.Field {
	for _, s := range h.spans {
		f := h.view(s)
		if f.InTrailer() || h.answer && f.ID != wire.ContentLength && f.ID != wire.Host && !f.ID.Hop() {
			to = append(to, f)
		}
	}
	return to
}

// fault is what the section deserves as a part of stream id, or nil.
func (h *section) fault(id uint32) *fault {
	if h.malformed == "" {
		return nil
	}
	return streamFault(id, http2.ErrCodeProtocol, h.malformed)
}
