package h1

import (
	"github.com/albion-lb/albion/internal/wire"
)

// maxEmptyLines is how many empty lines are skipped before a request line.
// RFC 9112 §2.2 asks for at least one; old clients send one after a body.
const maxEmptyLines = 2

// ReadRequest reads the head at the beginning of buf into r, whose Fields slice
// is reused. n is the head's length with the empty lines before it; n == 0 and a
// nil error mean that the head is not complete yet: call again with the same
// bytes and more (or use a Parser, which does not look at them twice). All of r
// are views into buf, except for a Path that the target leaves out.
//
// An error is an *Error; r then holds what was read before it, and its Class and
// Reason are the error's. A nil lim means ALB's quotas.
func ReadRequest(r *wire.Request, buf []byte, lim *Limits) (n int, err error) {
	n, bad := readRequest(r, buf, lim)
	if bad == nil {
		return n, nil
	}
	r.Class, r.Reason = bad.Class, bad.Reason
	return 0, bad
}

func readRequest(r *wire.Request, buf []byte, lim *Limits) (int, *Error) {
	*r = wire.Request{Fields: r.Fields[:0]}
	most := lim.resolve()
	start := emptyLines(buf)
	size, bad := requestLine(r, buf[start:], most.Line)
	if bad != nil || size == 0 {
		return 0, bad
	}
	start += size
	s := section{total: most.Head, line: most.Field, count: most.Fields, dropInvalid: most.DropInvalid}
	fields, size, broken := s.read(r.Fields, buf[start:])
	r.Fields = fields
	if broken != sound || size == 0 {
		return 0, broken.request()
	}
	if bad := judge(r); bad != nil {
		return 0, bad
	}
	return start + size, nil
}

func emptyLines(buf []byte) int {
	n := 0
	for n < 2*maxEmptyLines && len(buf) > n+1 && buf[n] == '\r' && buf[n+1] == '\n' {
		n += 2
	}
	return n
}

// requestLine reads "method SP target SP version CRLF" (RFC 9112 §3) with single
// spaces. size is 0 when the line does not end here.
func requestLine(r *wire.Request, buf []byte, most int) (size int, bad *Error) {
	line := buf[:min(len(buf), most)]
	if len(line) == 1 && line[0] == '\r' {
		return 0, nil // perhaps half of an empty line
	}
	method, target, at, bad := methodAndTarget(line)
	if bad != nil {
		return 0, bad
	}
	r.Method, r.Target = method, target
	if at > 0 {
		size, bad = version(r, line[at:])
		if bad != nil {
			return 0, bad
		}
	}
	if size == 0 {
		if len(line) == most {
			return 0, declined(414, "RequestLineTooLong", "")
		}
		return 0, nil
	}
	if bad := readTarget(r); bad != nil {
		return 0, bad
	}
	return at + size, nil
}

// methodAndTarget returns where the version begins, 0 when it is not there yet.
func methodAndTarget(line []byte) (method, target []byte, at int, bad *Error) {
	i := 0
	for i < len(line) && wire.MethodChar.Is(line[i]) {
		i++
	}
	if i == len(line) {
		return nil, nil, 0, nil
	}
	// Unlike AWS, which has no word on it, a method with small letters is
	// refused: no registered method has any, and servers disagree on whether
	// "get" is GET.
	if i == 0 || line[i] != ' ' {
		return nil, nil, 0, severe(reasonMethod, "the method is not a token in capitals, followed by one space")
	}
	method = line[:i]
	i++
	start := i
	for i < len(line) && wire.TargetChar.Is(line[i]) {
		i++
	}
	if i == len(line) {
		return method, nil, 0, nil
	}
	if i == start || line[i] != ' ' {
		return method, nil, 0, severe(reasonURI, "the target is empty or holds a control character or #")
	}
	return method, line[start:i], i + 1, nil
}

// version reads "HTTP/1.1" and the line end. size is 0 when there is less.
func version(r *wire.Request, s []byte) (size int, bad *Error) {
	major, minor, size, ok := readVersion(s)
	if ok && size > 0 {
		for ; size < len(s) && size < 10; size++ {
			if s[size] != "\r\n"[size-8] {
				ok = false
			}
		}
	}
	switch {
	case !ok:
		return 0, severe(reasonVersion, "the version is not HTTP/x.y at the end of the line")
	case size < 10:
		return 0, nil
	case major != 1 || minor > 1:
		// RFC 9110 §15.6.6
		return 0, &Error{Status: 505, Class: wire.Severe, Reason: reasonVersion, Detail: "HTTP/1.0 and HTTP/1.1 are spoken here"}
	}
	r.Major, r.Minor = major, minor
	return size, nil
}

