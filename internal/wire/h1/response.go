package h1

import (
	"github.com/albion-lb/albion/internal/wire"
)

// ReadResponse reads the head of an answer at the beginning of buf into r, whose
// Fields slice is reused. method is that of the request it answers: the body
// depends on it (RFC 9112 §6.3). n == 0 and a nil error mean that the head is
// not complete yet. A 1xx answer is read like any other; the final one follows.
//
// An error is an *Error with Status 502. A nil lim means ALB's quotas.
func ReadResponse(r *wire.Response, buf []byte, method []byte, lim *Limits) (n int, err error) {
	n, bad := readResponse(r, buf, method, lim)
	if bad != nil {
		return 0, bad
	}
	return n, nil
}

func readResponse(r *wire.Response, buf, method []byte, lim *Limits) (int, *Error) {
	*r = wire.Response{Fields: r.Fields[:0]}
	most := lim.resolve()
	start, bad := statusLine(r, buf, most.Line)
	if bad != nil || start == 0 {
		return 0, bad
	}
	s := section{total: most.Answer, line: most.Field, count: most.Fields, answer: true}
	fields, size, broken := s.read(r.Fields, buf[start:])
	r.Fields = fields
	if broken != sound {
		return 0, badAnswer(broken.String())
	}
	if size == 0 {
		return 0, nil
	}
	if bad := settle(r, method); bad != nil {
		return 0, bad
	}
	return start + size, nil
}

// statusLine reads "version SP 3DIGIT [SP reason] CRLF" (RFC 9112 §4). The space
// before an empty reason may be missing: some servers leave it out, and nothing
// hangs on it.
func statusLine(r *wire.Response, buf []byte, most int) (size int, bad *Error) {
	line := buf[:min(len(buf), most)]
	major, minor, i, ok := readVersion(line)
	if !ok || i > 0 && (major != 1 || minor > 1) {
		return 0, badAnswer("no HTTP/1.0 or HTTP/1.1 status line")
	}
	incomplete := func() (int, *Error) {
		if len(line) == most {
			return 0, badAnswer("status line too long")
		}
		return 0, nil
	}
	if i == 0 {
		return incomplete()
	}
	for _, want := range " 000" {
		if i == len(line) {
			return incomplete()
		}
		c := line[i]
		if want == ' ' && c != ' ' || want == '0' && (c < '0' || c > '9') {
			return 0, badAnswer("no status code of three digits")
		}
		if want == '0' {
			r.Status = r.Status*10 + int(c-'0')
		}
		i++
	}
	if i == len(line) {
		return incomplete()
	}
	if r.Status < 100 || line[i] != ' ' && line[i] != '\r' {
		return 0, badAnswer("no status code of three digits")
	}
	start := i
	if line[i] == ' ' {
		start++
	}
	end := valueEnd(line, start)
	if end+1 >= len(line) && (end == len(line) || line[end] == '\r') {
		return incomplete()
	}
	if line[end] != '\r' || line[end+1] != '\n' {
		return 0, badAnswer("a control character in the status line")
	}
	r.Major, r.Minor, r.Reason = major, minor, line[start:end]
	return end + 2, nil
}

// settle looks at a complete head: how its body ends and what becomes of the
// connection.
func settle(r *wire.Response, method []byte) *Error {
	var f framing
	var o options
	for i := range r.Fields {
		field := &r.Fields[i]
		var bad *Error
		switch field.ID {
		case wire.ContentLength:
			bad = f.addLength(field)
		case wire.TransferEncoding:
			bad = f.addCoding(field.Value)
		case wire.Connection:
			o.add(field.Value)
		}
		if bad != nil {
			return badAnswer(bad.Detail)
		}
	}
	if o.named > maxNamed {
		return badAnswer("Connection names too many fields")
	}
	if o.named > 0 {
		markNamed(r.Fields)
	}
	r.Close = o.close || r.Minor == 0 && !o.keepAlive
	if r.Status == 101 {
		if r.Upgrade = r.Get(wire.Upgrade); len(r.Upgrade) == 0 {
			return badAnswer("101 without Upgrade")
		}
	}
	return frameResponse(r, &f, method)
}

// frameResponse decides how the body ends (RFC 9112 §6.3).
func frameResponse(r *wire.Response, f *framing, method []byte) *Error {
	// §6.1 tells a client to treat these as faulty; which of the two lengths a
	// server meant is a guess that response splitting lives on.
	if f.codings > 0 && (f.lengths > 0 || r.Minor == 0) {
		return badAnswer("Transfer-Encoding with Content-Length or in HTTP/1.0")
	}
	tunnel := string(method) == "CONNECT" && r.Status/100 == 2
	switch {
	case r.Status/100 == 1 || r.Status == 204 || tunnel:
		// Neither field may be there (RFC 9110 §8.6, RFC 9112 §6.1). A server that
		// sends one may send a body as well, which must not be taken for the next
		// answer.
		dropLengths(r.Fields)
		if r.Status != 101 && !tunnel && (f.codings > 0 || f.length > 0) {
			r.Close = true
		}
	case r.Status == 304 || string(method) == "HEAD":
	case f.chunked:
		r.Framing = wire.Chunked
	case f.lengths > 0:
		r.Framing, r.Length = wire.Sized, f.length
	default:
		r.Framing, r.Close = wire.UntilClose, true
	}
	return nil
}