// readVersion reads the eight bytes of "HTTP/x.y". size is 0 when there are
// fewer; ok says that those which are there fit.
func readVersion(s []byte) (major, minor uint8, size int, ok bool) {
	const form = "HTTP/0.0"
	if len(s) >= len(form) && string(s[:7]) == "HTTP/1." && (s[7] == '1' || s[7] == '0') {
		return 1, s[7] - '0', len(form), true
	}
	for i := range min(len(s), len(form)) {
		if form[i] == '0' && s[i] >= '0' && s[i] <= '9' {
			continue
		}
		if form[i] == '0' || s[i] != form[i] {
			return 0, 0, 0, false
		}
	}
	if len(s) < len(form) {
		return 0, 0, 0, true
	}
	return s[5] - '0', s[7] - '0', len(form), true
}

// judge looks at a complete head: what frames it, what it asks of this
// connection, and how far it strays.
func judge(r *wire.Request) *Error {
	var f framing
	var o options
	hosts := 0
	for i := range r.Fields {
		field := &r.Fields[i]
		var bad *Error
		switch field.ID {
		case wire.Other:
			if suspicious(field.Name) {
				worsen(r, wire.Ambiguous, reasonSuspicious)
			}
		case wire.Host:
			hosts++
			bad = readHost(r, field.Value)
		case wire.ContentLength:
			bad = f.addLength(field)
		case wire.TransferEncoding:
			bad = f.addCoding(field.Value)
		case wire.Connection:
			o.add(field.Value)
		case wire.Expect:
			bad = readExpect(r, field.Value)
		}
		if bad != nil {
			return bad
		}
	}
	// RFC 9112 §3.2
	if hosts > 1 || hosts == 0 && r.Minor == 1 {
		return severe(reasonHeader, "there is not exactly one Host field")
	}
	if bad := frameRequest(r, &f); bad != nil {
		return bad
	}
	return connect(r, &o)
}

// readHost takes the Host field, whose syntax has to be right even where the
// target's authority overrides it (RFC 9112 §3.2.2).
func readHost(r *wire.Request, value []byte) *Error {
	if _, _, ok := wire.SplitAuthority(value); !ok {
		return severe(reasonHeader, "the Host field is not a host with an optional port")
	}
	if r.Scheme == nil {
		r.Host = value
	}
	return nil
}

// readExpect knows the one expectation there is (RFC 9110 §10.1.1). HTTP/1.0 has
// none: the field is ignored there.
func readExpect(r *wire.Request, value []byte) *Error {
	if r.Minor == 0 {
		return nil
	}
	if !wire.EqualFold(value, "100-continue") {
		return declined(417, "UnknownExpectation", "")
	}
	r.Expect = true
	return nil
}

// connect applies what the Connection fields said.
func connect(r *wire.Request, o *options) *Error {
	r.Close = o.close || r.Minor == 0 && !o.keepAlive
	if o.odd {
		worsen(r, wire.Acceptable, reasonNonCompliant)
	}
	if o.upgrade && r.Minor == 1 { // RFC 9110 §7.8
		r.Upgrade = r.Get(wire.Upgrade)
		if len(r.Upgrade) == 0 {
			r.Upgrade = nil
		}
	}
	if o.named == 0 {
		return nil
	}
	if o.named > maxNamed {
		return severe(reasonHeader, "Connection names too many fields")
	}
	if !markNamed(r.Fields) {
		worsen(r, wire.Ambiguous, reasonSuspicious)
	}
	return nil
}

// worsen keeps the worst class, and of several reasons for it the first.
func worsen(r *wire.Request, c wire.Class, reason string) {
	if c > r.Class {
		r.Class, r.Reason = c, reason
	}
}

// suspicious reports whether a name would be Content-Length or
// Transfer-Encoding to somebody who ignores what is not a letter: a server
// that reads names through CGI's variables sees Content_Length so.
func suspicious(name []byte) bool {
	i := 0
	for i < len(name) && !isLetter(name[i]) {
		i++
	}
	if i == len(name) {
		return false
	}
	want := "contentlength"
	switch name[i] | 0x20 {
	case 'c':
	case 't':
		want = "transferencoding"
	default:
		return false
	}
	k := 0
	for ; i < len(name); i++ {
		if !isLetter(name[i]) {
			continue
		}
		if k == len(want) || name[i]|0x20 != want[k] {
			return false
		}
		k++
	}
	return k == len(want)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
